"""Takes out of a report what is nobody's business: names of the user, the machine, servers and files of the data."""

from __future__ import annotations

import dataclasses
import getpass
import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, TypeVar

_T = TypeVar("_T")

_SHORTEST_NAME = 3  # a host or user of two letters would be found in half of all words
_NO_SECRETS = frozenset({"localhost", "root", "user", "home"})
_REST_OF_PATH = r"""(?:[/\\][^\s,;"')]*)?"""
_SERVERS = (
    (re.compile(r"(?<![\w/])[\w.-]+:/(?!/)[^\s,;)]*"), "<server>:/..."),  # NFS: nas:/photos
    (re.compile(r"(?<![:\w])//[\w.-]+/[^\s,;)]*"), "//<server>/..."),  # SMB
    (re.compile(r"(?<![\w\\])\\\\[\w.-]+\\[^\s,;)]*"), r"\\<server>\..."),
)


def private_names(*data: str | None) -> dict[str, str]:
    """Return what identifies this user, machine and data set, and what may stand there instead.

    Args:
        *data: Paths of the data as they were given, None without.
    """
    names: dict[str, str] = {}
    for given in filter(None, data):
        folder = given if os.path.isdir(given) else os.path.dirname(given)
        for path in (given, os.path.abspath(given), folder, os.path.abspath(folder), os.path.realpath(folder)):
            names.setdefault(path.rstrip("/\\"), "<data>")
    names.setdefault(os.path.expanduser("~"), "~")
    names.setdefault(platform.node(), "<host>")
    with suppress(Exception):  # no such user, no such variable
        names.setdefault(getpass.getuser(), "<user>")
    return {
        name: instead
        for name, instead in names.items()
        if len(name.strip("./\\")) >= _SHORTEST_NAME and name not in _NO_SECRETS
    }


def redact(value: _T, names: Mapping[str, str]) -> _T:
    """Return a report, or any part of it, with these names and those of servers replaced.

    Args:
        value: Text, or dataclasses, tuples and mappings of it.
        names: See ``private_names``. The longest that fits is replaced; below the data, the rest of a path with it.
    """
    copied: Any = value
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        copied = _redact_text(value, names)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: redact(getattr(value, field.name), names) for field in dataclasses.fields(value)}
        copied = dataclasses.replace(value, **fields)
    elif isinstance(value, Mapping):
        copied = {name: redact(part, names) for name, part in value.items()}
    elif isinstance(value, tuple):
        copied = tuple(redact(part, names) for part in value)
    return copied  # type: ignore[no-any-return]


def _redact_text(text: str, names: Mapping[str, str]) -> str:
    for name in sorted(names, key=len, reverse=True):
        instead = names[name]
        rest = _REST_OF_PATH if instead == "<data>" else ""
        pattern = rf"(?<!\w){re.escape(name)}{rest}(?!\w)" if name[:1].isalnum() else rf"{re.escape(name)}{rest}(?!\w)"
        text = re.sub(pattern, lambda _, instead=instead: instead, text)  # type: ignore[misc]
    for server, instead in _SERVERS:
        text = server.sub(lambda _, instead=instead: instead, text)  # type: ignore[misc]
    return text
