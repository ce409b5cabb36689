"""Where kerasdiag keeps what it may need again."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

VARIABLE = "KERASDIAG_CACHE_DIR"


def cache_directory() -> Path:
    """Return the cache directory to write to; it may not exist yet.

    ``KERASDIAG_CACHE_DIR``, else the platform's own, else, where there is no home or a read-only
    one, a private directory among the temporary files.
    """
    return cache_directories()[-1]


def cache_directories() -> tuple[Path, ...]:
    """Return where to look: the cache directory, preceded by the platform's own if that is read only."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return (Path(chosen).expanduser(),)
    import platformdirs  # here, so that `import kerasdiag` stays fast

    platform = Path(platformdirs.user_cache_dir("kerasdiag", appauthor=False))
    if _is_writable(platform):
        return (platform,)
    return (platform, _temporary()) if platform.is_absolute() else (_temporary(),)


def _is_writable(path: Path) -> bool:
    """Whether a directory can be made or written; "~/..." stays relative where there is no home."""
    if not path.is_absolute():
        return False
    existing = next((one for one in (path, *path.parents) if one.exists()), None)
    return existing is not None and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _temporary() -> Path:
    """Return a directory that belongs to this user, whoever else writes to the temporary files."""
    user = os.getuid() if hasattr(os, "getuid") else None
    for number in range(100):
        path = Path(tempfile.gettempdir()) / f"kerasdiag-{user or 0}{f'-{number}' if number else ''}"
        try:
            status = os.lstat(path)
        except OSError:
            return path  # not there yet
        if stat.S_ISDIR(status.st_mode) and (user is None or status.st_uid == user):
            return path
    return Path(tempfile.mkdtemp(prefix="kerasdiag-"))
