"""Choices kept in the cache directory: a store is found again by itself; how else to repair, or that it is read into memory, is not."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from kerasdiag.environment.cache_directory import cache_directories, cache_directory
from kerasdiag.input_identity import InputIdentity
from kerasdiag.profile import write_whole
from kerasdiag.profile_cache import forget_oldest
from kerasdiag.repair.choice.candidate import MEMORY, NONE, WORKERS, Candidate
from kerasdiag.repair.decision import Decision, describe_input
from kerasdiag.repair.progress import say
from kerasdiag.repair.request import Request
from kerasdiag.spec import GeneratorSpec

FORMAT = 1
_SUFFIX = ".kdrepair.json"
_ARRAYS = "NumpyArrayIterator"  # how ``describe_input`` begins for them


@dataclass(frozen=True)
class SmallRepair:
    """A repair that was chosen for an input.

    Attributes:
        repair: ``"workers"``, ``"none"``, or ``"memory"``: over images that are an array, or a store that is read
            into memory.
        workers: Number of workers, for ``"workers"``.
        cores: Cores that the process had; on another number of them the choice may be another.
        created_at: When, ISO 8601 in UTC.
        input: The input in words.
        reason: Why this one.
    """

    repair: str
    workers: Optional[int]
    cores: int
    created_at: str
    input: str
    reason: str

    @property
    def needs_store(self) -> bool:
        """Whether it reads a store; an array is in memory as it is."""
        return self.repair == MEMORY and not self.input.startswith(_ARRAYS)

    @property
    def as_reason(self) -> str:
        """Why it is made again, as the end of a sentence."""
        return f"as an earlier run found on {self.created_at[:10]}: {self.reason}"


class Memory:
    """What is remembered about one generator.

    Args:
        identity: Its rows.
        spec: What it does with them.
        request: The arguments of ``autofix``; where they leave no choice, there is nothing to remember.
        cores: Cores that the process may use.
    """

    def __init__(self, identity: InputIdentity, spec: GeneratorSpec, request: Request, cores: int) -> None:
        options = {} if spec.augmentation is None else vars(spec.augmentation)
        words = sorted((name, _word(value)) for name, value in options.items())
        text = repr((identity.key, words, spec.dtype, request.mode))
        self._file = f"{hashlib.sha256(text.encode()).hexdigest()[:16]}{_SUFFIX}"
        self._input = describe_input(identity)
        self._of_arrays = spec.arrays is not None
        self._cores = cores
        self._found = self._find() if request.chooses else None

    def repair(self, decision: Decision, *, has_store: bool) -> SmallRepair | None:
        """Return the repair to make again, or None where there is none, or it was not enough.

        Args:
            decision: What the evidence says.
            has_store: Whether a finished store holds the images: that feeds any training, and only memory feeds faster.
        """
        found = self._found
        if found is None or self._is_outgrown(found, decision):
            return None
        needs_store = found.repair == MEMORY and not self._of_arrays
        return found if needs_store == has_store else None

    def keep(self, chosen: Candidate, reason: str, verbose: int) -> None:
        """Remember a choice; where that fails, say so."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        choice = SmallRepair(chosen.repair, chosen.workers, self._cores, now, self._input, reason)
        path = _folder(cache_directory()) / self._file
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, json.dumps({"kerasdiag_repair": FORMAT, **asdict(choice)}, indent=1) + "\n")
            forget_oldest(path.parent, f"*{_SUFFIX}")
        except OSError as error:
            say(f"the choice could not be kept, so the next run compares again: {error}.", verbose)

    @staticmethod
    def _is_outgrown(found: SmallRepair, decision: Decision) -> bool:
        """Tell whether a training with these workers, after they were chosen, still waited for its data."""
        profile = decision.profile
        if not found.workers or not decision.repair or not decision.is_training or profile is None:
            return False
        data = profile.training_input
        return profile.created_at > found.created_at and data is not None and data.workers == found.workers

    def _find(self) -> SmallRepair | None:
        """On another number of cores the choice may be another, so it is made anew."""
        for directory in cache_directories():
            found = _load(_folder(directory) / self._file)
            if found is not None and found.cores == self._cores:
                return found
        return None


def _folder(cache: Path) -> Path:
    return cache / "repairs"


def list_choices() -> list[tuple[Path, SmallRepair]]:
    """Return all that is remembered, the latest first."""
    files = _folder(cache_directory()).glob(f"*{_SUFFIX}")
    found = [(path, choice) for path in files if (choice := _load(path)) is not None]
    return sorted(found, key=lambda one: one[1].created_at, reverse=True)


def forget_all() -> int:
    """Forget everything; return how many choices there were."""
    paths = [path for path, _ in list_choices()]
    for path in paths:
        with suppress(OSError):  # another process was faster
            path.unlink()
    return len(paths)


def _load(path: Path) -> SmallRepair | None:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.pop("kerasdiag_repair") != FORMAT:
            return None
        choice = SmallRepair(**fields)
        is_valid = choice.repair in (NONE, MEMORY) or (choice.repair == WORKERS and int(choice.workers or 0) > 0)
        return choice if is_valid else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # a damaged file is no choice
        return None


def _word(value: object) -> str:
    """A value that is the same text in each run: functions and arrays are not."""
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    return f"array {value.shape}" if hasattr(value, "shape") else repr(value)
