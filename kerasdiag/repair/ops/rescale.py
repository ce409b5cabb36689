"""Multiplication by ``rescale``. Source: ``standardize`` of Keras' ImageDataGenerator."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_single_precision(rescale: Any) -> bool:
    """Tell whether ``float32_array *= rescale`` multiplies in float32.

    It does for Python numbers. NumPy 2 multiplies by a ``numpy.float64`` in float64 and rounds
    afterwards, which may differ in the last bit.
    """
    return bool(np.result_type(np.zeros(1, np.float32), rescale) == np.float32) if rescale else True


def factor(rescale: float | None) -> np.float32:
    """Return the factor that ``rescale`` stands for; Keras takes None and 0 for none."""
    scale: np.float32 = np.float32(rescale or 1)
    return scale
