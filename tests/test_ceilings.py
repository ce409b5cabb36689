"""What a source gives when nobody holds it up, compared with the times that scripted sources have noted themselves."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from kerasdiag.ceilings import Rate, rate_of_batches, rate_of_generator
from kerasdiag.ceilings.compute import time_steps

ROWS = np.arange(100)


class SleepingGenerator:
    """As much of an iterator of Keras as is asked; notes when it has made each row."""

    def __init__(self, row_s, spins=False):
        self.row_s = row_s
        self.spins = spins
        self.stamps = []
        self.rows = []

    def _get_batches_of_transformed_samples(self, rows):
        for row in rows:
            if row < 0:
                raise OSError("a bad image")
            done_s = time.thread_time() + self.row_s  # what it computes is the same on a busy machine
            while self.spins and time.thread_time() < done_s:
                pass
            time.sleep(0.0 if self.spins else self.row_s)
            self.rows.append(int(row))
            self.stamps.append(time.perf_counter())
        np.random.random(3)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_rate_is_what_the_source_itself_has_noted(workers):
    """Rows over time, by the source's own clock; the first and the last rows of a thread are not in step."""
    source = SleepingGenerator(0.004)
    before = np.random.get_state()[1].tolist(), np.random.get_state()[2]
    rate = rate_of_generator(source, workers, ROWS, window_s=0.5)
    assert (np.random.get_state()[1].tolist(), np.random.get_state()[2]) == before
    stamps = np.sort(source.stamps)
    middle = stamps[len(stamps) // 8 : -len(stamps) // 8]
    assert rate.images_per_s == pytest.approx((len(middle) - 1) / (middle[-1] - middle[0]), rel=0.15)
    assert source.rows[: len(ROWS)] == sorted(source.rows[: len(ROWS)]) or workers > 1
    assert set(source.rows) <= set(ROWS.tolist())


def test_work_and_waiting_are_told_apart():
    """A sleeping row costs no core, one that computes costs its whole time."""
    asleep = rate_of_generator(SleepingGenerator(0.01), 1, ROWS, window_s=0.2)
    awake = rate_of_generator(SleepingGenerator(0.01, spins=True), 1, ROWS, window_s=0.2)
    assert asleep.cpu_s < 0.003
    assert awake.cpu_s == pytest.approx(0.01, rel=0.3)
    assert asleep.at_most(1, 8, cores=2) > 4 * awake.at_most(1, 8, cores=2) / 2


@pytest.mark.parametrize(
    ("rate", "workers", "threads", "cores", "expected"),
    [
        (Rate(100, 0.001), 1, 4, 8, 400),  # mostly waiting: as many times as there are threads
        (Rate(100, 0.01), 1, 4, 2, 200),  # all of it work: as many times as there are cores
        (Rate(200, 0.01), 2, 4, 16, 400),
        (Rate(100, None), 1, 4, 1, 400),
    ],
)
def test_more_threads_give_at_most(rate, workers, threads, cores, expected):
    """By the lock and the caches they share it is less, which only a measurement can tell."""
    assert rate.at_most(workers, threads, cores) == pytest.approx(expected)


def test_a_row_that_fails_ends_all_threads():
    """The error comes out, and nobody works on."""
    running = threading.active_count()
    source = SleepingGenerator(0.001)
    with pytest.raises(OSError, match="a bad image"):
        rate_of_generator(source, 3, np.array([0, 1, 2, 3, -1]), window_s=5)
    assert threading.active_count() == running


def test_batches_made_ahead_do_not_count():
    """A full queue empties at once; the rate is that of the refilling."""
    stamps = []

    def batches():
        for number in range(10_000):
            if number >= 6:
                time.sleep(0.01)
            stamps.append(time.perf_counter())
            yield np.zeros((8, 1))

    rate = rate_of_batches(batches(), len, warm_up=6, window_s=0.3)
    slow = stamps[6:]
    assert rate.images_per_s == pytest.approx(8 * (len(slow) - 1) / (slow[-1] - slow[0]), rel=0.1)
    assert 10 < len(stamps) < 200


def test_a_source_that_ends_early_is_measured_as_far_as_it_goes():
    """Fewer batches than the warm-up and the window ask for."""

    def batches():
        for _ in range(5):
            time.sleep(0.01)
            yield np.zeros((4, 1))

    assert rate_of_batches(batches(), len, warm_up=6, window_s=0.3).images_per_s == pytest.approx(400, rel=0.4)


class ScriptedSteps:
    """Makes steps of so many seconds on a clock of its own; the first one compiles before."""

    def __init__(self, step_s, compile_s=0.0, at_least=1):
        self.step_s, self.left_s, self.at_least = step_s, compile_s, at_least
        self.now_s, self.made = 0.0, 0

    def clock(self):
        return self.now_s

    def run(self, count):
        count = max(count, self.at_least)
        self.now_s += count * self.step_s + self.left_s
        self.left_s = 0.0
        self.made += count
        return count


@pytest.mark.parametrize(
    ("step_s", "made", "counted"),
    [
        (0.001, 302, 300),
        (0.1, 20, 18),
        (0.5, 5, 3),
        (0.9, 4, 3),  # the time is over after the third
        (20.0, 2, 1),  # as soon as one is known
    ],
)
def test_no_more_steps_are_made_than_there_is_time_for(step_s, made, counted):
    """Two seconds, and the step in which they end; what compiles is not counted."""
    steps = ScriptedSteps(step_s, compile_s=30.0)
    assert time_steps(steps.run, 2.0, steps.clock) == (pytest.approx(step_s), counted)
    assert steps.made == made
    assert steps.now_s < 30.0 + step_s + 2.0 + step_s


def test_steps_are_divided_by_those_that_were_made():
    """An execution may make more steps than it was asked for."""
    steps = ScriptedSteps(0.05, at_least=16)
    assert time_steps(steps.run, 2.0, steps.clock) == (pytest.approx(0.05), 48)
    assert steps.made == 64


def test_a_slow_beginning_does_not_count():
    """The median is that of the rounds behind it."""
    steps = ScriptedSteps(0.01)

    def run(count):
        steps.now_s += 0.05 if steps.made == 1 else 0.0
        return steps.run(count)

    assert time_steps(run, 2.0, steps.clock)[0] == pytest.approx(0.01)
