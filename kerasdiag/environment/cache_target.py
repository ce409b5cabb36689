"""The disk that autofix would write its store to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kerasdiag.environment.cache_directory import cache_directory
from kerasdiag.environment.storage import StorageFacts, storage_of


@dataclass(frozen=True)
class CacheFacts:
    """A folder and what is left on its disk.

    Attributes:
        folder: Where the store would lie.
        storage: What that lies on.
        free_bytes: What this user may still write there, None where the system does not tell.
        free_files: How many files may still be made, None where there is no such limit.
    """

    folder: str
    storage: StorageFacts
    free_bytes: int | None
    free_files: int | None


def find_cache(root: Path = Path("/"), folder: str | None = None) -> CacheFacts:
    """Look at the disk under the cache directory, or under the folder above it that exists.

    Args:
        root: Where ``/proc``, ``/sys`` and the folder are found.
        folder: Instead of kerasdiag's own.
    """
    folder = os.fspath(cache_directory()) if folder is None else folder
    inside = Path(folder) if root == Path("/") else root / folder.lstrip("/")
    existing = next((one for one in (inside, *inside.parents) if os.path.exists(one)), inside)
    try:
        found = os.statvfs(existing)
    except (OSError, AttributeError):  # Windows
        return CacheFacts(folder, storage_of(folder, root), _free_by_shutil(existing), None)
    # File systems without a limit on files say 0 of 0.
    return CacheFacts(
        folder, storage_of(folder, root), found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
    )


def _free_by_shutil(folder: Path) -> int | None:
    import shutil

    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
