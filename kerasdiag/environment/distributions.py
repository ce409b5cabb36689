"""Which distributions lie in the folders of a Python, by the names of their metadata folders.

A site-packages may hold hundreds, so that a file is opened only where the name of the folder does not
say everything. Nothing is imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

# NAME-VERSION.dist-info, NAME-VERSION-py3.7.egg-info; an old setuptools leaves hyphens in names.
_FOLDER = re.compile(r"(.+?)-(\d[^-]*)(-py[\d.]+.*)?")
_HEADER_BYTES = 2**20  # a licence in the header may be long; what is longer than this is none


@dataclass(frozen=True)
class Distribution:
    """One installed distribution.

    Attributes:
        name: Normalised: lower case, hyphens.
        version: As its metadata write it.
        folder: The folder that the packages lie in, such as ``site-packages``.
        metadata: Its ``METADATA`` or ``PKG-INFO``.
    """

    name: str
    version: str
    folder: Path
    metadata: Path

    def requires(self) -> tuple[str, ...]:
        """Return what it asks for, as PEP 508 requirements; nothing where that cannot be read."""
        if self.metadata.name == "PKG-INFO":
            listed = _egg_requirements(self.metadata.with_name("requires.txt"))
            if listed:
                return listed
        return tuple(value for key, value in _header(self.metadata) if key == "requires-dist")

    def installer(self) -> str:
        """Return who installed it, such as ``"pip"`` or ``"conda"``; empty where nobody says."""
        return _read(self.metadata.with_name("INSTALLER")).strip().lower()


def find_distributions(search_path: Sequence[str]) -> dict[str, Distribution]:
    """Return the distributions by name; the first folder that has one wins, as it does for ``import``."""
    found: dict[str, Distribution] = {}
    for folder in search_path:
        here: dict[str, Distribution] = {}
        for one in _in_folder(Path(folder or ".")):
            other = here.get(one.name)
            # Two in one folder: an upgrade was interrupted. The later one wrote the files.
            if other is None or _changed(one.metadata) > _changed(other.metadata):
                here[one.name] = one
        for name, one in here.items():
            found.setdefault(name, one)
    return found


def _in_folder(folder: Path) -> Iterator[Distribution]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except (OSError, ValueError):
        return
    for name in names:
        stem, _, kind = name.rpartition(".")
        if kind not in ("dist-info", "egg-info", "egg") or name.startswith("~"):  # ~ame: pip was interrupted
            continue
        path = folder / name
        inner = {"dist-info": "METADATA", "egg-info": "PKG-INFO", "egg": "EGG-INFO/PKG-INFO"}[kind]
        metadata = path / inner if path.is_dir() else path
        if not _size(metadata):
            continue  # an interrupted pip left an empty folder
        match = _FOLDER.fullmatch(stem)
        said = (match[1], match[2]) if match else _said_inside(metadata)
        if said is not None:
            yield Distribution(canonicalize_name(said[0]), said[1], folder, metadata)


def _said_inside(metadata: Path) -> tuple[str, str] | None:
    fields = dict(_header(metadata))
    return (fields["name"], fields["version"]) if fields.get("name") and fields.get("version") else None


def _header(file: Path) -> list[tuple[str, str]]:
    """Fields of a metadata file up to its first blank line, names in lower case; folded lines are left out."""
    fields = []
    for line in _read(file).splitlines():
        if not line.strip():
            break
        if not line[0].isspace():
            name, _, value = line.partition(":")
            fields.append((name.strip().lower(), value.strip()))
    return fields


def _egg_requirements(file: Path) -> tuple[str, ...]:
    """requires.txt of an egg: requirements below headings of the form ``[extra:marker]``."""
    requirements, condition = [], ""
    for line in map(str.strip, _read(file).splitlines()):
        if line.startswith("[") and line.endswith("]"):
            extra, _, marker = line[1:-1].partition(":")
            parts = [f"({marker})" if marker else "", f"extra == '{extra}'" if extra else ""]
            condition = " and ".join(filter(None, parts))
        elif line:
            requirements.append(f"{line} ; {condition}" if condition else line)
    return tuple(requirements)


def _read(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            return opened.read(_HEADER_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except (OSError, ValueError):
        return 0


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
