"""What each callback costs: time between two callbacks of a loop over them.

Keras' container calls its callbacks in a ``for`` loop over ``container.callbacks``. For the time of a fit that list is
one whose iterator reads the clock, so that nothing stands between Keras and a callback: no wrapper, no replaced
method, and an exception goes its usual way.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from kerasdiag import compat
from kerasdiag.step_times import CallbackTime

# Any stands for Keras' own objects.


class CallbackClock:
    """Times the callbacks of one fit.

    Attributes:
        on_batch_hook: Called with the seconds that a batch hook took while the training stood still.
        on_epoch_hook: The same for all other hooks; and whether the callback keeps the model on the disk.
        last_end_s: When the training's own thread came out of the last loop over the callbacks, None before the first.
        in_validation: Set while validation runs, whose hooks are part of its time.
        hook: Which hook the container is calling in the training's own thread, None outside of all.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Time nothing yet.

        Args:
            clock: Seconds, monotonic.
        """
        self.clock = clock
        self.on_batch_hook: list[Callable[[float], None]] = []
        self.on_epoch_hook: list[Callable[[float, bool], None]] = []
        self.last_end_s: float | None = None
        self.in_validation = False
        self.hook: str | None = None
        self._thread_id = threading.get_ident()
        self._spent: dict[int, _Spent] = {}

    def join(self, container: Any) -> None:
        """Time what this container calls from now on."""
        if not isinstance(container.callbacks, _TimedList):
            container.callbacks = _TimedList(container.callbacks, self)

    @staticmethod
    def leave(container: Any) -> None:
        """Give the container a plain list again."""
        if isinstance(container.callbacks, _TimedList):
            container.callbacks = list(container.callbacks)

    def times(self) -> tuple[CallbackTime, ...]:
        """Return what each callback has cost, the dearest first; those of a class are one."""
        by_name: dict[str, CallbackTime] = {}
        for one in list(self._spent.values()):
            before = by_name.get(one.name, CallbackTime(one.name, keeps_model=one.keeps_model))
            by_name[one.name] = CallbackTime(
                one.name,
                round(before.batch_s + one.batch_s, 7),
                round(before.epoch_s + one.epoch_s, 7),
                round(before.beside_s + one.beside_s, 7),
                one.keeps_model,
            )
        return tuple(sorted(by_name.values(), key=lambda one: -(one.batch_s + one.epoch_s)))

    def spent_of(self, callback: Any) -> _Spent | None:
        """Where the time of a callback is kept; None for our own."""
        spent = self._spent.get(id(callback))
        if spent is None:
            if type(callback).__module__.startswith("kerasdiag."):
                return None
            spent = self._spent[id(callback)] = _Spent(callback)
        return spent

    def note(self, callback: Any, duration_s: float, *, is_batch_hook: bool) -> None:
        """Note that a hook of a callback took this long."""
        spent = self.spent_of(callback)
        if spent is None or self.in_validation:
            return
        if threading.get_ident() != self._thread_id:
            spent.beside_s += duration_s
        elif is_batch_hook:
            spent.batch_s += duration_s
            for tell in self.on_batch_hook:
                tell(duration_s)
        else:
            spent.epoch_s += duration_s
            for tell_epoch in self.on_epoch_hook:
                tell_epoch(duration_s, spent.keeps_model)


class _Spent:
    """The time of one callback."""

    __slots__ = ("batch_s", "beside_s", "epoch_s", "keeps_model", "name")

    def __init__(self, callback: Any) -> None:
        self.name = type(callback).__name__
        self.keeps_model = compat.writes_checkpoints(callback)
        self.batch_s = self.epoch_s = self.beside_s = 0.0


class _TimedList(list[Any]):
    """The callbacks of a container; who goes through them is timed."""

    def __init__(self, callbacks: list[Any], clock: CallbackClock) -> None:
        super().__init__(callbacks)
        self._clock = clock

    def __iter__(self) -> Iterator[Any]:
        # Whose loop it is: on_epoch_end, _on_train_batch_end (Keras 3), _call_batch_hook_helper (Keras 2); or anybody's.
        loop = sys._getframe(1).f_code.co_name
        is_batch_hook = "batch" in loop
        if not is_batch_hook and "on_" not in loop:
            yield from super().__iter__()
            return
        callback_clock, clock = self._clock, self._clock.clock
        # Keras 3 may run batch ends beside the training.
        is_own_thread = threading.get_ident() == callback_clock._thread_id
        around = callback_clock.hook
        if is_own_thread:
            callback_clock.hook = loop
        began_s = clock()
        try:
            for callback in super().__iter__():
                yield callback
                now_s = clock()
                callback_clock.note(callback, now_s - began_s, is_batch_hook=is_batch_hook)
                began_s = now_s
        finally:
            if is_own_thread:
                callback_clock.hook = around
        if is_own_thread:
            callback_clock.last_end_s = began_s
