"""How fast an input gives batches when nobody trains on them."""

from __future__ import annotations

import functools
from typing import Any  # inputs are foreign objects

import numpy as np

from kerasdiag import compat
from kerasdiag import input_identity as kinds
from kerasdiag.ceilings.rates import Rate, rate_of_batches, rate_of_generator, rate_of_items
from kerasdiag.input_identity import InputIdentity

_MOST_BATCHES = 10**6
_SAMPLE_BATCHES = 256


def measure_input(data: Any, identity: InputIdentity) -> Rate | str:
    """Return the batches a second that an input gives by itself, or why that cannot be told.

    Its counters, its order and the global random numbers stay as they are; what would be used up is left alone.

    Args:
        data: What ``fit`` was given.
        identity: What it is.

    Raises:
        Exception: What the input raises.
    """
    if identity.use_multiprocessing:
        return "its worker processes would have to be started once more"
    workers = max(1, identity.workers or 1)
    if identity.kind == kinds.IMAGE_DATA_GENERATOR:
        rows = np.random.default_rng(0).permutation(int(data.n))
        rate = rate_of_generator(data, workers, rows)
        return Rate(rate.images_per_s / int(data.batch_size), None)
    if identity.kind == kinds.PY_DATASET:
        order = np.random.default_rng(0).permutation(len(data))[:_SAMPLE_BATCHES]
        return rate_of_items([(functools.partial(data.__getitem__, int(place)), 1) for place in order], workers)
    if identity.kind == kinds.TF_DATA:
        objection = "autofix's own dataset counts its passes" if identity.repaired else compat.why_not_iterate(data)
        return objection or rate_of_batches(data.repeat().take(_MOST_BATCHES), lambda _: 1, warm_up=4)
    if identity.kind == kinds.PYTHON_GENERATOR:
        return "a Python generator would be used up"
    return "arrays in memory have no ceiling of their own"
