"""Which paths of the user the texts of a report may hold. What has no separator is no path, and stands in no text."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress

from kerasdiag.doctor.collect import Facts, Request
from kerasdiag.environment.cache_target import CacheFacts
from kerasdiag.environment.data_files import DataFacts
from kerasdiag.environment.storage import StorageFacts

DATA, MOUNT, SOURCE, CACHE, PYTHON = "<data>", "<mount>", "<source>", "<cache>", "<environment>"
PROFILE = "<profile>"
# Where everybody's is.
_OF_ALL = ("", "/", "/usr", "/usr/local")


def private_names(facts: Facts, request: Request) -> dict[str, str]:
    """Return the user's paths, and what may stand there for others. No disk is asked: it may hang.

    Args:
        facts: What was collected.
        request: What the doctor was given.
    """
    done = facts.done()
    names: dict[str, str] = {}
    data: DataFacts | None = done.get("data")
    if request.data is not None:
        _add(names, DATA, request.data.path, request.data.directory)
    _add(names, PROFILE, request.profile_file)
    if data is not None:
        _add(names, DATA, data.folder, os.path.dirname(data.path) if data.is_list else None)
        _add_storage(names, data.storage)
    cache: CacheFacts | None = done.get("cache")
    if cache is not None:
        _add(names, CACHE, cache.folder)
        _add_storage(names, cache.storage)
    _add(names, PYTHON, sys.prefix, request.python)
    if request.python is not None and os.path.basename(os.path.dirname(request.python)) in ("bin", "Scripts"):
        _add(names, PYTHON, os.path.dirname(os.path.dirname(os.path.abspath(request.python))))
    return names


def _add(names: dict[str, str], instead: str, *paths: str | None) -> None:
    for path in filter(None, paths):
        written = [path.rstrip("/\\")]
        with suppress(OSError):  # the current directory was deleted
            written.append(os.path.abspath(path))
        for one in written:
            if ("/" in one or "\\" in one) and one not in _OF_ALL:
                names.setdefault(one, instead)
                names.setdefault(shlex.quote(one), instead)  # as a command to type has it


def _add_storage(names: dict[str, str], storage: StorageFacts) -> None:
    if storage.mount_point.startswith(("/", "\\\\")):  # no drive of Windows, which is one of 26
        _add(names, MOUNT, storage.mount_point)
    if ("/" in storage.source or "\\" in storage.source) and not storage.source.startswith("/dev/"):
        names.setdefault(storage.source, SOURCE)
