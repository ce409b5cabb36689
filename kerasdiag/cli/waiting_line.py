"""A line on a terminal that says what is being done."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO

from kerasdiag.write_text import write_text

_WIDTH = 80  # where the terminal does not know its own


class WaitingLine:
    """The line; ``clear`` takes it away.

    Args:
        stream: Where the terminal may be; None: the process was started without one.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._shown = ""

    def clear(self) -> None:
        """Leave an empty line."""
        self._show("")

    def tell(self, doing: str) -> None:
        """Show what is being done."""
        with suppress(OSError, ValueError):  # closed meanwhile
            if self._stream is not None and self._stream.isatty():
                self._show(f"{doing} ..." if doing else "")

    def _show(self, text: str) -> None:
        # A longer one would go on in the next line of the terminal, from which nothing takes it away again.
        text = text[: self._width() - 1]
        if self._stream is None or text == self._shown:
            return
        line = "\r" + text.ljust(len(self._shown)) + ("" if text else "\r")
        self._shown = text
        with suppress(OSError, ValueError):  # nobody reads it: the report matters
            write_text(self._stream, line)

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno() if self._stream else -1).columns or _WIDTH
        except (OSError, ValueError):
            return _WIDTH
