"""Keras' ``load_img`` with Pillow alone, for processes that never import Keras.

Written after ``keras/src/utils/image_utils.py: load_img``, which is the same from Keras 2.10 to
3.x. Before it is used, its pixels are compared with those of the generator's own loader.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasdiag.spec import LoaderOptions

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

_KEPT_GRAYSCALE_MODES = ("L", "I;16", "I")  # Keras converts none of these to 8 bits
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}  # Pillow's numbers


class NotEightBitError(ValueError):
    """The loader's values do not fit into 8 bits: a 16-bit or 32-bit grayscale image."""


def load_bytes(data: bytes, loader: LoaderOptions) -> bytes:
    """Decode the bytes of an image file as the generator's loader does.

    Returns:
        The uint8 pixels, row by row, channels last.

    Raises:
        NotEightBitError: The image is 16-bit or 32-bit grayscale and has values above 255.
        Exception: Whatever Pillow raises for a file that it cannot read.
    """
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        image: PilImage = opened
        if loader.color_mode == "grayscale":
            if image.mode not in _KEPT_GRAYSCALE_MODES:
                image = image.convert("L")
        else:
            mode = {"rgb": "RGB", "rgba": "RGBA"}[loader.color_mode]
            if image.mode != mode:
                image = image.convert(mode)
        height, width = loader.target_size
        if image.size != (width, height):
            box = _centre_box(image.size, (width, height)) if loader.keep_aspect_ratio else None
            image = image.resize((width, height), _FILTERS[loader.interpolation], box=box)
        if image.mode in {"I;16", "I"}:
            return as_uint8(np.asarray(image), loader).tobytes()
        pixels: bytes = image.tobytes()  # what np.asarray would wrap, without a further copy
        return pixels


def load_pixels(data: bytes, loader: LoaderOptions) -> np.ndarray[Any, Any]:
    """Return what ``load_bytes`` does as uint8 [height, width, channels]; read only."""
    return np.frombuffer(load_bytes(data, loader), np.uint8).reshape(loader.image_shape)


def _centre_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest centred box with the target's aspect ratio: left, top, right, bottom."""
    width, height = size
    crop_width = min(width, (height * target[0]) // target[1])
    crop_height = min(height, (width * target[1]) // target[0])
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def as_uint8(pixels: np.ndarray[Any, Any], loader: LoaderOptions) -> np.ndarray[Any, Any]:
    """Return what a loader yielded as contiguous uint8 [height, width, channels], values unchanged.

    Raises:
        NotEightBitError: A value does not fit.
        ValueError: The shape is not that of the loader's options.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape != loader.image_shape:
        raise ValueError(f"the loader made shape {pixels.shape} of it, not {loader.image_shape}")
    if pixels.dtype != np.uint8:
        with np.errstate(invalid="ignore"):
            narrow = pixels.astype(np.uint8)
        if not np.array_equal(narrow, pixels):
            raise NotEightBitError(f"{pixels.dtype} values from {pixels.min()} to {pixels.max()}")
        pixels = narrow
    return np.ascontiguousarray(pixels)
