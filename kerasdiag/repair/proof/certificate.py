"""The certificate: what was compared with the user's own generator, under which versions, and what came out."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from kerasdiag.environment.packages import TENSORFLOW_NAMES
from kerasdiag.repair.pixel_store.store_files import read_json, written_whole

FORMAT = 1
FILE_NAME = "certificate.json"
EXACT, NEAR, DISTRIBUTION = "exact", "near", "distribution"
# Packages whose code decides the pixels of one side or the other.
_PACKAGES = (
    *TENSORFLOW_NAMES,
    "keras",
    "tf-keras",
    "keras-preprocessing",
    "numpy",
    "scipy",
    "pillow",
    "numba",
    "kerasdiag",
)


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline in comparison.

    Attributes:
        name: What it does.
        parity: ``"exact"``: no value differs; ``"near"``: values differ by rounding; ``"distribution"``:
            random numbers of the same distribution, not the same numbers.
        max_difference: Largest difference behind this step, in the values that the generator yields
            there; None where numbers are not compared.
        mean_difference: Mean of the absolute differences, likewise.
        note: What limits it, or None.
    """

    name: str
    parity: str
    max_difference: float | None = None
    mean_difference: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class Certificate:
    """What was compared, and how equal it was.

    Attributes:
        rows: Rows that went through both pipelines with equal draws.
        image_modes: Pillow modes of the files among them and how many of each, such as ``{"RGB": 30, "L": 2}``.
        mode: ``"exact"`` or ``"replay"``.
        kernel: ``"compiled"`` or ``"scipy"``.
        stages: The steps of this generator, in its order.
        versions: Package -> version, of all that decides pixels.
    """

    rows: int
    image_modes: dict[str, int]
    mode: str
    kernel: str
    stages: tuple[Stage, ...]
    versions: dict[str, str]

    @property
    def largest_difference(self) -> float:
        """Largest difference of a value that the generator yields."""
        return max((stage.max_difference or 0.0 for stage in self.stages), default=0.0)

    @property
    def is_exact(self) -> bool:
        """Whether every compared value was equal."""
        return all(stage.parity != NEAR for stage in self.stages)

    @property
    def statement(self) -> str:
        """The certificate in one sentence."""
        if self.is_exact:
            return f"{self.rows} rows compared with the generator: images, labels and weights equal in every bit"
        first = next(stage.name for stage in self.stages if stage.parity == NEAR)
        return (
            f"{self.rows} rows compared with the generator: labels and weights equal, images equal but for rounding (from "
            f"{first} on), at most {self.largest_difference:.2g}"
        )

    def render(self) -> str:
        """Return the certificate as text for a reader."""
        width = max(len(stage.name) for stage in self.stages)
        lines = [f"{self.statement}.", f"Order and draws: {self.mode}. Kernel: {self.kernel}."]
        if self.image_modes:
            lines.append(f"Image modes: {', '.join(f'{name} {count}' for name, count in self.image_modes.items())}.")
        for stage in self.stages:
            values = ""
            if stage.max_difference is not None:
                values = f"  max {stage.max_difference:.3g}, mean {stage.mean_difference:.3g}"
            note = f"  ({stage.note})" if stage.note else ""
            lines.append(f"  {stage.name:<{width}}  {stage.parity}{values}{note}")
        lines.append(f"Versions: {', '.join(f'{name} {version}' for name, version in self.versions.items())}.")
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write the certificate to a plan's folder, whole or not at all."""
        fields = {"kerasdiag_certificate": FORMAT, **dataclasses.asdict(self)}
        with written_whole(folder / FILE_NAME) as file:
            file.write((json.dumps(fields, indent=1) + "\n").encode())

    def holds_for(self, mode: str, kernel: str, versions: dict[str, str]) -> bool:
        """Tell whether the comparison was made with these versions, this kernel and this contract."""
        return (self.mode, self.kernel, self.versions) == (mode, kernel, versions)


def load(folder: Path | str | None) -> Certificate | None:
    """Return the certificate of a plan's folder, or None where there is none that can be read."""
    if folder is None:
        return None
    try:
        fields: dict[str, Any] = read_json(Path(folder) / FILE_NAME)
        if fields.pop("kerasdiag_certificate") != FORMAT:
            return None
        return Certificate(**{**fields, "stages": tuple(Stage(**stage) for stage in fields["stages"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def installed_versions() -> dict[str, str]:
    """Return the version of each installed package that decides pixels, and Python's."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    for name in ("tensorflow", "kerasdiag"):  # run from their sources, or under another name
        module = sys.modules.get(name)
        if not any(known.startswith(name) for known in found) and module is not None:
            found[name] = str(getattr(module, "__version__", "unknown"))
    return found
