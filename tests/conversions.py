"""Small image sets, and the conversion called as autofix will call it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from kerasdiag.repair.conversion.prepare import prepare_store
from kerasdiag.repair.pixel_store.sources import find_sources
from kerasdiag.spec import LoaderOptions

LOADER = LoaderOptions("rgb", (24, 32))
RANGES = {"uint8": (0, 256), "uint16": (0, 65_536), "int32": (-5, 200_000)}  # of the values that a dtype is for
OLD = 1_600_000_000  # seconds; young files are hashed again, old ones are believed


def write_pictures(folder, count, size=(40, 30), seed=0, suffix="png"):
    """Write small random images that are not young, and return their paths."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"picture_{number:03}.{suffix}" for number in range(count)]
    for path in paths:
        write_picture(path, random, size)
    return [str(path) for path in paths]


def write_picture(path, random, size=(40, 30), age_s=0):
    Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)
    os.utime(path, (OLD + age_s, OLD + age_s))


def write_wide(path, dtype="uint16", size=(32, 24), seed=0, margin=0):
    """Write an old grayscale file that needs ``dtype``: PNG or TIFF, 32 bits as Pillow's mode I."""
    low, high = RANGES[dtype]
    low, high = low + margin, high - margin  # a filter overshoots
    pixels = np.random.default_rng(seed).integers(low, high, size[::-1]).astype(dtype)
    pixels.flat[:2] = low, high - 1
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    os.utime(path, (OLD, OLD))
    return str(path)


def keras_like(loader=LOADER):
    """Return a loader as a generator has it."""

    def load(path):
        with open(path, "rb") as file:
            image = Image.open(io.BytesIO(file.read()))
        if loader.color_mode == "grayscale":
            image = image if image.mode in ("L", "I;16", "I") else image.convert("L")
        else:
            image = image.convert({"rgb": "RGB", "rgba": "RGBA"}[loader.color_mode])
        if image.size != loader.target_size[::-1]:
            image = image.resize(loader.target_size[::-1], Image.NEAREST)
        return np.asarray(image)

    return load


def own_loader(path):
    """Return other pixels than Keras would: the conversion then stays in this process."""
    return 255 - keras_like()(path)


def convert(paths, stores, directory=None, loader=LOADER, generator_load=None, **options):
    """Prepare the store of some paths, silently."""
    options = {"chosen_dir": True, "verbose": 0, **options}
    sources = find_sources([str(path) for path in paths], None if directory is None else str(directory))
    return prepare_store(
        sources, loader, stores_dir=Path(stores), generator_load=generator_load or keras_like(loader), **options
    )


def stored_pixels(prepared, row):
    """Read the pixels of a row by the offsets that the store tells."""
    record, store = int(prepared.record_of_row[row]), prepared.store
    with open(store.files[store.file[record]], "rb") as file:
        file.seek(int(store.data_offset[record]))
        data = file.read(store.loader.image_bytes)
    return np.frombuffer(data, store.loader.pixel_dtype).reshape(store.loader.image_shape)


def content(folder):
    """Return everything in a folder of stores but the caches of this machine, by path."""
    folder = Path(folder)
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*"))}
    return {
        name: path.read_bytes() if path.is_file() else None
        for name, path in found.items()
        if "local" not in Path(name).parts
    }
