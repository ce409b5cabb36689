"""Rotation, shift, shear and zoom: one affine map for an image.

Source: ``get_random_transform`` and ``apply_affine_transform`` in Keras'
``legacy/preprocessing/image.py`` (Keras 2: ``preprocessing/image.py``), the same since 2.10.
Keras' ``tx`` moves rows and is drawn from ``height_shift_range``; ``zx`` zooms rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair import ops
from kerasdiag.spec import AugmentationOptions

Parameters = Mapping[str, NDArray[Any]]


class AffineMaps(NamedTuple):
    """Maps from output to input pixels, (row, column) counted from 0.

    Attributes:
        matrix: float64 [images, 2, 2].
        shift: float64 [images, 2].
        is_neutral: bool [images]: Keras leaves such an image as it is.
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    is_neutral: NDArray[np.bool_]


def warps(options: AugmentationOptions) -> bool:
    """Tell whether any draw of these options can move a pixel (flips apart)."""
    ranges = (options.rotation_range, options.height_shift_range, options.width_shift_range, options.shear_range)
    return any(bool(value) for value in ranges) or tuple(options.zoom_range) != (1, 1)


def draw(options: AugmentationOptions, shape: tuple[int, int, int], numbers: NDArray[np.float64]) -> Parameters:
    """Draw what Keras would, from uniform numbers.

    Args:
        options: The generator's ranges.
        shape: Height, width, channels of an image.
        numbers: float64 [images, NUMBERS_PER_ROW] in [0, 1).

    Returns:
        ``theta`` and ``shear`` in degrees, ``tx`` and ``ty`` in pixels, factors ``zx`` and ``zy``;
        each float64 [images].
    """
    rows, columns = shape[0], shape[1]
    low, high = options.zoom_range
    return {
        "theta": _within(options.rotation_range, numbers[:, ops.ROTATION]),
        "tx": _shift(options.height_shift_range, rows, numbers[:, ops.ROW_SHIFT], numbers[:, ops.ROW_SHIFT_SIGN]),
        "ty": _shift(
            options.width_shift_range, columns, numbers[:, ops.COLUMN_SHIFT], numbers[:, ops.COLUMN_SHIFT_SIGN]
        ),
        "shear": _within(options.shear_range, numbers[:, ops.SHEAR]),
        "zx": low + (high - low) * numbers[:, ops.ROW_ZOOM],
        "zy": low + (high - low) * numbers[:, ops.COLUMN_ZOOM],
    }


def _within(limit: Any, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return -limit + 2.0 * limit * numbers if limit else np.zeros(len(numbers))


def _shift(limit: Any, size: int, numbers: NDArray[np.float64], signs: NDArray[np.float64]) -> NDArray[np.float64]:
    if not limit:
        return np.zeros(len(numbers))
    values = shift_values(limit)
    if values is None:
        shift = _within(limit, numbers)
    else:
        shift = values[(numbers * len(values)).astype(np.int64)] * np.where(signs < 0.5, -1.0, 1.0)
    return shift * size if np.max(limit) < 1 else shift


def shift_values(limit: Any) -> NDArray[np.float64] | None:
    """Return the values that a shift range stands for, or None where it is a continuous range.

    Keras hands it to ``numpy.random.choice``: a whole number k means 0 ... k - 1 and a sequence
    means its elements; what ``choice`` refuses is a continuous range.
    """
    try:
        np.random.RandomState(0).choice(limit)
    except ValueError:
        return None
    return np.arange(limit, dtype=np.float64) if np.ndim(limit) == 0 else np.asarray(limit, np.float64)


def make_maps(parameters: Parameters, shape: tuple[int, int, int]) -> AffineMaps:
    """Combine the parameters of each image as Keras does: rotation, shift, shear, zoom, about the centre.

    Keras leaves out what is neutral; multiplying by a unit matrix instead changes no bit, because
    products by 1 and sums with 0 are exact.

    Args:
        parameters: Arrays of equal length under Keras' names.
        shape: Height, width, channels.
    """
    theta, shear = np.deg2rad(parameters["theta"]), np.deg2rad(parameters["shear"])
    rotation = _unit(len(theta))
    rotation[:, 0, 0] = rotation[:, 1, 1] = np.cos(theta)
    rotation[:, 0, 1], rotation[:, 1, 0] = -np.sin(theta), np.sin(theta)
    shift = _unit(len(theta))
    shift[:, 0, 2], shift[:, 1, 2] = parameters["tx"], parameters["ty"]
    shearing = _unit(len(theta))
    shearing[:, 0, 1], shearing[:, 1, 1] = -np.sin(shear), np.cos(shear)
    zoom = _unit(len(theta))
    zoom[:, 0, 0], zoom[:, 1, 1] = parameters["zx"], parameters["zy"]
    combined = np.matmul(np.matmul(np.matmul(rotation, shift), shearing), zoom)

    to_centre, from_centre = _unit(len(theta)), _unit(len(theta))
    centre = np.array([shape[0] / 2 - 0.5, shape[1] / 2 - 0.5])
    to_centre[:, :2, 2], from_centre[:, :2, 2] = centre, -centre
    combined = np.matmul(np.matmul(to_centre, combined), from_centre)
    # Keras exchanges both axes once more before it calls SciPy; what it calls x then moves rows.
    swapped = combined[:, [1, 0, 2]][:, :, [1, 0, 2]]
    neutral = np.ones(len(theta), bool)
    for name, value in (("theta", 0), ("tx", 0), ("ty", 0), ("shear", 0), ("zx", 1), ("zy", 1)):
        neutral &= parameters[name] == value
    return AffineMaps(np.ascontiguousarray(swapped[:, :2, :2]), np.ascontiguousarray(swapped[:, :2, 2]), neutral)


def _unit(count: int) -> NDArray[np.float64]:
    return np.repeat(np.eye(3)[None], count, axis=0)
