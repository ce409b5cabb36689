"""The same pixels through SciPy: where Numba is missing, and for what it does not cover.

Each image takes the steps that Keras' ``apply_transform`` and ``standardize`` take, with the same
calls, so the numbers are the generator's own and so is the speed of the warp.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def augment_image(
    image: np.ndarray[Any, Any],
    matrix: np.ndarray[Any, Any] | None,
    shift: np.ndarray[Any, Any],
    flips: np.ndarray[Any, Any],
    *,
    order: int,
    rescale: Any,
    out: np.ndarray[Any, Any],
) -> None:
    """Warp, flip and rescale one image.

    Args:
        image: uint8 [height, width, channels].
        matrix: float64 [2, 2], output (row, column) to input; None for no warp.
        shift: float64 [2].
        flips: bool [2]: upside down, left to right.
        order: Order of the spline, as SciPy counts.
        rescale: Keras' ``rescale``; None or 0 for none.
        out: float32 [height, width, channels].
    """
    x = image.astype(np.float32)
    if matrix is not None:
        from scipy import ndimage

        for channel in range(x.shape[2]):
            x[..., channel] = ndimage.affine_transform(
                np.ascontiguousarray(x[..., channel]), matrix, shift, order=order, mode="nearest"
            )
    if flips[1]:
        x = x[:, ::-1]
    if flips[0]:
        x = x[::-1]
    out[...] = x
    if rescale:
        out *= rescale
