"""Files whose content is in a cloud only: a read fetches it (OneDrive, iCloud, Dropbox)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any  # what os.stat returns has more fields on some systems

# FILE_ATTRIBUTE_OFFLINE and FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS of winnt.h
_WINDOWS = 0x1000 | 0x400000
# SF_DATALESS of macOS' sys/stat.h
_MACOS = 0x40000000


def count_placeholders(files: Sequence[str], stat: Callable[[str], Any] = os.stat) -> int | None:
    """Return how many of these files would be fetched by a read; None where the system does not tell.

    Args:
        files: Their paths; one that cannot be looked at is no placeholder.
        stat: ``os.stat``.
    """
    answers = [answer for answer in (_is_placeholder(file, stat) for file in files) if answer is not None]
    return sum(answers) if answers else None


def _is_placeholder(file: str, stat: Callable[[str], Any]) -> bool | None:
    try:
        found = stat(file)
    except (OSError, ValueError):
        return None
    attributes, flags = getattr(found, "st_file_attributes", None), getattr(found, "st_flags", None)
    if attributes is None and flags is None:  # Linux
        return None
    return bool((attributes or 0) & _WINDOWS or (flags or 0) & _MACOS)
