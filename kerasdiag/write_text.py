"""Text for a stream of which perhaps nobody reads."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def write_text(stream: TextIO, text: str) -> None:
    """Write ``text`` and flush. If that fails, nothing of it is left behind.

    A text that its reader did not take stays in the buffer of a stream of Python; the interpreter tries it once more
    at its exit, and ends with code 120 for it: a script would fail because kerasdiag had something to say.

    Raises:
        OSError: It can't be written, e.g. the reader has gone.
        ValueError: The stream is closed.
    """
    stream.flush()
    buffer = getattr(stream, "buffer", None) if stream in (sys.__stdout__, sys.__stderr__) else None
    if buffer is None:  # a notebook's, a test's: no file of this process
        stream.write(text)
        stream.flush()
        return
    raw = getattr(buffer, "raw", buffer)  # under PYTHONUNBUFFERED it is the file itself
    left = memoryview(text.replace("\n", os.linesep).encode(stream.encoding, stream.errors or "strict"))
    while left:
        written = raw.write(left)
        if written is None:
            raise BlockingIOError("nobody takes the text just now")
        left = left[written:]
