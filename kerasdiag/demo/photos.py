"""Photo-like JPEGs, made here: nothing is downloaded, and decoding them costs what photos cost.

Natural images have a spectrum that falls with the frequency (amplitude about 1/f; Field 1987), and
the cost of a JPEG follows its spectrum: flat colours or white noise would be far too cheap or dear.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# One field is computed, and each photo is a window into it: an FFT for every photo would take longer
# than everything else in the demo.
_FIELD = (1400, 1800)
_QUALITY = 90


def make_photos(
    folder: Path,
    count: int,
    *,
    classes: int = 10,
    size: tuple[int, int] = (375, 500),
    seed: int = 0,
    on_photo: Callable[[], None] = lambda: None,
) -> list[tuple[str, str]]:
    """Write photo-like JPEGs, sorted by class, one folder for each.

    Args:
        folder: Where to; it is made.
        count: How many.
        classes: How many classes; each has a tint of its own, so there is something to learn.
        size: Height and width in pixels.
        seed: Equal seeds give equal photos.
        on_photo: Called after each.

    Returns:
        Path and class of each photo, sorted by class.
    """
    from PIL import Image

    random = np.random.default_rng(seed)
    field = _natural_field(random, max(_FIELD[0], size[0]), max(_FIELD[1], size[1]))
    rows = []
    for number in range(count):
        kind = number * classes // count
        label = f"class_{kind:02}"
        path = folder / label / f"photo_{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = _window(field, size, random) + _tint(kind, classes)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=_QUALITY)
        rows.append((str(path), label))
        on_photo()
    return rows


def _natural_field(random: np.random.Generator, height: int, width: int) -> np.ndarray[Any, Any]:
    """Noise with amplitude 1/f, shape (height, width, 3), mean 0, standard deviation 1 in each channel."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf  # no mean
    channels = []
    for _ in range(3):
        spectrum = np.fft.rfft2(random.standard_normal((height, width))) / frequency
        values = np.fft.irfft2(spectrum, s=(height, width))
        channels.append(values / values.std())
    independent = np.stack(channels, axis=-1).astype(np.float32)
    # The channels of a photo go mostly together: light falls on all three.
    mixed = 0.8 * independent[..., :1] + 0.6 * independent
    return np.asarray(mixed / mixed.std())


def _window(field: np.ndarray[Any, Any], size: tuple[int, int], random: np.random.Generator) -> np.ndarray[Any, Any]:
    """A part of the field, mirrored or not, with a brightness and a contrast of its own; grey levels."""
    top, left = (int(random.integers(0, all_ - part + 1)) for all_, part in zip(field.shape, size))
    part = field[top : top + size[0], left : left + size[1]]
    if random.random() < 0.5:
        part = part[:, ::-1]
    return np.asarray(part * random.uniform(35, 60) + random.uniform(105, 150))


def _tint(kind: int, classes: int) -> np.ndarray[Any, Any]:
    """What a class adds to red, green and blue: classes lie on a circle of colours."""
    angle = 2 * np.pi * kind / classes
    return np.array([np.cos(angle), np.cos(angle - 2.1), np.cos(angle + 2.1)], dtype=np.float32) * 25
