"""Texts for a terminal, and all texts of a value, whatever they are nested in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

_T = TypeVar("_T")

# C0 and C1 but for line break and tab: a terminal obeys them, and a name of a file may hold them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def with_texts(value: _T, change: Callable[[str], str]) -> _T:
    """Return a value with each text in it changed; names of fields and keys stay.

    Args:
        value: Text, or dataclasses, tuples, lists and mappings of it.
        change: Returns what takes the place of a text.
    """
    copied: Any = value
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        copied = change(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: with_texts(getattr(value, field.name), change) for field in dataclasses.fields(value)}
        copied = dataclasses.replace(value, **fields)
    elif isinstance(value, Mapping):
        copied = {name: with_texts(part, change) for name, part in value.items()}
    elif isinstance(value, (tuple, list)):
        copied = type(value)(with_texts(part, change) for part in value)
    return copied  # type: ignore[no-any-return]


def printable(text: str) -> str:
    """Return a text that a terminal shows and does not obey: control characters appear as escapes."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
