"""Lock files: poetry.lock, uv.lock, pdm.lock, pylock.toml (one reader) and Pipfile.lock.

The TOML ones list packages as tables that begin with ``[[package]]``, a name and a version on a line each. That is
all that is needed of them, so that they are read line by line, on a Python without a TOML reader, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from kerasdiag.environment.declared.declaration import Declaration

_TABLE = re.compile(r"\[\[packages?\]\]")
_FIELD = re.compile(r"""(name|version|markers?|optional)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(true)\b)""")


def read_toml_lock(text: str, into: Declaration) -> None:
    """Note the packages of a TOML lock file."""
    listed: dict[str, list[dict[str, str]]] = {}
    for package in _packages(text):
        if "name" in package:
            listed.setdefault(package["name"], []).append(package)
    for name, packages in listed.items():
        versions = sorted({package["version"] for package in packages if package.get("version")})
        if all("optional" in package for package in packages):
            into.leave_open(name, f"{name} is locked as optional: an extra decides whether it is installed")
        elif len(versions) > 1:
            into.leave_open(name, f"{name} is locked to {' and '.join(versions)}, each for another platform")
        elif versions:
            marker = packages[0].get("markers") or packages[0].get("marker") or ""
            into.add_requirement(f"{name}=={versions[0]}" + (f" ; {marker}" if marker and len(packages) == 1 else ""))
        else:
            into.leave_open(name, f"{name} is locked without a version")


def read_pipfile_lock(text: str, into: Declaration) -> None:
    """Note the packages of a Pipfile.lock; what is no JSON says nothing."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    meta = document.get("_meta")
    required = meta.get("requires") if isinstance(meta, dict) else None
    if isinstance(required, dict):
        said = required.get("python_full_version") or required.get("python_version")
        if isinstance(said, str) and re.fullmatch(r"\d+\.\d+(\.\d+)?", said):
            into.python = into.python or said
    for section in ("default", "develop"):
        packages = document.get(section)
        for name, entry in packages.items() if isinstance(packages, dict) else ():
            version = entry.get("version") if isinstance(entry, dict) else entry
            marker = entry.get("markers") if isinstance(entry, dict) else None
            if isinstance(version, str):
                into.add_requirement(f"{name}{version}" + (f" ; {marker}" if isinstance(marker, str) else ""))
            else:
                into.leave_open(str(name), f"{name} is locked without a version")


def _packages(text: str) -> Iterator[dict[str, str]]:
    package: dict[str, str] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            if package:
                yield package
            package = {} if _TABLE.fullmatch(line.partition("#")[0].strip()) else None
        elif package is not None:
            match = _FIELD.match(line)
            if match:
                value = match[2].replace('\\"', '"') if match[2] is not None else match[3] or match[4]
                package.setdefault(match[1], value)
    if package:
        yield package
