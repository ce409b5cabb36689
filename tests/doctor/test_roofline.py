"""The model of the input against machines whose limit was planted."""

from __future__ import annotations

import pytest
from builders import make_data, make_environment, make_reads, make_throughput
from hypothesis import given
from hypothesis import strategies as st

from kerasdiag.doctor.costs import GENERATOR_IMAGE_S
from kerasdiag.doctor.image_cost import image_cost, preparing_s
from kerasdiag.doctor.roofline import LOCK, ImageCost, images_per_s, roofline
from kerasdiag.doctor.supply import cost_from_disk, cost_of_most, files_per_s
from kerasdiag.environment.throughput.facts import AUGMENT, DECODE, READ, RESIZE, ThreadRate
from kerasdiag.environment.throughput.lock import held_fraction, lock_wait_s
from kerasdiag.environment.throughput.threads import Pace

WORK = {READ: 0.0, DECODE: 0.002, RESIZE: 0.001, AUGMENT: 0.007}


def make_cost(cores=2, held=0.0, **facts):
    stages = facts.pop("stages", WORK)
    return ImageCost(stages, {name: held * seconds for name, seconds in stages.items()}, cores, **facts)


@pytest.mark.parametrize(
    ("cost", "cores", "by_workers", "best", "workers", "limited_by"),
    [
        (make_cost(2), 2, (100, 200, 200, 200), 200, 2, AUGMENT),
        (make_cost(8), 8, (100, 200, 300, 400), 800, 8, AUGMENT),
        (make_cost(1), 1, (100, 100), 100, 1, AUGMENT),
        (make_cost(2, stages={**WORK, DECODE: 0.030}), 2, (26.3, 52.6, 52.6, 52.6), 52.6, 2, DECODE),
        (make_cost(1.5), 2, (100, 150, 150, 150), 150, 2, AUGMENT),  # another takes a quarter of the machine
        (make_cost(8, held=1.0), 8, (100, 100, 100, 100), 100, 1, LOCK),
        (make_cost(2, files_per_s=50.0), 2, (50, 50, 50, 50), 50, 1, READ),
        (make_cost(2, wait_s=0.09), 2, (10, 20, 30, 40), 40, 4, READ),  # the disk serves many, and each waits for it
        (make_cost(4, crowding=2.0, crowd=4), 4, (100, 150, 180, 200), 200, 4, AUGMENT),
    ],
)
def test_planted_limits(cost, cores, by_workers, best, workers, limited_by):
    """The narrowest of pace, cores, lock and disk decides, and is named."""
    drawn = roofline(cost, cores)
    assert drawn.by_workers[: len(by_workers)] == pytest.approx(by_workers, rel=0.01)
    assert drawn.images_per_s == pytest.approx(best, rel=0.01)
    assert (drawn.workers, drawn.limited_by) == (workers, limited_by)


def test_half_the_work_under_the_lock():
    """One at a time holds it: 200 images a second at most, and 5 % less of that with few threads."""
    drawn = roofline(make_cost(16, held=0.5), 16)
    assert drawn.limited_by == LOCK
    assert 190 < drawn.images_per_s <= 200
    assert drawn.workers < 8


@given(
    st.floats(1e-4, 1.0), st.floats(0, 1), st.floats(0, 1.0), st.floats(0.5, 128), st.floats(0.5, 1e5), st.integers(1, 16)
)  # fmt: skip
def test_no_limit_is_exceeded(work_s, held, wait_s, cores, disk, workers):
    """Whatever the costs: not more than each alone, the cores, the lock and the disk give, and never less by more workers."""
    cost = ImageCost({DECODE: work_s}, {DECODE: held * work_s}, cores, wait_s, disk)
    rate = images_per_s(cost, workers)
    limits = [workers / (work_s + wait_s), cores / work_s, disk, *([1 / (held * work_s)] if held > 1e-9 else [])]
    assert 0 < rate <= min(limits) * (1 + 1e-6)
    assert images_per_s(cost, workers + 1) >= rate * (1 - 1e-9)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("threads", [2, 4])
def test_the_lock_s_share_is_found_by_the_waiting(share, threads):
    """What lock_wait_s predicts of a share, held_fraction finds again."""
    blocked_s = lock_wait_s(share * 0.01, (1 - share) * 0.01, threads)
    pace = Pace(threads, 0.0, 0.01 + blocked_s, 0.01, blocked_s)
    assert held_fraction([pace]) == pytest.approx(share, abs=0.01)
    assert lock_wait_s(0.01, 0.0, threads) == pytest.approx((threads - 1) * 0.01)


def test_the_lock_s_share_is_not_known():
    """One thread waits for nobody, and not every system tells what a thread waits for."""
    assert held_fraction([Pace(1, 100, 0.01, 0.01, 0.0)]) is None
    assert held_fraction([Pace(2, 100, 0.01, 0.01, None)]) is None


def measured(cores=2, **facts):
    return make_environment(
        cores=cores, data=make_data(), reads=make_reads(0.004), throughput=make_throughput(cores=cores, **facts)
    )


def test_the_cores_are_those_that_the_threads_got():
    """What 4 threads gave on 2 cores, beside whatever else ran, is the limit; the lock is no reason for fewer."""
    busy = (ThreadRate(1, 100, 0.0097), ThreadRate(2, 130, 0.0097), ThreadRate(4, 120, 0.0097))
    cost = image_cost(measured(rates=busy))
    assert cost.cores == pytest.approx(130 * 0.0097)
    assert image_cost(measured(held=1.0, rates=busy)).cores == 2


def test_cores_that_share_a_memory():
    """An image that takes a core longer when all of them work does so in the model."""
    rates = (ThreadRate(1, 103, 0.0097), ThreadRate(2, 206, 0.0097), ThreadRate(4, 330, 0.0121))
    cost = image_cost(measured(cores=8, rates=rates))
    assert (cost.crowding, cost.crowd, cost.cores) == (pytest.approx(0.0121 / 0.0097), 4, 8)


def test_reads_from_the_disk_and_from_memory():
    """Data that fit into memory are read from the disk once; the others always."""
    disk = measured(reads=[(2, 480), (4, 900)])
    assert cost_from_disk(disk).wait_s == pytest.approx(0.0039)  # of 4 ms, less what reading from memory takes
    assert cost_from_disk(disk).files_per_s == files_per_s(disk) == 900
    assert cost_of_most(disk).wait_s > 0
    assert cost_of_most(make_environment(cores=2, available_bytes=10**10, data=make_data(), reads=make_reads(0.004),
                                         throughput=make_throughput(cores=2))).wait_s == 0  # fmt: skip


def test_what_was_measured_takes_the_place_of_the_constant():
    """The generator's own time, at its best; the figure of another machine where nothing was measured."""
    assert preparing_s(make_environment()) == GENERATOR_IMAGE_S
    assert preparing_s(measured(cores=2)) == pytest.approx(0.0097 / 2)
