"""JSON for the frozen values of ``profile.py``: strict reading with errors that say how to go on.

Written for plain dataclasses made of numbers, strings, tuples, mappings and other such
dataclasses; the declared types are the schema, so a field is described in one place only.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kerasdiag.errors import ProfileFileError

FORMAT_KEY = "kerasdiag_profile"  # first key of every file; its value is the schema version
ADDED_LATER = {"added_later": True}  # metadata of a field that older files of the same version lack; it has a default

Value = TypeVar("Value")


def to_document(value: Any, version: int, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON document of a profile: version first, then extra sections, then the facts."""
    return {FORMAT_KEY: version, **sections, "profile": dataclasses.asdict(value)}


def read_text(path: Path) -> str:
    """Read a profile file as text, or raise ProfileFileError saying why not."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProfileFileError(
            f"{path}: no such file. Expected a profile that BottleneckProfiler(report='run.kdprof.json') "
            "or profiler.profile.save('run.kdprof.json') wrote."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileFileError(
            f"{path}: cannot be read as a profile ({error}). Expected a .kdprof.json file."
        ) from error


def from_text(kind: type[Value], text: str, version: int, source: str, check: Callable[[Value], None]) -> Value:
    """Parse a document of ``to_document`` into ``kind``, or raise ProfileFileError.

    ``check`` may raise ValueError for what the types alone do not forbid.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProfileFileError(
            f"{source}: truncated or not JSON ({error}). Expected a file that kerasdiag wrote; profile the run again."
        ) from None
    found = document.get(FORMAT_KEY) if isinstance(document, dict) else None
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ProfileFileError(
            f"{source}: JSON, but not a kerasdiag profile (no '{FORMAT_KEY}' entry). "
            "Expected a file written by profiler.profile.save('run.kdprof.json')."
        )
    if found > version:
        raise ProfileFileError(
            f"{source}: written by a newer kerasdiag (profile format {found}; this one reads up to {version}). "
            "Upgrade with: pip install --upgrade kerasdiag"
        )
    try:
        value = typing.cast("Value", _decode(kind, document["profile"], "profile"))
        check(value)
        return value
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProfileFileError(
            f"{source}: damaged kerasdiag profile ({error}). Expected the fields of profile format {version}; "
            "profile the run again."
        ) from None


def _decode(declared: Any, data: Any, where: str) -> Any:
    """Turn JSON data into the declared type; raise TypeError or ValueError naming the place."""
    if dataclasses.is_dataclass(declared):
        return _decode_dataclass(declared, data, where)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Union or origin is getattr(types, "UnionType", typing.Union):
        if data is None and type(None) in arguments:
            return None
        inner = [argument for argument in arguments if argument is not type(None)]
        return _decode(inner[0], data, where)
    if origin is tuple:
        _require(data, list, where)
        return tuple(_decode(arguments[0], item, f"{where}[{row}]") for row, item in enumerate(data))
    if origin is not None and issubclass(origin, Mapping):
        _require(data, dict, where)
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in data.items()}
    if declared is float:
        if isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        _require(data, float, where)
        if not math.isfinite(data):
            raise ValueError(f"{where} is not a finite number")
        return data
    if declared is int and isinstance(data, bool):
        raise TypeError(f"{where} should be int, is bool")
    _require(data, declared, where)
    return data


def _decode_dataclass(declared: Any, data: Any, where: str) -> Any:
    _require(data, dict, where)
    hints = typing.get_type_hints(declared)
    names = {field.name for field in dataclasses.fields(declared)}
    missing = {field.name for field in dataclasses.fields(declared) if field.metadata != ADDED_LATER} - set(data)
    if missing:
        raise KeyError(f"{where} lacks {', '.join(sorted(missing))}")
    names &= set(data)
    return declared(**{name: _decode(hints[name], data[name], f"{where}.{name}") for name in names})


def _require(data: Any, expected: type, where: str) -> None:
    if not isinstance(data, expected):
        raise TypeError(f"{where} should be {expected.__name__}, is {type(data).__name__}")
