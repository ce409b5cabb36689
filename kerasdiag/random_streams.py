"""NumPy's and Python's global random numbers, which a script may have seeded and we may not move."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def streams_kept() -> Iterator[None]:
    """Put NumPy's and Python's global random numbers back afterwards."""
    ours, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(ours)  # noqa: NPY002
        random.setstate(pythons)
