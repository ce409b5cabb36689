"""End the process from inside a training step."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from typing import NoReturn


def end_process(code: int = 0) -> NoReturn:
    """End this process and its loader processes at once; nothing of the script is run any more.

    What the script has printed is flushed. Its ``finally``, ``atexit`` and ``__del__`` are not run:
    they would save a model that trained for seconds.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, a full disk, a reader that is gone
            stream.flush()
    # Without a pause until the end: a pool would replace the workers that it misses.
    with contextlib.suppress(Exception):
        for child in multiprocessing.active_children():
            child.terminate()
    os._exit(code)
