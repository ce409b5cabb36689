"""Keras' ``load_img`` with Pillow alone, for processes that never import Keras.

Written after ``keras/src/utils/image_utils.py: load_img``, which is the same from Keras 2.10 to
3.x. Before it is used, its pixels are compared with those of the generator's own loader.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasdiag.spec import PIXEL_DTYPES, LoaderOptions

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

_WIDE_MODES = ("I;16", "I")
_KEPT_GRAYSCALE_MODES = ("L", *_WIDE_MODES)  # Keras converts none of these to 8 bits
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}  # Pillow's numbers


class PixelRangeError(ValueError):
    """A loader's values do not fit into the dtype of the store, and nothing here rounds or clips them.

    Args:
        pixels: What the loader yielded.

    Attributes:
        needed: The narrowest dtype of a store that holds these values, or None where none does.
    """

    def __init__(self, pixels: np.ndarray[Any, Any]) -> None:
        super().__init__(f"{pixels.dtype} values from {pixels.min()} to {pixels.max()}")
        self.needed = narrowest_dtype(pixels)


def load_bytes(data: bytes, loader: LoaderOptions) -> bytes:
    """Decode the bytes of an image file as the generator's loader does.

    Returns:
        The pixels as they are stored: row by row, channels last, little-endian ``loader.pixel_dtype``.

    Raises:
        PixelRangeError: The image is grayscale of more than 8 bits and has values that this dtype does
            not hold.
        Exception: Whatever Pillow raises for a file that it cannot read.
    """
    image = _load_image(data, loader)
    if image.mode in _WIDE_MODES or loader.pixel_dtype != "uint8":
        return as_stored(np.asarray(image), loader).tobytes()
    pixels: bytes = image.tobytes()  # what np.asarray would wrap, without a further copy
    return pixels


def load_pixels(data: bytes, loader: LoaderOptions) -> np.ndarray[Any, Any]:
    """Return what the generator's loader makes of a file, in the file's own dtype, whatever is stored.

    Returns:
        uint8, uint16 or int32 [height, width, channels].

    Raises:
        Exception: Whatever Pillow raises for a file that it cannot read.
    """
    return shaped(np.asarray(_load_image(data, loader)), loader)


def _load_image(data: bytes, loader: LoaderOptions) -> PilImage:
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
        image.load()  # the file is closed on return
        return image


def _centre_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest centred box with the target's aspect ratio: left, top, right, bottom."""
    width, height = size
    crop_width = min(width, (height * target[0]) // target[1])
    crop_height = min(height, (width * target[1]) // target[0])
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def as_stored(pixels: np.ndarray[Any, Any], loader: LoaderOptions) -> np.ndarray[Any, Any]:
    """Return what a loader yielded as it is stored, values unchanged.

    Returns:
        Contiguous little-endian ``loader.pixel_dtype`` [height, width, channels].

    Raises:
        PixelRangeError: A value does not fit.
        ValueError: The shape is not that of the loader's options.
    """
    pixels, dtype = shaped(pixels, loader), _stored_dtype(loader.pixel_dtype)
    if not _fits(pixels, dtype):
        raise PixelRangeError(pixels)
    return np.ascontiguousarray(pixels, dtype)


def shaped(pixels: np.ndarray[Any, Any], loader: LoaderOptions) -> np.ndarray[Any, Any]:
    """Return what a loader yielded as [height, width, channels].

    Raises:
        ValueError: The shape is not that of the loader's options.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape != loader.image_shape:
        raise ValueError(f"the loader made shape {pixels.shape} of it, not {loader.image_shape}")
    return pixels


def narrowest_dtype(pixels: np.ndarray[Any, Any]) -> str | None:
    """Return the narrowest dtype of a store that holds all these values, or None where none does."""
    return next((name for name in PIXEL_DTYPES if _fits(pixels, _stored_dtype(name))), None)


def _stored_dtype(name: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return dtype


def _fits(pixels: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    if np.can_cast(pixels.dtype, dtype, "safe"):
        return True
    with np.errstate(invalid="ignore"):  # NaN and what is out of range
        return np.array_equal(pixels.astype(dtype), pixels)
