"""What callbacks cost, by a clock of the test's own and without a training."""

from __future__ import annotations

import threading

from kerasdiag.profiler.callback_clock import CallbackClock


class Plotting:
    """A callback that works beside the training."""


class Logging:
    """One that holds the training up."""


def test_the_dearest_callback_is_the_one_that_holds_the_training_up():
    """What runs in a thread of its own costs the training nothing, however long it takes."""
    clock = CallbackClock(lambda: 0.0)
    plotting, logging = Plotting(), Logging()
    clock.note(logging, 2.0, is_batch_hook=True)
    beside = threading.Thread(target=clock.note, args=(plotting, 9.0), kwargs={"is_batch_hook": True})
    beside.start()
    beside.join()
    clock.note(plotting, 1.0, is_batch_hook=False)
    assert [(one.name, one.beside_s) for one in clock.times()] == [("Logging", 0.0), ("Plotting", 9.0)]
