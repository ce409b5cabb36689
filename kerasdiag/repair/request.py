"""The arguments of one call of autofix, checked before anything is looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # evidence may be anything with a .profile

import numpy as np

from kerasdiag.environment.cache_directory import VARIABLE, cache_directories
from kerasdiag.repair.decision import ALWAYS, BOTTLENECK

_VALUES: dict[str, tuple[str, ...]] = {
    "when": (BOTTLENECK, ALWAYS),
    "mode": ("exact", "replay"),
    "storage": ("auto", "none", "disk", "memory"),
    "bad_images": ("raise", "skip"),
    "on_error": ("raise", "keep"),
}
# Any text is true, so "no" would mean yes.
_SWITCHES = {"recheck": "True or False", "verbose": "0 (say nothing) or 1"}


@dataclass(frozen=True)
class Request:
    """The arguments of ``autofix`` by name.

    Raises:
        ValueError: One has a value that does not exist, or does not go with another one.
        TypeError: One is of another type.
    """

    evidence: Any
    when: str
    cache_dir: str | os.PathLike[str] | None
    mode: str
    steps_per_epoch: int | None
    storage: str
    bad_images: str
    on_error: str
    recheck: bool
    verbose: int

    def __post_init__(self) -> None:
        for name, values in _VALUES.items():
            value = getattr(self, name)
            if value not in values:
                expected = ", ".join(map(repr, values))
                raise ValueError(f"autofix: {name} must be one of: {expected}. Received: {value!r}.")
        _check_evidence(self.evidence)
        for name, expected in _SWITCHES.items():
            value = getattr(self, name)
            if not isinstance(value, np.bool_) and not hasattr(value, "__index__"):
                raise TypeError(f"autofix: {name} must be {expected}. Received: {value!r}.")
        steps = self.steps_per_epoch
        if steps is not None and (isinstance(steps, bool) or not hasattr(steps, "__index__") or steps < 1):
            raise ValueError(f"autofix: steps_per_epoch must be a whole number above 0. Received: {steps!r}.")
        if self.mode == "replay" and self.bad_images == "skip":
            raise ValueError(
                'autofix: mode="replay" gives every row of the generator in its order, so bad_images="skip" has no meaning '
                "there. Mend or remove the images first."
            )
        if self.storage == "none" and self.bad_images == "skip":
            raise ValueError(
                'autofix: storage="none" loads each image when its batch is made, so bad_images="skip" cannot know '
                'beforehand which ones fail. Use storage="disk", or mend the images.'
            )
        if steps is not None:
            object.__setattr__(self, "steps_per_epoch", int(steps))  # NumPy's numbers are not JSON's

    @property
    def chooses(self) -> bool:
        """Whether autofix is to find the smallest repair that is enough."""
        return self.storage == "auto" and self.when == BOTTLENECK

    @property
    def stores_dirs(self) -> tuple[Path, ...]:
        """Where finished stores are looked for; a new one is made in the last of these."""
        folders = cache_directories() if self.cache_dir is None else (Path(self.cache_dir).expanduser(),)
        return tuple(folder / "stores" for folder in folders)

    @property
    def chosen_dir(self) -> bool:
        """Whether the user chose that place."""
        return self.cache_dir is not None or bool(os.environ.get(VARIABLE))


def _check_evidence(evidence: Any) -> None:
    """Refuse the value of another argument in the place of the evidence, where a text is the path of a profile."""
    if not isinstance(evidence, str) or os.path.exists(evidence):
        return
    meant = [f'autofix(generator, {name}="{evidence}")' for name, values in _VALUES.items() if evidence in values]
    if meant:
        raise ValueError(
            f"autofix: its second argument is the evidence, and {evidence!r} is a value of another one. Type "
            f"{' or '.join(meant)}. Received: evidence={evidence!r}."
        )
