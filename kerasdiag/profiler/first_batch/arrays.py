"""Arrays of any backend as NumPy's, without an operation of that backend: one might compile, or wait for a device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerasdiag.first_batch import CHANNELS

# Any stands for foreign arrays, and for NumPy's of any dtype.


def images_in(inputs: Any) -> Any:
    """Return the one array of a batch's inputs that can hold images, None where there is none, or several."""
    found = [one for one in _leaves(inputs) if is_like_images(getattr(one, "shape", None))]
    return found[0] if len(found) == 1 else None


def is_like_images(shape: Any) -> bool:
    """Tell whether a shape is that of a batch of images: four axes, one of them channels."""
    try:
        sizes = tuple(shape)
    except (TypeError, ValueError):  # of unknown rank, or of no dense array
        return False
    return len(sizes) == 4 and bool({sizes[1], sizes[3]} & set(CHANNELS))


def to_numpy(array: Any, most_values: int, most_rows: int) -> np.ndarray[Any, Any]:
    """Return the first rows of an array; at least one, and no more than these bounds allow."""
    rows = max(1, min(most_rows, most_values // max(1, math.prod(array.shape[1:]))))
    if hasattr(array, "detach"):  # torch
        array = array.detach()[:rows].cpu()
        if "bfloat16" in str(array.dtype):
            array = array.float()
    sample = np.asarray(array)[:rows]
    # What NumPy has no kernels for (bfloat16), or slow ones.
    return (
        sample if sample.dtype.kind in "biu" or sample.dtype in (np.float32, np.float64) else sample.astype("float32")
    )


def _leaves(inputs: Any) -> list[Any]:
    if isinstance(inputs, dict):
        return [leaf for part in inputs.values() for leaf in _leaves(part)]
    if isinstance(inputs, (tuple, list)):
        return [leaf for part in inputs for leaf in _leaves(part)]
    parts = getattr(inputs, "values", None)  # of a batch that a strategy has split: one for each replica
    return _leaves(parts[0]) if isinstance(parts, tuple) and parts else [inputs]
