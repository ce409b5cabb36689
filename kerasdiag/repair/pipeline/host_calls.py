"""Let the interpreter end while tf.data still makes batches ahead.

An iterator that lives until the interpreter ends (a variable of the script, the traceback of a
Ctrl-C) is destroyed when no other thread may run Python any more. TensorFlow then waits for its
threads, and a thread that waits to run Python never comes: the process hangs. So at exit, while
threads still run, every further batch becomes an empty one at once, and those in the making are
waited for.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any  # what tf.data calls for: arrays, or the number of a pass

_QUIET_S = 0.05  # what was begun before, and what fills tf.data's buffers, comes within this time
_LONGEST_WAIT_S = 10.0

_alive: weakref.WeakSet[HostCalls] = weakref.WeakSet()


class HostCalls:
    """The calls of one dataset into Python."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._ended = False
        self._last_s = 0.0
        _alive.add(self)

    def run(self, make: Callable[..., Any], nothing: Any, *arguments: int) -> Any:
        """Return what ``make`` makes of the arguments, or ``nothing`` if the interpreter is about to end."""
        with self._lock:
            self._last_s = time.monotonic()
            if self._ended:
                return nothing
            self._running += 1
        try:
            return make(*arguments)
        finally:
            with self._lock:
                self._running -= 1
                self._last_s = time.monotonic()

    def end(self) -> None:
        """Make nothing from now on."""
        with self._lock:
            self._ended = True

    @property
    def is_quiet(self) -> bool:
        """Whether no call runs and none came lately."""
        with self._lock:
            return not self._running and time.monotonic() - self._last_s > _QUIET_S


@atexit.register
def end_all() -> None:
    """Wait until no dataset calls into Python any more."""
    calls = list(_alive)
    for one in calls:
        one.end()
    limit = time.monotonic() + _LONGEST_WAIT_S
    while not all(one.is_quiet for one in calls) and time.monotonic() < limit:
        time.sleep(0.005)
