"""What a source gives when nobody holds it up, compared with the times that scripted sources have noted themselves."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from kerasdiag.ceilings import Rate, rate_of_batches, rate_of_generator

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
            end = time.perf_counter() + self.row_s
            while self.spins and time.perf_counter() < end:
                pass
            time.sleep(max(0.0, end - time.perf_counter()))
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
    assert awake.cpu_s > 0.005
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
