"""Lock files: poetry.lock, uv.lock, pdm.lock, pylock.toml (one reader) and Pipfile.lock.

The TOML ones list packages as tables that begin with ``[[package]]``, a name and a version on a line each. That is
all that is needed of them, so that they are read line by line, on a Python without a TOML reader, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kerasdiag.environment.declared.declaration import Declaration
from kerasdiag.environment.packages import NIGHTLY_NAMES
from kerasdiag.errors import DoctorUsageError

_WHOLE_BUILDS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", *NIGHTLY_NAMES)  # each without another one
_TABLE = re.compile(r"\[\[packages?\]\]")
# What the lock of a project without a dependency holds.
_HEAD = re.compile(r"^(lock[-_]version|version|requires-python)\s*=", re.MULTILINE)
_TEXT = r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)')"""
_FIELD = re.compile(rf"(name|version|markers?|optional)\s*=\s*(?:{_TEXT}|(true)\b)")
_MARKERS_OF_GROUPS = re.compile(r"markers\s*=\s*\{(.*)\}")  # poetry: {main = "...", dev = "..."}
_DEPENDENCIES = re.compile(r"dependencies\s*=\s*\[")
# Of uv: { name = "numpy", marker = "..." }
_DEPENDENCY = re.compile(rf"\{{\s*name\s*=\s*{_TEXT}(?:[^{{}}]*?\bmarker\s*=\s*{_TEXT})?")


@dataclass
class _Package:
    """One table."""

    fields: dict[str, str] = field(default_factory=dict)
    markers: list[str] = field(default_factory=list)
    dependencies: str = ""


def read_toml_lock(file: Path, text: str, into: Declaration) -> None:
    """Note the packages of a TOML lock file.

    Args:
        file: Where it lies.
        text: What it holds.
        into: Where its packages are noted.

    Raises:
        DoctorUsageError: It is none.
    """
    packages = [package for package in _packages(text) if "name" in package.fields]
    if not packages and not _HEAD.search(text):
        raise DoctorUsageError(f"-r {file}: this is no lock file, or of a kind that is not known here.")
    edges = _markers_of_dependencies(packages)
    listed: dict[str, list[_Package]] = {}
    for package in packages:
        listed.setdefault(package.fields["name"], []).append(package)
    for name, same in listed.items():
        versions = sorted({package.fields["version"] for package in same if package.fields.get("version")})
        if all("optional" in package.fields for package in same):
            into.leave_open(name, f"{name} is locked as optional: an extra decides whether it is installed")
        elif len(versions) > 1:
            into.leave_open(name, f"{name} is locked to {' and '.join(versions)}, each for another platform")
        elif versions:
            markers = same[0].markers if len(same) == 1 else []
            marker = " or ".join(f"({one})" for one in markers or edges.get(name, []))
            into.add_requirement(f"{name}=={versions[0]}" + (f" ; {marker}" if marker else ""))
        else:
            into.leave_open(name, f"{name} is locked without a version")
    if not any(package.dependencies for package in packages):
        _leave_rivals_open(file, list(listed), into)


def read_pipfile_lock(file: Path, text: str, into: Declaration) -> None:
    """Note the packages of a Pipfile.lock.

    Args:
        file: Where it lies.
        text: What it holds.
        into: Where its packages are noted.

    Raises:
        DoctorUsageError: It is none.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    sections = ("default", "develop")
    if not isinstance(document, dict) or not {"_meta", *sections} & document.keys():
        raise DoctorUsageError(f"-r {file}: this is no Pipfile.lock.")
    meta = document.get("_meta")
    required = meta.get("requires") if isinstance(meta, dict) else None
    if isinstance(required, dict):
        said = required.get("python_full_version") or required.get("python_version")
        if isinstance(said, str) and re.fullmatch(r"\d+\.\d+(\.\d+)?", said):
            into.python = into.python or said
    for section in sections:
        packages = document.get(section)
        for name, entry in packages.items() if isinstance(packages, dict) else ():
            version = entry.get("version") if isinstance(entry, dict) else entry
            marker = entry.get("markers") if isinstance(entry, dict) else None
            if isinstance(version, str):
                into.add_requirement(f"{name}{version}" + (f" ; {marker}" if isinstance(marker, str) else ""))
            else:
                into.leave_open(str(name), f"{name} is locked without a version")


def _markers_of_dependencies(packages: list[_Package]) -> dict[str, list[str]]:
    """Of each package that is only asked for under a condition: the conditions of all that ask."""
    found: dict[str, list[str]] = {}
    always = set()
    for package in packages:
        for match in _DEPENDENCY.finditer(package.dependencies):
            name, marker = _text(match[1], match[2]), _text(match[3], match[4])
            if marker:
                found.setdefault(name, []).append(marker)
            else:
                always.add(name)
    return {name: list(dict.fromkeys(markers)) for name, markers in found.items() if name not in always}


def _leave_rivals_open(file: Path, names: list[str], into: Declaration) -> None:
    """Of a lock that does not say who asks for what, several TensorFlows may each be for another system."""
    builds = [name for name in _WHOLE_BUILDS if name in names and name in into.versions]
    for name in builds[1:]:
        into.remove(name)
        into.leave_open(name, f"{name} is locked beside {builds[0]}, and {file.name} does not say for which system")


def _packages(text: str) -> Iterator[_Package]:
    package: _Package | None = None
    is_in_dependencies = False
    for line in map(str.strip, text.splitlines()):
        if is_in_dependencies and package is not None:
            package.dependencies += line
            is_in_dependencies = not line.endswith("]")
        elif line.startswith("["):
            if package:
                yield package
            package = _Package() if _TABLE.fullmatch(line.partition("#")[0].strip()) else None
        elif package is not None:
            _add_line(package, line)
            is_in_dependencies = bool(_DEPENDENCIES.match(line)) and not line.endswith("]")
    if package:
        yield package


def _add_line(package: _Package, line: str) -> None:
    match, of_groups = _FIELD.match(line), _MARKERS_OF_GROUPS.match(line)
    if of_groups:
        package.markers += [_text(*texts) for texts in re.findall(_TEXT, of_groups[1])]
    elif _DEPENDENCIES.match(line):
        package.dependencies += line
    elif match and match[1].startswith("marker"):
        package.markers.append(_text(match[2], match[3]))
    elif match:
        package.fields.setdefault(match[1], _text(match[2], match[3]) or match[4] or "")


def _text(escaped: str | None, literal: str | None) -> str:
    return escaped.replace('\\"', '"') if escaped else literal or ""
