"""Work that may never come back: a stat on a dead network file system hangs for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, Optional, TypeVar

Value = TypeVar("Value")


class Background(Generic[Value]):
    """Runs a function in a daemon thread from now on; an error is kept for whoever asks for the result."""

    def __init__(self, work: Callable[[], Value], name: str) -> None:
        self._work = work
        self._value: Optional[Value] = None
        self.error: Optional[BaseException] = None
        self.duration_s: Optional[float] = None
        # A daemon, so that the process can end while it hangs.
        self._thread = threading.Thread(target=self._run, name=f"kerasdiag-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        begin = time.monotonic()
        try:
            self._value = self._work()
        except BaseException as error:  # a SystemExit in a thread would vanish
            self.error = error
        self.duration_s = time.monotonic() - begin

    @property
    def is_done(self) -> bool:
        """Whether it came to an end."""
        return not self._thread.is_alive()

    def wait(self, until: float | None = None) -> bool:
        """Wait until it is done, or until ``time.monotonic()`` is ``until``; tell whether it is done."""
        self._thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return self.is_done

    def result(self) -> Value:
        """Wait, and return what the function returned or raise what it raised."""
        self.wait()
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # it is done and raised nothing
