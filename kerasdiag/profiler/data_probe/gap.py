"""torch, and JAX before Keras 3.7: Keras pulls the batch before ``on_train_batch_begin``, so the wait lies between steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasdiag import compat
from kerasdiag.profiler.data_probe.device_watch import DeviceWatch
from kerasdiag.profiler.data_probe.price import ReadyInput, price_of_conversion
from kerasdiag.profiler.data_probe.way import Recording, Way, leading_shape, say

METHOD = "gap"

# Any stands for Keras' own objects.


class Gap(Way):
    """Takes the time from the end of the last callback to the next batch as the wait.

    Args:
        probe: Where the marks go.
        model: The model.
        last_hook_s: When the training last came out of a hook of its callbacks; None before the first.
        ready_input: Makes an input that is always ready, where there is one.
    """

    method = METHOD
    pulls_between_steps = True

    def __init__(
        self,
        probe: Recording,
        model: Any,
        last_hook_s: Callable[[], float | None],
        ready_input: ReadyInput | None,
    ) -> None:
        super().__init__(probe)
        self._ready_input = ready_input
        self._backend = compat.backend_name(model)
        self._last_hook_s = last_hook_s
        self._watch = DeviceWatch(self._clock)
        self._is_jitted = not model.run_eagerly and compat.compiles_with_xla(model)
        self._seen_shapes: set[Any] = set()
        self._marks: tuple[float | None, float, float] | None = None  # asked, ready, hidden
        self._is_busy = False

    def begin_batch(self, batch: int) -> None:  # noqa: ARG002
        """The batch is there."""
        ready_s = self._clock()
        asked_s = self._last_hook_s()
        hidden_s = self._watch.hidden_s(asked_s, ready_s) if self._is_busy and asked_s is not None else 0.0
        self._marks = asked_s, ready_s, hidden_s

    def end_batch(self) -> None:
        """Keras goes for the next batch: if the device is still busy, that costs nothing for now."""
        self._is_busy = self._watch.is_busy()

    def run(self, train_function: Any, arguments: tuple[Any, ...]) -> Any:
        """Make Keras' call, and mark its end."""
        self._keep(arguments[-1][0])
        result = train_function(*arguments)
        end_s = self._clock()
        try:
            asked_s, ready_s, hidden_s = self._marks or (None, end_s, 0.0)
            if asked_s is not None:
                compiled = self._has_compiled(arguments[-1])
                self._probe.record(asked_s, ready_s, end_s, hidden_wait_s=hidden_s, compiled=compiled)
            self._watch.follow(compat.work_in_flight(self._backend, result))
            if self._ready_input is not None:
                ready_input, self._ready_input = self._ready_input, None
                self._price_pulls(lambda: price_of_conversion(ready_input, arguments[-1][0], self._clock))
            self._price_a_pull()
        except Exception as fault:
            self._probe.stop_recording(f"the profiler failed in a step ({say(fault)})")
        return result

    def _has_compiled(self, batch: Any) -> bool:
        shape = leading_shape(batch)
        compiled = self._is_jitted and shape not in self._seen_shapes
        self._seen_shapes.add(shape)
        return compiled

    def drained_s(self) -> float | None:
        """When the last step of an epoch was done; Keras has read its losses by then."""
        return self._watch.done_s()

    def release(self) -> None:
        """Drop the outputs of the last step, and end the thread."""
        self._watch.release()
        super().release()
