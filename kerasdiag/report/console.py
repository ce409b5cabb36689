"""What a stream can show: width, colours, character set; and text made for just that by rich."""

from __future__ import annotations

import io
import os
from typing import IO, Any

from rich.console import Console


def make_text(*parts: Any, width: int, color: bool, ascii_only: bool) -> str:  # Any: whatever rich can print
    """Return parts as rich prints them, decided by the arguments alone.

    Args:
        *parts: Printed one below the other.
        width: Columns, at least 40.
        color: Whether to add ANSI colours.
        ascii_only: Whether the output can hold ASCII only.
    """
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=max(40, width),
        force_terminal=color,
        force_jupyter=False,  # else rich displays the text itself in a notebook, and returns nothing
        color_system="standard" if color else None,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
        _environ={},
    )
    for part in parts:
        # What may not wrap, such as the place of a finding, is neither broken nor cut off.
        console.print(part, soft_wrap=bool(getattr(part, "no_wrap", False)))
    text = "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))  # rich fills its columns
    # Names of files and classes may hold anything.
    return text.encode("ascii", "replace").decode("ascii") if ascii_only else text


def stream_width(stream: IO[str]) -> int:
    """Columns that ``COLUMNS`` names, else those of the terminal behind the stream, at most 100; 80 where there is none."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named):
        return min(100, int(named))
    try:
        return min(100, os.get_terminal_size(stream.fileno()).columns or 80)
    except (OSError, ValueError, AttributeError):
        return 80


def wants_color(stream: IO[str]) -> bool:
    """Colours only on a terminal that has them; ``NO_COLOR`` (no-color.org) and a dumb terminal say no."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def can_encode(stream: IO[str], text: str) -> bool:
    """Tell whether the stream's character set holds ``text``."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
