"""The distinct image files of a generator, named relative to one data root."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasdiag.errors import StoreError

_SAME_TICK_S = 3.0  # FAT counts time in steps of 2 s


@dataclass(frozen=True, eq=False)
class Sources:
    """The distinct files behind the rows of a generator.

    Attributes:
        root: Absolute path of the directory that holds them all.
        names: Path of each file relative to ``root``, with ``/`` between the parts, in order of
            first appearance. ``os.fsencode`` gives the bytes of a name that is no valid text.
        source_of_row: For each row the position of its file in ``names``, int64 [rows]. A
            DataFrame may name a file many times.
    """

    root: str
    names: tuple[str, ...]
    source_of_row: np.ndarray[Any, Any]

    def path(self, name: str) -> str:
        """Return the absolute path of one of the files."""
        return path_of(self.root, name)


def path_of(root: str, name: str) -> str:
    """Return the path of the file that is called ``name`` under ``root``."""
    return os.path.join(root, *name.split("/")) if os.sep != "/" else f"{root.rstrip('/')}/{name}"


def settled_mtime_ns(status: os.stat_result) -> int:
    """Return a file's time of change, or -1 where it is so young that it may change again without a new one."""
    changed_ns = time_of_change_ns(status)
    return changed_ns if time.time() - changed_ns / 1e9 > _SAME_TICK_S else -1


def time_of_change_ns(status: os.stat_result) -> int:
    """Return when a file's content or name last changed.

    Not the time of modification, which copying tools set to that of the original: a file of a fixed
    size could then be exchanged unnoticed. Windows has no other.
    """
    return status.st_mtime_ns if os.name == "nt" else status.st_ctime_ns


def find_sources(filepaths: Sequence[str], directory: str | None) -> Sources:
    """Return the distinct files among ``filepaths``.

    The root is ``directory`` where all rows lie under it, else their common parent. Symbolic links
    are names like any other: they are not resolved.

    Args:
        filepaths: Path of each row, as the generator opens it.
        directory: The generator's ``directory``, or None.

    Raises:
        StoreError: There are no rows, or they lie on different drives.
    """
    if len(filepaths) == 0:
        raise StoreError("The generator has no rows, so there is nothing to convert. Check its DataFrame and `x_col`.")
    number_of: dict[str, int] = {}
    source_of_row = np.fromiter(
        (number_of.setdefault(os.fspath(path), len(number_of)) for path in filepaths), np.int64, len(filepaths)
    )
    # Two spellings of one path are one source.
    absolute: dict[str, int] = {}
    renumbered = np.fromiter(
        (absolute.setdefault(_absolute(path), len(absolute)) for path in number_of), np.int64, len(number_of)
    )
    root = _common_root(list(absolute), directory)
    start = len(root) if root.endswith(os.sep) else len(root) + 1
    names = (path[start:] for path in absolute)
    if os.sep != "/":
        names = (name.replace(os.sep, "/") for name in names)
    return Sources(root, tuple(names), renumbered[source_of_row])


def _absolute(path: str) -> str:
    absolute = os.path.abspath(path)
    if os.pardir in path:
        # "link/.." is not where a symbolic link stands but where it leads.
        folder, true_folder = os.path.dirname(absolute), os.path.realpath(os.path.dirname(path))
        if os.path.realpath(folder) != true_folder:
            return os.path.join(true_folder, os.path.basename(path))
    return absolute


def _common_root(paths: list[str], directory: str | None) -> str:
    if directory is not None:
        root = os.path.abspath(directory)
        below = root if root.endswith(os.sep) else root + os.sep
        if all(path.startswith(below) for path in paths):
            return root
    try:
        return os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError as error:  # Windows: C: and D:
        raise StoreError(
            f"The rows lie on different drives ({error}). Put the images under one directory, or make one generator per drive."
        ) from None
