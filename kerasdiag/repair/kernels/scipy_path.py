"""The same pixels through NumPy, SciPy and Pillow: where Numba is missing, and for what it does not cover.

Each image takes the steps that Keras' ``apply_transform`` and ``standardize`` take, with the same
calls on arrays laid out in memory as Keras' are, so the numbers are the generator's own, sums
included, and so is the speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.ops import brightness, channel_shift, standardize
from kerasdiag.spec import AugmentationOptions


def augment_image(
    x: NDArray[Any],
    options: AugmentationOptions,
    parameters: dict[str, Any],
    matrix: NDArray[np.float64] | None,
    shift: NDArray[np.float64],
    *,
    channels_first: bool = False,
    floatx: str = "float32",
) -> NDArray[Any]:
    """Return an image as the generator yields it, in whatever dtype comes of it.

    Args:
        x: The loaded image in the generator's data format and the dtype that it computes in; may
            be changed in place.
        options: The generator's options.
        parameters: Drawn numbers under Keras' names; Python's own types.
        matrix: float64 [2, 2], output (row, column) to input; None for no warp.
        shift: float64 [2].
        channels_first: Whether the first axis counts the channels.
        floatx: Keras' ``floatx``.
    """
    channel_axis = 0 if channels_first else 2
    if matrix is not None:
        x = warp(x, matrix, shift, options, channel_axis)
    if parameters.get(channel_shift.NAME) is not None:
        x = channel_shift.apply(x, parameters[channel_shift.NAME], channel_axis)
    if parameters.get("flip_horizontal"):
        x = np.flip(x, 2 if channels_first else 1)
    if parameters.get("flip_vertical"):
        x = np.flip(x, 1 if channels_first else 0)
    if parameters.get(brightness.NAME) is not None:
        x = brightness.apply(x, parameters[brightness.NAME], floatx)
    return standardize.apply(options, x)


def warp(
    x: NDArray[Any],
    matrix: NDArray[np.float64],
    shift: NDArray[np.float64],
    options: AugmentationOptions,
    channel_axis: int,
) -> NDArray[Any]:
    """Return the image under an affine map, each channel by itself."""
    from scipy import ndimage

    channels = [
        ndimage.affine_transform(
            np.ascontiguousarray(one),  # SciPy is faster with it
            matrix,
            shift,
            order=options.interpolation_order,
            mode=options.fill_mode,
            cval=options.cval,
        )
        for one in np.moveaxis(x, channel_axis, 0)
    ]
    return np.moveaxis(np.stack(channels), 0, channel_axis)
