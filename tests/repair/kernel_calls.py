"""The compiled kernel called on some images, every array where the caller of this wants it, and the same by SciPy and Pillow."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance
from scipy import ndimage

from kerasdiag.repair.kernels import choose, compiled, finish

KINDS = {
    "multiply": finish.MULTIPLY,
    "divide": finish.DIVIDE,
    "subtract": finish.SUBTRACT,
    "reverse channels": finish.REVERSE_CHANNELS,
    "center sample": finish.CENTER_SAMPLE,
    "scale sample": finish.SCALE_SAMPLE,
}


@dataclass
class Work:
    """What shall become of a batch of images.

    Attributes:
        images: [batch, height, width, channels].
        matrices: float64 [batch, 2, 2], output to input.
        shifts: float64 [batch, 2].
        order: -1, 0 or 1.
        colours: (channel shift, brightness), None for none of either.
        links: (name, number for each channel or None).
    """

    images: Any
    matrices: Any
    shifts: Any
    order: int = 1
    fill_mode: str = "nearest"
    cval: float = 0.0
    flips: tuple[bool, bool] = (False, False)
    scale: float = 1.0
    colours: tuple[Any, Any] = (None, None)
    links: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def unbounded(self):
        """Whether values may leave 0 to 255, as the caller of the kernel has to say."""
        return self.images.dtype != np.uint8 or (self.fill_mode == "constant" and not 0 <= self.cval <= 255)

    @property
    def needs_whole_image(self):
        """Whether something looks at all values of an image, and so comes behind the warp."""
        return self.colours != (None, None) or any(name.endswith("sample") for name, _ in self.links)


def run_compiled(work, place=np.array, file=None, out_padding=compiled.OUT_PADDING, image_padding=None, first_offset=0):
    """Return what the kernel makes of it.

    Args:
        work: What to do.
        place: Copies an array to where the kernel shall find it.
        file: Descriptor of a file to read the images from by ``pread``; None where they are in memory.
        out_padding: Floats behind the batch.
        image_padding: Values behind the images; None for what the kernel asks for.
        first_offset: Where the first image begins.
    """
    images, count = work.images, len(work.images)
    size = images[0].size
    shape = tuple(int(side) for side in images.shape[1:])
    if image_padding is None:
        image_padding = compiled.IMAGE_PADDING if images.dtype == np.uint8 and shape[2] == 3 else 0
    kinds, operands = chain_of(work, shape, place)
    whole = work.needs_whole_image
    content = images[:1] * 0 if file is not None else images
    pixels = np.concatenate([content.reshape(-1), np.zeros(image_padding, images.dtype)])
    out = place(np.full(count * size + out_padding, -7, np.float32))
    broken = compiled.augment_batch(
        pread_address() if file is not None else 0,
        place(np.full(count, file or 0, np.int32)),
        place(np.arange(count) * (size * images.itemsize if file is not None else size) + first_offset),
        place(pixels),
        shape,
        place(np.full(count, work.order)),
        compiled.FILL_MODES.index(work.fill_mode),
        np.float32(work.cval) * np.float32(work.scale),
        place(
            compiled.pack_matrices(work.matrices, work.shifts, shift_first=choose.choose_kernel().shift_first),
        ),
        place(np.array([work.flips] * count)),
        np.float32(work.scale),
        kinds[:0] if whole else kinds,
        operands[:0] if whole else operands,
        out,
    )
    assert broken == -1, f"image {broken} could not be read"
    if whole:
        colour = place(np.array([np.nan if value is None else value for value in work.colours], np.float32))
        for k in range(count):
            image = place(out[k * size : (k + 1) * size])
            finish.finish_image(image, shape[1] * shape[2], shape[2], colour, work.unbounded, kinds, operands)
            out[k * size : (k + 1) * size] = image
    return out[: count * size].reshape(images.shape)


def chain_of(work, shape, place=np.array):
    """Kinds and operands of the links, as the kernel takes them."""
    kinds = place(np.array([KINDS[name] for name, _ in work.links], np.int64))
    operands = np.zeros((len(work.links), shape[1] * shape[2]), np.float32)
    for row, (_, operand) in zip(operands, work.links):
        if operand is not None:
            row[:] = np.tile(np.broadcast_to(np.float32(operand), (shape[2],)), shape[1])
    return kinds, place(operands)


def pread_address():
    """Address of C's ``pread``."""
    return ctypes.cast(ctypes.CDLL(None).pread, ctypes.c_void_p).value


def run_scipy(work):
    """The same with SciPy, NumPy and Pillow, written here on its own."""
    return np.stack([_one_by_scipy(work, k) for k in range(len(work.images))])


def _one_by_scipy(work, k):
    x = work.images[k].astype(np.float32)
    if work.order >= 0:
        channels = [
            ndimage.affine_transform(
                x[..., c], work.matrices[k], work.shifts[k], order=work.order, mode=work.fill_mode, cval=work.cval
            )
            for c in range(x.shape[2])
        ]
        x = np.stack(channels, axis=-1)
    x = x[:: -1 if work.flips[0] else 1, :: -1 if work.flips[1] else 1].copy()
    x *= np.float32(work.scale)
    shift, factor = work.colours
    if shift is not None:
        x = np.clip(x + np.float32(shift), x.min(), x.max())
    if factor is not None:
        x = brighten(x, factor)
    for name, operand in work.links:
        x = _link(x, name, operand)
    return x


def brighten(x, factor):
    """As Keras' ``apply_brightness_shift`` with ``scale=False``: Pillow multiplies an image of 8 bits."""
    low, high = x.min(), x.max()
    stretch = low < 0 or high > 255
    if stretch:
        x = x - low
        x = x / (x.max() or 1) * np.float32(255)
    bits = x.astype(np.uint8)
    planes = [
        np.asarray(ImageEnhance.Brightness(Image.fromarray(bits[..., c])).enhance(factor))
        for c in range(min(bits.shape[2], 3))
    ]
    if bits.shape[2] == 4:
        planes.append(bits[..., 3])  # alpha is kept
    bright = np.stack(planes, axis=-1).astype(np.float32)
    return bright / np.float32(255) * (high - low) + low if stretch else bright


def _link(x, name, operand):
    if name == "reverse channels":
        return x[..., ::-1]
    if name == "center sample":
        return x - np.mean(x)
    if name == "scale sample":
        return x / (np.std(x) + np.float32(1e-6))
    operand = np.float32(operand)
    return {"multiply": np.multiply, "divide": np.divide, "subtract": np.subtract}[name](x, operand)
