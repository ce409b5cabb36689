"""Print what any terminal can show: names that are no valid text, and old Windows code pages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

from kerasdiag.errors import ReportError
from kerasdiag.write_text import write_text


def write_out(text: str) -> None:
    """Write to stdout; characters that it cannot show appear as escapes. Without a stdout (``>&-``) it goes nowhere.

    Raises:
        ReportError: Nobody can take it, for the disk is full say.
        BrokenPipeError: Its reader has gone.
    """
    if sys.stdout is None:
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        write_text(sys.stdout, text.encode(encoding, "backslashreplace").decode(encoding))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ReportError(f"the output cannot be written: {error.strerror or error}.") from None


def show(text: str) -> None:
    """Print a line on stdout; see ``write_out``."""
    write_out(f"{text}\n")


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
