"""Small ImageDataGenerator iterators of the Keras under test, and what autofix makes of them, piece by piece."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings

import numpy as np
import pandas as pd
from builders import write_photos
from keras_api import keras
from PIL import Image

from kerasdiag import compat
from kerasdiag.repair.conversion.prepare import prepare_store
from kerasdiag.repair.kernels.choose import KernelChoice, choose_kernel
from kerasdiag.repair.load import loader_of_generator
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pipeline.pixels import ArrayPixels, StorePixels
from kerasdiag.repair.pixel_store.sources import find_sources
from kerasdiag.repair.plans.plan import PipelinePlan
from kerasdiag.repair.read_generator import read_spec

ImageDataGenerator = keras.preprocessing.image.ImageDataGenerator
CLASSES = ("cat", "dog", "emu")
ARTICLE = {"rotation_range": 30, "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True, "rescale": 1 / 255}


def write_images(folder, count=24, size=(40, 52), seed=0):
    """Photo-like images of several formats and modes; returns a DataFrame of file, class, target and weight."""
    paths = write_photos(folder, count, size=size, seed=seed)
    names = []
    for number, path in enumerate(paths):
        name = path.name
        if number % 6 == 4:  # a palette image with transparency, and a grayscale one
            name = f"{path.stem}.png"
            Image.open(path).convert("P").save(folder / name)
        if number % 6 == 5:
            name = f"{path.stem} gräu's.bmp"
            Image.open(path).convert("L").save(folder / name)
        if name != path.name:
            path.unlink()
        names.append(name)
    return pd.DataFrame(
        {
            "file": names,
            "class": [CLASSES[number % len(CLASSES)] for number in range(count)],
            "pair": [CLASSES[number % 2] for number in range(count)],
            "target": np.arange(count) * 0.5,
            "weight": np.linspace(0.5, 2, count),
        }
    )


def make_generator(frame, folder, *, options=None, **arguments):
    """``flow_from_dataframe`` with small defaults, and without Keras' print of what it found."""
    defaults = {
        "x_col": "file",
        "y_col": "class",
        "target_size": (32, 28),
        "batch_size": 7,
        "class_mode": "categorical",
        "seed": 5,
    }
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = ImageDataGenerator(**(options or {}))
        return source.flow_from_dataframe(frame, directory=str(folder), **{**defaults, **arguments})


def make_directory_generator(folder, *, options=None, **arguments):
    """``flow_from_directory`` with small defaults, and without Keras' print of what it found."""
    defaults = {"target_size": (32, 28), "batch_size": 7, "seed": 5}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ImageDataGenerator(**(options or {})).flow_from_directory(str(folder), **{**defaults, **arguments})


def make_array_generator(x, y=None, *, options=None, fit=False, **arguments):
    """``flow`` with small defaults, on images in memory; ``fit`` lets it see them first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers of channels that are not 1, 3 or 4
        source = ImageDataGenerator(**(options or {}))
        if fit:
            source.fit(x[0] if isinstance(x, (list, tuple)) else x)
        return source.flow(x, y, **{"batch_size": 7, "seed": 5, **arguments})


def make_array_maker(generator, *, kernel=None, seed=None):
    """The batch maker that autofix would build for ``flow``."""
    spec = read_spec(generator)
    rows = np.arange(spec.num_rows)
    images = spec.of_arrays.images
    pixels = ArrayPixels(np.moveaxis(images, 1, 3) if spec.channels_first else images, rows)
    plan = PipelinePlan(spec, rows, None, spec.seed if seed is None else seed, spec.batches_per_pass)
    return BatchMaker(plan, pixels, choose(kernel), 2**26)


def choose(kernel):
    """The kernel of this name; None for what autofix would choose."""
    return KernelChoice("scipy", "the test says so") if kernel == "scipy" else choose_kernel()


def make_maker(generator, stores, *, kernel=None, seed=None, steps=None, block_rows=1):
    """The batch maker that autofix would build for this generator."""
    spec = read_spec(generator)
    sources = find_sources(spec.filepaths, spec.directory)
    prepared = prepare_store(
        sources,
        spec.loader,
        stores_dir=stores,
        chosen_dir=True,
        generator_load=loader_of_generator(generator, spec),
        verbose=0,
    )
    plan = PipelinePlan(
        dataclasses.replace(spec, loader=prepared.store.loader),
        np.arange(spec.num_rows),
        prepared.record_of_row,
        spec.seed if seed is None else seed,
        steps or spec.batches_per_pass,
        block_rows,
    )
    return BatchMaker(plan, StorePixels(prepared.store, prepared.record_of_row), choose(kernel), 2**26)


def keras_draws(generator, count, seed=0):
    """Parameters drawn by Keras itself, as arrays; NumPy's global state is put back."""
    state = np.random.get_state()
    np.random.seed(seed)
    shape = generator.x.shape[1:] if hasattr(generator, "x") else generator.image_shape
    drawn = [generator.image_data_generator.get_random_transform(shape) for _ in range(count)]
    np.random.set_state(state)
    return {name: np.array([one[name] for one in drawn]) for name in drawn[0] if drawn[0][name] is not None}


def keras_images(generator, rows, parameters):
    """The images of these rows as the generator's own loader, apply_transform and standardize make them."""
    load = compat.generator_loader(generator)
    source = generator.image_data_generator
    images = []
    for place, row in enumerate(rows):
        with load(
            generator.filepaths[row],
            color_mode=generator.color_mode,
            target_size=generator.target_size,
            interpolation=generator.interpolation,
        ) as image:
            x = keras.preprocessing.image.img_to_array(image)
        x = source.apply_transform(x, {name: values[place].item() for name, values in parameters.items()})
        images.append(source.standardize(x))
    return np.stack(images)


def our_images(maker, parameters):
    """The images of all rows, batch by batch."""
    rows, size = np.arange(len(maker.plan.rows)), maker.plan.spec.batch_size
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate(
        [maker.images(part, {name: values[part] for name, values in parameters.items()}) for part in parts]
    )
