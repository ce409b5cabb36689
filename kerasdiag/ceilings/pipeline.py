"""How fast an input gives batches when nobody trains on them."""

from __future__ import annotations

import functools
from typing import Any  # inputs are foreign objects

import numpy as np

from kerasdiag import compat
from kerasdiag import input_identity as kinds
from kerasdiag.ceilings.rates import Rate, rate_of_batches, rate_of_generator, rate_of_items
from kerasdiag.input_identity import InputIdentity
from kerasdiag.user_code import reach_of, reach_of_generator

_MOST_BATCHES = 10**6
_SAMPLE_BATCHES = 256


def measure_input(data: Any, identity: InputIdentity) -> Rate | str:
    """Return the batches a second that an input gives by itself, or why that cannot be told.

    Its counters, its order, the global random numbers and whatever its own code changes stay as they are (see
    ``user_code.reach_of``); what would be used up, or could not be put back, is left alone.

    Args:
        data: What ``fit`` was given.
        identity: What it is.

    Raises:
        Exception: What the input raises.
    """
    if identity.use_multiprocessing:
        return "its worker processes would have to be started once more"
    workers = max(1, identity.workers or 1)
    if getattr(data, "save_to_dir", None):
        return "it would save images to its save_to_dir"
    if identity.kind in (kinds.IMAGE_DATA_GENERATOR, kinds.PY_DATASET):
        is_generator = identity.kind == kinds.IMAGE_DATA_GENERATOR
        reach = reach_of_generator(data) if is_generator else reach_of(data.__getitem__)
        if isinstance(reach, str):
            return f"a call of its code beside the training could change what that draws ({reach})"
        with reach.kept():
            return _rate_of_rows(data, workers) if is_generator else _rate_of_items(data, workers)
    if identity.kind == kinds.TF_DATA:
        objection = "autofix's own dataset counts its passes" if identity.repaired else compat.why_not_iterate(data)
        return objection or rate_of_batches(data.repeat().take(_MOST_BATCHES), lambda _: 1, warm_up=4)
    if identity.kind == kinds.PYTHON_GENERATOR:
        return "a Python generator would be used up"
    return "arrays in memory have no ceiling of their own"


def _rate_of_rows(generator: Any, workers: int) -> Rate:
    rows = np.random.default_rng(0).permutation(int(generator.n))
    return Rate(rate_of_generator(generator, workers, rows).images_per_s / int(generator.batch_size), None)


def _rate_of_items(data: Any, workers: int) -> Rate:
    order = np.random.default_rng(0).permutation(len(data))[:_SAMPLE_BATCHES]
    return rate_of_items([(functools.partial(data.__getitem__, int(place)), 1) for place in order], workers)
