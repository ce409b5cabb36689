"""What ImageDataGenerator does to one image, in its order, with what it does it with: Pillow, NumPy and SciPy.

Written after Keras' ``load_img``, ``get_random_transform``, ``apply_transform`` and ``standardize``, which are the
same from Keras 2.10 to 3.x. Only rates are taken from it, never pixels. It runs in the child process (``child.py``).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any  # Pillow and SciPy have no types here

import numpy as np
from numpy.typing import NDArray

from kerasdiag.environment.throughput.facts import AFFINE, BRIGHTNESS, CHANNEL_SHIFT, FLIP
from kerasdiag.environment.throughput.missing_package import MissingPackageError

BATCH_SIZE = 32  # Keras' default
# One batch is allocated at a time, as the generator does; larger ones than this are made of fewer images.
_BATCH_BYTES = 64 * 1024**2
# The reference: about what tutorials take. How long it takes hangs on which steps there are, not on how far they go.
# The same arrays are scaled again and again here, and must not end as numbers too small to be fast.
_RESCALE = 1.0
_ROTATION_DEGREES, _SHEAR_DEGREES, _ZOOM = 30.0, 0.2, 0.2


class PixelWork:
    """The steps from the bytes of a file to a row of a batch.

    Args:
        target_size: Height and width in pixels.
        steps: Which of ``AFFINE``, ``FLIP``, ``CHANNEL_SHIFT`` and ``BRIGHTNESS`` the generator does.

    Raises:
        MissingPackageError: Pillow or, for an affine step, SciPy cannot be imported.
    """

    def __init__(self, target_size: Sequence[int], steps: Sequence[str]) -> None:
        self.height, self.width = target_size
        self._steps = frozenset(steps)
        self._image = pillow()
        self._random = np.random.default_rng(0)
        self._affine = _affine_transform() if AFFINE in self._steps else None

    def decode(self, data: bytes) -> Any:
        """Return the image with all of its pixels, in RGB."""
        image = self._image.open(io.BytesIO(data))
        if image.mode != "RGB":
            return image.convert("RGB")
        image.load()
        return image

    def resize(self, image: Any) -> Any:
        """Return it in the target size, by Keras' default filter."""
        size = (self.width, self.height)
        return image if image.size == size else image.resize(size, 0)  # 0: nearest

    def augment(self, image: Any) -> NDArray[np.float32]:
        """Return it as an array, and augmented."""
        pixels = np.asarray(image, dtype=np.float32)  # a copy, for the dtype is another
        if self._affine is not None:
            pixels = self._warp(pixels)
        if CHANNEL_SHIFT in self._steps:
            pixels = np.rollaxis(pixels, 2, 0)
            low, high = np.min(pixels), np.max(pixels)
            pixels = np.stack([np.clip(channel + 10.0, low, high) for channel in pixels], axis=0)
            pixels = np.rollaxis(pixels, 0, 3)
        if FLIP in self._steps and self._random.random() < 0.5:
            pixels = pixels.swapaxes(1, 0)[::-1, ...].swapaxes(0, 1)
        if BRIGHTNESS in self._steps:
            pixels = self._brighten(pixels)
        return pixels

    def batches(self) -> Callable[[NDArray[np.float32]], None]:
        """Return a function that scales an image and puts it into a batch, for one thread."""
        rows = max(1, min(BATCH_SIZE, _BATCH_BYTES // (self.height * self.width * 12)))
        batch = np.zeros((0,))
        filled = rows

        def put(pixels: NDArray[np.float32]) -> None:
            nonlocal batch, filled
            if filled == rows:
                batch = np.zeros((rows, self.height, self.width, 3), np.float32)
                filled = 0
            pixels *= _RESCALE
            batch[filled] = pixels
            filled += 1

        return put

    def _warp(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        theta = np.deg2rad(self._random.uniform(-_ROTATION_DEGREES, _ROTATION_DEGREES))
        shear = np.deg2rad(self._random.uniform(-_SHEAR_DEGREES, _SHEAR_DEGREES))
        zoom = self._random.uniform(1 - _ZOOM, 1 + _ZOOM, 2)
        rotated = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
        sheared = np.array([[1, -np.sin(shear)], [0, np.cos(shear)]])
        matrix = np.dot(np.dot(rotated, sheared), np.diag(zoom))
        centre = np.array([self.height / 2 - 0.5, self.width / 2 - 0.5])
        offset = centre - np.dot(matrix, centre)
        channels = np.rollaxis(pixels, 2, 0)
        assert self._affine is not None
        warped = [self._affine(one, matrix, offset, order=1, mode="nearest", cval=0.0) for one in channels]
        stacked: NDArray[np.float32] = np.rollaxis(np.stack(warped, axis=0), 0, 3)
        return stacked

    def _brighten(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        from PIL import ImageEnhance

        shown = self._image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
        return np.asarray(ImageEnhance.Brightness(shown).enhance(1.2), dtype=np.float32)


def pillow() -> Any:
    """Return Pillow's module of images, its formats loaded, so that no clock counts that.

    Raises:
        MissingPackageError: It cannot be imported.
    """
    try:
        from PIL import Image

        Image.init()
    except Exception as error:  # a broken build raises anything
        raise MissingPackageError("Pillow", "pillow", error) from None
    return Image


def _affine_transform() -> Any:
    try:
        from scipy import ndimage
    except Exception as error:
        raise MissingPackageError("SciPy", "scipy", error) from None
    return ndimage.affine_transform
