"""Flips, each with probability one half. Source: Keras' ``get_random_transform`` and ``flip_axis``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair import ops
from kerasdiag.repair.ops.affine import Parameters
from kerasdiag.spec import AugmentationOptions


def draw(options: AugmentationOptions, numbers: NDArray[np.float64]) -> Parameters:
    """Return ``flip_horizontal`` and ``flip_vertical``, bool [images].

    Args:
        options: The generator's switches.
        numbers: float64 [images, NUMBERS_PER_ROW] in [0, 1).
    """
    return {
        "flip_horizontal": (numbers[:, ops.FLIP_COLUMNS] < 0.5) & bool(options.horizontal_flip),
        "flip_vertical": (numbers[:, ops.FLIP_ROWS] < 0.5) & bool(options.vertical_flip),
    }


def make_flips(parameters: Parameters) -> NDArray[np.bool_]:
    """Return bool [images, 2]: upside down, left to right."""
    return np.stack([parameters["flip_vertical"] != 0, parameters["flip_horizontal"] != 0], axis=1)
