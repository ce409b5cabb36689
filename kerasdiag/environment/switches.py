"""Environment variables that turn kerasdiag off."""

from __future__ import annotations

import os

DISABLE_VARIABLE = "KERASDIAG_DISABLE"


def is_disabled() -> bool:
    """Tell whether ``KERASDIAG_DISABLE`` turns profiler and autofix into no-ops."""
    return os.environ.get(DISABLE_VARIABLE, "") not in ("", "0")
