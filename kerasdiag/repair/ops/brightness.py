"""Brightness: the image as 8 bits, multiplied by a factor with Pillow.

Source: ``get_random_transform`` and ``apply_brightness_shift`` in Keras' ``legacy/preprocessing/image.py``,
``array_to_img`` in its ``utils/image_utils.py`` and ``ImageEnhance.Brightness`` of Pillow. Values
are truncated, not rounded; an image with values outside 0 to 255 is stretched to that range before
and back afterwards. ``array_to_img`` takes the last axis for the channels, which is why Keras fails
with ``channels_first``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair import ops
from kerasdiag.repair.ops.affine import Parameters
from kerasdiag.spec import AugmentationOptions

NAME = "brightness"


def draw(options: AugmentationOptions, numbers: NDArray[np.float64]) -> Parameters:
    """Return ``brightness``, float64 [images]; nothing where the generator draws none.

    Args:
        options: The generator's range.
        numbers: float64 [images, NUMBERS_PER_ROW] in [0, 1).
    """
    if options.brightness_range is None:
        return {}
    low, high = options.brightness_range
    return {NAME: low + (high - low) * numbers[:, ops.BRIGHTNESS]}


def apply(x: NDArray[Any], factor: float, dtype: str) -> NDArray[Any]:
    """Return the brightened image.

    Args:
        x: One image, channels last.
        factor: 1 leaves what was made 8 bits.
        dtype: Keras' ``floatx``.
    """
    from PIL import Image, ImageEnhance

    low, high = np.min(x), np.max(x)
    stretch = bool(low < 0 or high > 255)
    values = np.asarray(x, dtype)
    if stretch:
        values = values - np.min(values)
        largest = np.max(values)
        if largest != 0:
            values /= largest
        values *= 255
    channels = values.shape[2]
    bits = values.astype(np.uint8)
    image = Image.fromarray(bits[:, :, 0] if channels == 1 else bits)  # L, RGB or RGBA, by its shape
    result = np.asarray(ImageEnhance.Brightness(image).enhance(factor), dtype).reshape(x.shape)
    return result / 255 * (high - low) + low if stretch else result
