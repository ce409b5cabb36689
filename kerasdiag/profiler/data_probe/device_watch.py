"""When the device had finished a step, for backends that let the program run ahead of it.

JAX, and torch on a GPU, return from a step before it is computed. A batch that is waited for while the device is still busy with the step
before costs nothing; only from the moment the device is done does the training stand still. ``is_ready`` says whether
it is, at no cost; only if it is not, a thread waits for it and looks at the clock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any  # arrays are foreign objects

# When an epoch ends Keras has read its losses; a device that is not done by then hangs, and nobody should wait for it.
MOST_WAIT_S = 10.0


class DeviceWatch:
    """Watches the outputs of the latest step.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._outputs: list[Any] = []
        self._watched: _Watched | None = None
        self._orders: queue.SimpleQueue[_Watched | None] | None = None

    def follow(self, outputs: list[Any]) -> None:
        """Take the outputs of the step that has just been dispatched."""
        self._outputs, self._watched = outputs, None

    def is_busy(self) -> bool:
        """Tell whether the device still computes the latest step; from then on its end is looked at."""
        if all(one.is_ready() for one in self._outputs):
            return False
        if self._watched is None:
            if self._orders is None:
                self._start()
            assert self._orders is not None, "just made"
            self._watched = _Watched(self._outputs)
            self._orders.put(self._watched)
        return True

    def hidden_s(self, start_s: float, ready_s: float) -> float:
        """Return how much of a wait, that began while the device was busy, passed until it was done.

        Args:
            start_s: When the batch was asked for.
            ready_s: When it was there.
        """
        if self._watched is None:
            return 0.0
        done_s = self._watched.done_s
        # A thread that has just been woken may not have looked at the clock yet: the step ended about now.
        return max(0.0, min(ready_s if done_s is None else done_s, ready_s) - start_s)

    def done_s(self) -> float | None:
        """Wait for the latest step, and return when it was done; None where that was before anybody looked, or never."""
        if not self.is_busy() and self._watched is None:
            return None
        assert self._watched is not None, "is_busy has ordered it"
        self._watched.done.wait(MOST_WAIT_S)
        return self._watched.done_s

    def release(self) -> None:
        """End the thread."""
        self._outputs, self._watched = [], None
        if self._orders is not None:
            self._orders.put(None)
            self._orders = None

    def _start(self) -> None:
        self._orders = queue.SimpleQueue()
        threading.Thread(target=_serve, args=(self._orders, self._clock), name="kerasdiag-device", daemon=True).start()


class _Watched:
    """The outputs of a step, and when they were there."""

    __slots__ = ("done", "done_s", "outputs")

    def __init__(self, outputs: list[Any]) -> None:
        self.outputs = outputs
        self.done_s: float | None = None
        self.done = threading.Event()


def _serve(orders: queue.SimpleQueue[_Watched | None], clock: Callable[[], float]) -> None:
    while True:
        watched = orders.get()
        if watched is None:
            return
        try:
            for one in watched.outputs:
                one.block_until_ready()
        except Exception:  # noqa: S110  # the step failed, and the training will hear of it
            pass
        watched.done_s = clock()
        watched.outputs = []
        watched.done.set()
        del watched
