"""Small image files of every mode that a loader treats in a way of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image

MODES = ("RGB", "L", "RGBA", "P", "transparent P", "CMYK", "LA", "1", "EXIF-rotated")
WIDE_MODES = ("L", "I;16", "I")  # Keras leaves these as they are where it wants grayscale
_SUFFIXES = {"RGB": "jpg", "CMYK": "jpg", "EXIF-rotated": "jpg", "L": "bmp", "I": "tiff"}
_ORIENTATION, _ROTATED = 0x0112, 6


def write_picture(path, mode, size, random):
    """Write an image of ``mode``: half noise, half a ramp.

    Args:
        path: Without its suffix, which goes with the mode.
        mode: One of Pillow's modes, or of the further ones above.
        size: Height and width.
        random: Generator of the noise.

    Returns:
        The path.
    """
    path = path.with_name(f"{path.name}.{_SUFFIXES.get(mode, 'png')}")
    noise = random.uniform(0, 1, (*size, 4))
    unit = noise / 2 + np.linspace(0, 0.5, int(np.prod(size))).reshape(*size, 1)
    if mode in ("I;16", "I"):
        largest = 65_535 if mode == "I;16" else 2**26  # above 2**24 single precision rounds
        values = unit[..., 0] * largest - (0 if mode == "I;16" else 2**24)
        Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.int32)).save(path)
        return path
    image = Image.fromarray((unit * 255).astype(np.uint8))
    if mode == "EXIF-rotated":
        exif = Image.Exif()
        exif[_ORIENTATION] = _ROTATED
        image.convert("RGB").save(path, exif=exif)
    elif mode == "transparent P":
        image.convert("RGB").quantize(7).save(path, transparency=3)
    elif mode == "P":
        image.convert("RGB").quantize(50).save(path)
    else:
        image.convert("RGB").convert(mode).save(path) if mode != "RGBA" else image.save(path)
    return path


def write_pictures(folder, modes=MODES, count=None, sizes=((24, 31), (18, 23), (9, 5)), seed=0):
    """Write images of these modes and sizes in turn; returns a DataFrame of file, class, target and weight."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    count = count or len(modes)
    paths = [
        write_picture(folder / f"picture {number}", modes[number % len(modes)], sizes[number % len(sizes)], random)
        for number in range(count)
    ]
    return pd.DataFrame(
        {
            "file": [path.name for path in paths],
            "class": [("cat", "dog", "emu")[number % 3] for number in range(count)],
            "pair": [("cat", "dog")[number % 2] for number in range(count)],
            "target": np.arange(count) * 0.5,
            "weight": np.linspace(0.5, 2, count),
        }
    )
