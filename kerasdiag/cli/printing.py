"""Print what any terminal can show: names that are no valid text, and old Windows code pages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime


def show(text: str) -> None:
    """Print a line on stdout; characters that it cannot show appear as escapes."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def show_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print rows in aligned columns; those whose numbers are in ``right`` end at one place."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths))
        ]
        show("  ".join(cells).rstrip())


def local_time(seconds: float | None) -> str:
    """Return a time to the minute, in this machine's time zone."""
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"
