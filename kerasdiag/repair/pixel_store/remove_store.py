"""Delete pixel stores, and nothing that is none.

A store vanishes whole, by one rename into a directory that no reader looks into; only then are its
files deleted. What an interruption leaves there, the next cleaning deletes.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from kerasdiag.errors import StoreError
from kerasdiag.repair.pixel_store.lock import StoreLock
from kerasdiag.repair.pixel_store.store_files import TEMPORARY_SUFFIX, read_json, replace, sync_directory

_REMOVED_PREFIX = ".removed-"
_REMOVED = re.compile(re.escape(_REMOVED_PREFIX) + r"[0-9a-f]{12}-[0-9a-f]{8}")  # as _moved_aside names it
_CONTENT = {"store.json", "index.json", "shards", "plans", "jobs", "local"}
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file browsers leave anywhere


def check_removable(directory: Path) -> None:
    """Raise unless the directory is a pixel store, finished or not, of any version, and holds nothing else.

    Raises:
        StoreError: It is not, and why.
    """
    if directory.is_symlink():
        raise StoreError(f"{directory} is a symbolic link; clean {os.path.realpath(directory)} itself.")
    if not directory.is_dir():
        raise StoreError(f"There is no directory {directory}.")
    try:
        fields = read_json(directory / "store.json")
    except FileNotFoundError:
        raise StoreError(f"{directory} is not a pixel store: it has no store.json. It was left alone.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is damaged"
        raise StoreError(
            f"{directory / 'store.json'} cannot be read ({why}), so {directory} may be anything; delete it by hand if it"
            " is a pixel store."
        ) from None
    if not isinstance(fields, dict) or "kerasdiag_pixel_store" not in fields:
        raise StoreError(f"{directory} is not a pixel store of kerasdiag. It was left alone.")
    with os.scandir(directory) as entries:
        foreign = sorted(entry.name for entry in entries if not _is_ours(entry.name))
    if foreign:
        raise StoreError(
            f"{directory} is a pixel store, but holds {foreign[0]}"
            f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''} too, which is not kerasdiag's. Move that"
            " away first."
        )


def remove_store(directory: Path) -> None:
    """Delete a pixel store.

    Raises:
        StoreError: It is none, it is being written, or it cannot be deleted.
    """
    check_removable(directory)
    lock_path = directory.parent / f"{directory.name}.lock"
    try:
        with StoreLock(lock_path, wait=False) as lock:
            if not lock.held:
                raise StoreError(f"{directory} is being written by {_owner(lock_path)}. It was left alone.")
            check_removable(directory)  # somebody else may have been faster
            aside = _moved_aside(directory)
    except OSError as error:
        raise StoreError(f"{directory} cannot be deleted: {error.strerror or error}. It is as it was.") from error
    remove_left_over(aside)


def left_over(stores_dir: Path) -> list[Path]:
    """Return what interrupted removals left in a directory of stores."""
    try:
        return sorted(path for path in stores_dir.glob(f"{_REMOVED_PREFIX}*") if is_left_over(path))
    except OSError:
        return []


def is_left_over(path: Path) -> bool:
    """Whether an interrupted removal left this directory."""
    return _REMOVED.fullmatch(path.name) is not None and path.is_dir() and not path.is_symlink()


def remove_left_over(aside: Path) -> None:
    """Delete what a removal has put aside.

    Raises:
        StoreError: Some of it cannot be deleted.
    """
    try:
        shutil.rmtree(aside)
    except OSError as error:
        if not aside.exists():
            return  # another cleaning was at it, too
        raise StoreError(
            f"The store is gone, but not all of its files can be deleted ({error.strerror or error}:"
            f" {error.filename}). `kerasdiag store clean` tries again; they are in {aside}."
        ) from error


def _moved_aside(directory: Path) -> Path:
    """Move a store into a new directory beside it: in one step it is no longer where stores are looked for."""
    aside = directory.with_name(f"{_REMOVED_PREFIX}{directory.name}-{os.urandom(4).hex()}")
    aside.mkdir(mode=0o700)
    try:
        replace(directory, aside / directory.name)
    except BaseException:
        with suppress(OSError):
            aside.rmdir()
        raise
    sync_directory(directory.parent)
    return aside


def _is_ours(name: str) -> bool:
    return name in _CONTENT or name in _LITTER or (name.startswith(".") and name.endswith(TEMPORARY_SUFFIX))


def _owner(lock_path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        fields = read_json(lock_path)
        return f"process {fields['pid']} on {fields['host']}"
    return "another process"
