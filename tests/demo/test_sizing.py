"""A model of the right size is found from its cost alone, whatever the machine."""

from __future__ import annotations

import numpy as np
import pytest

from kerasdiag.demo import sizing
from kerasdiag.demo.outcome import LEAST_SHARE, MOST_SHARE
from kerasdiag.demo.sizing import fitting_batch_size, size_model
from kerasdiag.environment.memory import MemoryLimit
from kerasdiag.errors import DataError


@pytest.mark.parametrize("batch_s", [0.05, 0.15, 0.9])
@pytest.mark.parametrize(
    "cost",
    [
        lambda filters: 0.004 + 2e-5 * filters**2,  # a CPU
        lambda filters: 0.002 + 1e-6 * filters**2,  # a GPU: launches first, then arithmetic
        lambda filters: 0.004 + 1e-3 * 16 * -(-filters // 16),  # a library that likes multiples of 16
    ],
)
def test_the_share_is_met_within_a_few_tries(cost, batch_s):
    """Between 15 and 25 % of the generator's batch time, with 5 % noise on each measurement."""
    random = np.random.default_rng(3)
    tried = []
    found = size_model(
        lambda filters: filters,
        lambda filters: cost(filters) * random.normal(1, 0.05),
        batch_s,
        lambda one: tried.append(one.filters),
    )
    if cost(1) > MOST_SHARE * batch_s:
        assert cost(found.filters) == cost(1)
    else:
        assert LEAST_SHARE <= found.step_s / batch_s <= MOST_SHARE
    assert len(tried) <= 7
    assert len(set(tried)) == len(tried)


def test_a_machine_without_a_fitting_model_gets_the_nearest():
    """The smallest model is still too slow: it is taken, and nothing runs forever."""
    found = size_model(lambda filters: filters, lambda filters: 1.0 + filters, batch_s=0.1)
    assert found.filters == 1


@pytest.mark.parametrize(
    ("wanted", "num_images", "expected"), [(None, 400, 32), (None, 32, 32), (None, 10, 10), (64, 400, 64), (10, 10, 10)]
)
def test_a_batch_has_32_images_or_all_or_what_is_asked_for(wanted, num_images, expected):
    """A small folder of images is no mistake."""
    assert fitting_batch_size(wanted, num_images, 300) == expected


def test_a_batch_of_more_images_than_there_are():
    """One sentence, with both options that mend it."""
    with pytest.raises(DataError, match=r"--batch-size 11 is more than there are images \(10\).*more --images"):
        fitting_batch_size(11, 10, 300)


@pytest.mark.parametrize(("available", "fits"), [(346_000_000, True), (345_000_000, False), (0, True)])
def test_batches_that_memory_does_not_hold(available, fits, monkeypatch):
    """Ten of 32 images of 300x300 take 346 MB; a system that does not say what it has is believed to have enough."""
    monkeypatch.setattr(sizing, "memory_limit", lambda: MemoryLimit(available, None, 0))
    if fits:
        assert fitting_batch_size(32, 400, 300) == 32
    else:
        with pytest.raises(
            DataError, match=r"They take 345\.6 MB, and 345\.0 MB of memory are left\. Choose a smaller"
        ):
            fitting_batch_size(32, 400, 300)
