"""The recorder on a fake clock: periods, epochs, warm-up, exclusion, bounded memory."""

from __future__ import annotations

import pytest

from kerasdiag.profiler import recorder as recorder_module
from kerasdiag.profiler.recorder import WARM_UP_STEPS, StepRecorder


class FakeFit:
    """Plays steps on a clock of its own."""

    def __init__(self, pull_overhead_s=0.0):
        self.now = 100.0
        self.recorder = StepRecorder(self.now, pull_overhead_s)

    def step(self, wait_s, compute_s, callbacks_s=0.0, compiled=False):
        start = self.now
        self.now += wait_s
        ready = self.now
        self.now += compute_s
        self.recorder.add_step(start, ready, self.now, compiled=compiled)
        self.now += callbacks_s
        self.recorder.end_step(self.now)


def test_period_reaches_to_the_start_of_the_next_step():
    """Callbacks and whatever else Keras does between two steps belong to the training time."""
    fit = FakeFit()
    fit.step(0.1, 0.2, callbacks_s=0.03)
    fit.step(0.1, 0.2)
    assert fit.recorder.step_times().period_s == pytest.approx((0.33, 0.3))
    assert fit.recorder.step_times().wait_s == pytest.approx((0.1, 0.1))


def test_validation_is_not_in_the_last_step_of_an_epoch():
    """What happens between two epochs is no step's time."""
    fit = FakeFit()
    fit.step(0.1, 0.2, callbacks_s=0.01)
    fit.recorder.end_epoch()
    fit.now += 60
    fit.recorder.begin_epoch(1)
    fit.step(0.1, 0.2)
    times = fit.recorder.step_times()
    assert times.period_s == pytest.approx((0.31, 0.3))
    assert times.epoch == (0, 1)
    assert times.start_s == pytest.approx((0.0, 60.31))


def test_first_steps_and_compile_steps_are_warm_up():
    """They are kept and marked."""
    fit = FakeFit()
    for _ in range(WARM_UP_STEPS + 3):
        fit.step(0, 0.1)
    fit.step(0, 5.0, compiled=True)
    fit.step(0, 0.1)
    times = fit.recorder.step_times()
    assert times.warm_up == (1,) * WARM_UP_STEPS + (0, 0, 0, 1, 0)
    assert fit.recorder.measured_steps == 4
    assert times.measured.num_steps == 4
    assert sum(times.measured.period_s) == pytest.approx(0.4)


def test_first_step_of_a_later_epoch_counts():
    """Waiting for a shuffle buffer or for workers to start is waiting for data."""
    fit = FakeFit()
    for _ in range(6):
        fit.step(0, 0.1)
    fit.recorder.end_epoch()
    fit.recorder.begin_epoch(1)
    fit.step(2.0, 0.1)
    assert fit.recorder.step_times().measured.wait_s == pytest.approx((0, 2.0))


def test_pull_overhead_is_taken_out_of_the_wait():
    """Asking costs something even where nobody waits; a wait is never negative."""
    fit = FakeFit(pull_overhead_s=0.01)
    fit.step(0.05, 0.1)
    fit.step(0.004, 0.1)
    assert fit.recorder.step_times().wait_s == pytest.approx((0.04, 0.0))
    assert fit.recorder.step_times().period_s == pytest.approx((0.15, 0.104))


def test_a_pull_that_takes_no_longer_than_asking_may_take_is_no_wait(monkeypatch):
    """Noise does not add up to a wait, however many rows are merged, and hides none that is longer."""
    monkeypatch.setattr(recorder_module, "MAX_ROWS", 64)
    fit = FakeFit(pull_overhead_s=0.010)
    fit.recorder.longest_pull_s = 0.013
    for number in range(2000):
        fit.step(0.05 if number % 100 == 50 else (0.001, 0.009, 0.0129)[number % 3], 0.02)
    times = fit.recorder.step_times()
    assert len(times) <= 64
    assert sum(times.wait_s) == pytest.approx(20 * 0.04)
    assert sum(times.waited_steps) == 20
    fit.recorder.pull_overhead_s = 0.02  # known better by now; what was merged before stays
    assert sum(fit.recorder.step_times().wait_s) == pytest.approx(20 * 0.04, rel=0.1)


@pytest.mark.parametrize("ends", ["next step", "epoch end", "still open"])
def test_excluded_time_is_nobodys(ends):
    """Printing a verdict between two steps does not make the training slower in the report."""
    fit = FakeFit()
    fit.step(0.1, 0.2)
    fit.now += 7
    fit.recorder.exclude(7)
    if ends == "next step":
        fit.step(0.1, 0.2)
    elif ends == "epoch end":
        fit.recorder.end_epoch()
    assert fit.recorder.step_times().period_s[0] == pytest.approx(0.3)


def test_reading_does_not_end_a_step():
    """A profile may be read in the middle of a fit, by anybody, any number of times."""
    fit = FakeFit()
    fit.step(0.1, 0.2)
    assert fit.recorder.step_times() == fit.recorder.step_times()
    fit.now += 0.5
    fit.step(0.1, 0.2)
    assert fit.recorder.step_times().period_s == pytest.approx((0.8, 0.3))


def test_long_run_stays_bounded_and_keeps_every_sum(monkeypatch):
    """Neighbouring rows are merged; counts, waits and periods are still exact."""
    monkeypatch.setattr(recorder_module, "MAX_ROWS", 64)
    fit = FakeFit()
    for number in range(5000):
        if number and number % 1000 == 0:
            fit.recorder.end_epoch()
            fit.recorder.begin_epoch(number // 1000)
        fit.step(0.001 * (number % 7), 0.01)
    times = fit.recorder.step_times()
    assert len(times) <= 64
    assert times.num_steps == 5000
    assert sum(times.wait_s) == pytest.approx(sum(0.001 * (number % 7) for number in range(5000)), rel=1e-6)
    assert sum(times.period_s) == pytest.approx(fit.now - 100.0, rel=1e-6)
    assert times.measured.num_steps == 5000 - WARM_UP_STEPS
    steps_of = {epoch: sum(s for s, e in zip(times.steps, times.epoch) if e == epoch) for epoch in range(5)}
    assert steps_of == dict.fromkeys(range(5), 1000)
    assert list(times.start_s) == sorted(times.start_s)


def test_thousands_of_tiny_epochs_stay_bounded(monkeypatch):
    """One step per epoch leaves nothing to merge inside an epoch, and must not grow for ever."""
    monkeypatch.setattr(recorder_module, "MAX_ROWS", 64)
    fit = FakeFit()
    for epoch in range(1000):
        fit.recorder.begin_epoch(epoch)
        fit.step(0.001, 0.01)
        fit.recorder.end_epoch()
    assert len(fit.recorder.step_times()) <= 64
    assert fit.recorder.step_times().num_steps == 1000


def test_nothing_recorded_is_an_empty_table():
    """A fit that never made a step has no rows, not rows of zeros."""
    assert len(StepRecorder(0.0).step_times()) == 0
