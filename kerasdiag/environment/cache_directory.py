"""Where kerasdiag keeps what it may need again."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "KERASDIAG_CACHE_DIR"


def cache_directory() -> Path:
    """Return the cache directory: ``KERASDIAG_CACHE_DIR`` or the platform's own. It may not exist yet."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs  # here, so that `import kerasdiag` stays fast

    return Path(platformdirs.user_cache_dir("kerasdiag", appauthor=False))
