"""Pulls the batches of an execution of several steps as Keras' own graph does: some while a step computes.

The graph of Keras 3 for ``steps_per_execution`` > 1 asks for the next batch while the model is still busy with the last
one; pulled strictly in turns, an input without prefetch would make such a training up to twice as long.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any  # iterators and batches are foreign objects


class PullAhead:
    """Gives the batches of one execution after the other, never more than the execution takes.

    Args:
        ahead: How many batches are pulled while a step computes: 0, 1, or all of the execution (None).
        clock: Seconds, monotonic.
    """

    def __init__(self, ahead: int | None, clock: Callable[[], float]) -> None:
        self._ahead = ahead
        self._clock = clock
        self._orders: queue.SimpleQueue[tuple[Any, int] | None] | None = None
        self._pulled: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._iterator: Any = None
        self._left = 0
        self._ordered = 0

    def begin(self, iterator: Any, count: int) -> None:
        """Begin an execution of ``count`` steps."""
        self._iterator, self._left, self._ordered = iterator, count, 0

    def pull(self) -> tuple[float, Any, float]:
        """Return when the next batch was asked for, the batch, and when it was there.

        Raises:
            Exception: What the iterator raises, such as StopIteration.
        """
        start_s = self._clock()
        self._left -= 1
        if not self._ordered:
            batch = next(self._iterator)
            return start_s, batch, self._clock()
        batch, error = self._pulled.get()
        self._ordered -= 1
        if error is not None:
            self._ordered = 0  # the thread stopped there
            raise error
        return start_s, batch, self._clock()

    def order(self) -> None:
        """Let what may be pulled while the next step computes be pulled."""
        wanted = self._left if self._ahead is None else min(self._ahead, self._left)
        missing = wanted - self._ordered
        if missing > 0:
            if self._orders is None and not self._start():
                return  # no thread is to be had: the batch is pulled when it is asked for
            assert self._orders is not None, "just made"
            self._orders.put((self._iterator, missing))
            self._ordered += missing

    def release(self) -> None:
        """End the thread once it has pulled what was ordered."""
        self._iterator = None
        self._pulled = queue.SimpleQueue()  # what an exception left in it is nobody's
        if self._orders is not None:
            self._orders.put(None)
            self._orders = None

    def _start(self) -> bool:
        orders: queue.SimpleQueue[tuple[Any, int] | None] = queue.SimpleQueue()
        try:
            # A daemon: an input that never answers must not keep the process from ending.
            threading.Thread(target=_serve, args=(orders, self._pulled), name="kerasdiag-pull", daemon=True).start()
        except RuntimeError:  # too many threads
            return False
        self._orders = orders
        return True


def _serve(
    orders: queue.SimpleQueue[tuple[Any, int] | None], pulled: queue.SimpleQueue[tuple[Any, BaseException | None]]
) -> None:
    while True:
        order = orders.get()
        if order is None:
            return
        iterator, count = order
        try:
            for _ in range(count):
                pulled.put((next(iterator), None))
        except BaseException as error:
            pulled.put((None, error))
        del iterator, order
