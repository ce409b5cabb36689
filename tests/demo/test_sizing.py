"""A model of the right size is found from its cost alone, whatever the machine."""

from __future__ import annotations

import numpy as np
import pytest

from kerasdiag.demo.outcome import LEAST_SHARE, MOST_SHARE
from kerasdiag.demo.sizing import size_model


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
