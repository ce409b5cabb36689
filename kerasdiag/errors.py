"""Everything kerasdiag raises on purpose.

    KerasDiagError
    +-- ProfileFileError      a saved profile that cannot be read
    +-- ReportError           a report that cannot be made or written

Each message says what happened, what was expected, and how to mend it.
This module imports nothing from the package, so that every other may import it.
"""

from __future__ import annotations


class KerasDiagError(Exception):
    """Base of all errors that kerasdiag raises on purpose."""


class ProfileFileError(KerasDiagError, ValueError):
    """A profile file is unreadable, truncated, foreign, or newer than this kerasdiag."""


class ReportError(KerasDiagError, ValueError):
    """A report cannot be made in the format asked for, or cannot be written where asked for."""
