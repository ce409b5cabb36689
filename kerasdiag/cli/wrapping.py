"""Wrap a page of plain text to a width, whatever width its author wrapped it to."""

from __future__ import annotations

import itertools
import textwrap


def wrap_page(text: str, width: int) -> str:
    """Return a page whose paragraphs fit a width; its indentation stays, and long words are not broken.

    Neighbouring lines of the same indentation are one paragraph; an empty line, and a line that is indented
    otherwise, begin another one.

    Args:
        text: Plain text.
        width: Columns.
    """
    lines = (line.rstrip() for line in text.split("\n"))
    blocks = itertools.groupby(lines, key=lambda line: len(line) - len(line.lstrip()) if line else None)
    wrapped = (
        "\n".join(block) if indent is None else _fill(" ".join(map(str.strip, block)), " " * indent, width)
        for indent, block in blocks
    )
    return "\n".join(wrapped)


def _fill(text: str, indent: str, width: int) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,  # paths and what is to be typed
        break_on_hyphens=False,  # names of options
    )
