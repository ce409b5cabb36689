"""JAX from Keras 3.7 on: ``train_function(state, iterator)`` pulls its batches in Python; the iterator is timed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kerasdiag import compat
from kerasdiag.profiler.data_probe.device_watch import DeviceWatch
from kerasdiag.profiler.data_probe.price import ReadyInput, price_of_conversion
from kerasdiag.profiler.data_probe.way import Recording, Way, leading_shape, say

METHOD = "timed-iterator"

# Any stands for Keras' own objects: iterators, batches, logs.


class JaxIterator(Way):
    """Hands Keras' function an iterator that reads the clock; everything else is Keras' own."""

    method = METHOD

    def __init__(self, probe: Recording, model: Any, ready_input: ReadyInput | None) -> None:
        super().__init__(probe)
        self._ready_input = ready_input
        self._watch = DeviceWatch(self._clock)
        self._is_jitted = not model.run_eagerly and compat.compiles_with_xla(model)
        self._seen_shapes: set[Any] = set()

    def run(self, train_function: Any, arguments: tuple[Any, ...]) -> Any:
        """Make Keras' call with a timed iterator as its second argument."""
        state, iterator = arguments
        timed = _TimedIterator(iterator, self)
        logs, state = train_function(state, timed)
        end_s = self._clock()
        try:
            self._record(timed.marks, end_s)
            self._watch.follow(compat.work_in_flight("jax", logs))
        except Exception as fault:
            self._probe.stop_recording(f"the profiler failed in a step ({say(fault)})")
        return logs, state

    def _record(self, marks: list[_Mark], end_s: float) -> None:
        ends = [*(mark.start_s for mark in marks[1:]), end_s]
        for mark, until_s in zip(marks, ends):
            compiled = self._is_jitted and mark.shape not in self._seen_shapes
            self._seen_shapes.add(mark.shape)
            self._probe.record(mark.start_s, mark.ready_s, until_s, hidden_wait_s=mark.hidden_wait_s, compiled=compiled)

    def pull(self, iterator: Any, marks: list[_Mark]) -> Any:
        """Pull one batch, and mark when."""
        # Within an execution of several steps the outputs of the step before are not at hand: the whole wait counts.
        is_first = not marks
        self._price_a_pull()
        start_s = self._clock()
        is_busy = is_first and self._is_busy()
        batch = next(iterator)
        ready_s = self._clock()
        self._keep(batch)
        hidden_wait_s = self._watch.hidden_s(start_s, ready_s) if is_busy else 0.0
        if self._ready_input is not None:
            ready_input, self._ready_input = self._ready_input, None
            self._price_pulls(lambda: price_of_conversion(ready_input, batch, self._clock))
        marks.append(_Mark(start_s, ready_s, hidden_wait_s, leading_shape(batch)))
        return batch

    def _is_busy(self) -> bool:
        try:
            return self._watch.is_busy()
        except Exception as fault:
            self._probe.stop_recording(f"the profiler failed before a step ({say(fault)})")
            return False

    def end_batch(self) -> None:
        """If the device is still busy, its end is looked at: nobody knows which step is the last of an epoch."""
        self._watch.is_busy()

    def drained_s(self) -> float | None:
        """When the last step of an epoch was done; Keras has read its losses by then."""
        return self._watch.done_s()

    def release(self) -> None:
        """Drop the outputs of the last step, and end the thread."""
        self._watch.release()
        super().release()


class _Mark:
    """When a step asked for its batch and had it, and of which shape it is."""

    __slots__ = ("hidden_wait_s", "ready_s", "shape", "start_s")

    def __init__(self, start_s: float, ready_s: float, hidden_wait_s: float, shape: Any) -> None:
        self.start_s = start_s
        self.ready_s = ready_s
        self.hidden_wait_s = hidden_wait_s
        self.shape = shape


class _TimedIterator:
    """Keras' iterator, with the clock read before and after each pull."""

    def __init__(self, iterator: Any, way: JaxIterator) -> None:
        self._iterator = iterator
        self._way = way
        self.marks: list[_Mark] = []

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._way.pull(self._iterator, self.marks)
