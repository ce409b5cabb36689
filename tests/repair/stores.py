"""Small real stores for tests that need no Keras."""

from __future__ import annotations

import numpy as np
from builders import write_photos
from PIL import Image

from kerasdiag.repair.conversion.prepare import prepare_store
from kerasdiag.repair.pixel_store.sources import find_sources
from kerasdiag.spec import LoaderOptions


def load_with_pillow(loader):
    """What Keras' loader does for plain RGB files."""

    def load(path):
        with Image.open(path) as image:
            height, width = loader.target_size
            return np.asarray(image.convert("RGB").resize((width, height), Image.NEAREST))

    return load


def make_store(folder, count=30, target_size=(10, 12)):
    """Convert photo-like images under ``folder`` and return the opened store."""
    paths = write_photos(folder / "images", count, size=(24, 30))
    loader = LoaderOptions("rgb", target_size)
    sources = find_sources([str(path) for path in paths], str(folder / "images"))
    prepared = prepare_store(
        sources,
        loader,
        stores_dir=folder / "stores",
        chosen_dir=True,
        generator_load=load_with_pillow(loader),
        verbose=0,
    )
    return prepared.store
