"""One number added to all values of an image, which stay within its own range.

Source: ``get_random_transform`` and ``apply_channel_shift`` in Keras' ``legacy/preprocessing/image.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair import ops
from kerasdiag.repair.ops.affine import Parameters
from kerasdiag.spec import AugmentationOptions

NAME = "channel_shift_intensity"


def draw(options: AugmentationOptions, numbers: NDArray[np.float64]) -> Parameters:
    """Return ``channel_shift_intensity``, float64 [images]; nothing where the generator draws none.

    Args:
        options: The generator's range.
        numbers: float64 [images, NUMBERS_PER_ROW] in [0, 1).
    """
    limit = options.channel_shift_range
    return {NAME: -limit + 2.0 * limit * numbers[:, ops.CHANNEL_SHIFT]} if limit != 0 else {}


def apply(x: NDArray[Any], intensity: float, channel_axis: int) -> NDArray[Any]:
    """Return the shifted image, laid out in memory as Keras' is: one channel after the other.

    Args:
        x: One image.
        intensity: What is added, a Python float: NumPy's would make the sum float64.
        channel_axis: 0 or 2.
    """
    low, high = np.min(x), np.max(x)
    shifted = np.stack([np.clip(one + intensity, low, high) for one in np.moveaxis(x, channel_axis, 0)])
    return np.moveaxis(shifted, 0, channel_axis)
