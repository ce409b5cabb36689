"""Options of the doctor that a project keeps in its pyproject.toml, below ``[tool.kerasdiag]``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kerasdiag.environment.own_python import own_pip
from kerasdiag.errors import DoctorUsageError

FILE = "pyproject.toml"


class Option(NamedTuple):
    """One key.

    Attributes:
        name: Of the attribute of the parsed arguments.
        expected: What its value must be, in words.
        accepts: Tells whether a value is that.
    """

    name: str
    expected: str
    accepts: Callable[[Any], bool]  # Any: whatever TOML holds


def _is_codes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(code, str) and code for code in value)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


_CODES = 'a list of codes, such as ["KD101", "KD3"]'
OPTIONS = {
    "select": Option("select", _CODES, _is_codes),
    "ignore": Option("ignore", _CODES, _is_codes),
    "fail-on": Option("fail_on", '"never", "warn" or "error"', lambda value: value in ("never", "warn", "error")),
    "strict": Option("strict", "true or false", lambda value: isinstance(value, bool)),
    "timeout": Option("timeout", "a number of seconds above 0", _is_seconds),
    "data": Option("data", "a folder or a CSV file, relative to the pyproject.toml", _is_text),
    "x-col": Option("x_col", "the name of a column", _is_text),
    "directory": Option("directory", "a folder, relative to the pyproject.toml", _is_text),
}
_PATHS = ("data", "directory")
# The usual way to write it, for a file that cannot be read as TOML, and where there is nothing to read TOML with.
_TABLE = re.compile(rb"""^\s*\[\s*["']?tool["']?\s*\.\s*["']?kerasdiag\b""", re.MULTILINE)


def find_file(start: Path) -> Path | None:
    """Return the nearest pyproject.toml with options for kerasdiag in a folder or above it, None without one."""
    for folder in (start, *start.parents):
        file = folder / FILE
        try:
            if file.is_file() and _has_options(file.read_bytes()):
                return file
        except OSError:  # not ours to read
            continue
    return None


def _has_options(content: bytes) -> bool:
    if b"kerasdiag" not in content:
        return False
    try:
        tool = _parse(content).get("tool")
    except (ImportError, ValueError):
        return _TABLE.search(content) is not None
    return isinstance(tool, dict) and "kerasdiag" in tool


def read_options(file: Path) -> dict[str, Any]:
    """Return the options of a file by the name of the argument that they are the default of.

    Raises:
        DoctorUsageError: It is no TOML, or has a key or a value that means nothing.
    """
    table = _table(file)
    options: dict[str, Any] = {}
    for key, value in table.items():
        option = OPTIONS.get(key)
        if option is None:
            raise DoctorUsageError(f"{file}: [tool.kerasdiag] has no option {key!r}. It has: {', '.join(OPTIONS)}.")
        if not option.accepts(value):
            raise DoctorUsageError(f"{file}: {key} must be {option.expected}. Received: {value!r}")
        options[option.name] = str(file.parent / value) if key in _PATHS else value
    return options


def _table(file: Path) -> dict[str, Any]:
    try:
        tool = _parse(file.read_bytes()).get("tool", {})
    except ImportError:
        raise DoctorUsageError(f"To read {file}, Python before 3.11 needs: {own_pip()} install tomli") from None
    except (OSError, ValueError) as error:
        raise DoctorUsageError(f"{file} cannot be read as TOML: {error}") from None
    table = tool.get("kerasdiag", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise DoctorUsageError(f"{file}: [tool.kerasdiag] must be a table. Received: {table!r}")
    return table


def _parse(content: bytes) -> dict[str, Any]:
    """TOML as a dictionary; a ValueError is raised where it is none, or no UTF-8."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    found: dict[str, Any] = tomllib.loads(content.decode())
    return found
