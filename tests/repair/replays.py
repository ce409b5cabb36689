"""What a generator gives when it is iterated directly, and comparing a dataset with that, bit for bit."""

from __future__ import annotations

import contextlib
import io
import random
import warnings
from typing import NamedTuple

import numpy as np
from keras_api import tf
from PIL import Image
from repair.generators import CLASSES, ImageDataGenerator, make_generator, write_images

from kerasdiag import autofix

COUNT, BATCH = 24, 7  # four batches, the last one of three images
BATCHES = -(-COUNT // BATCH)


class Data(NamedTuple):
    """The images of a module's tests, in the three ways in which ImageDataGenerator takes them."""

    frame: object
    folder: object
    arrays: tuple
    cache: object


def make_data(place):
    """A DataFrame with files, a folder for each class, arrays of images, labels and weights, and a cache."""
    frame = write_images(place / "files")
    numbers = np.random.default_rng(0)
    for number in range(COUNT):
        path = place / "classes" / CLASSES[number % 3] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numbers.integers(0, 256, (30, 26, 3), np.uint8)).save(path)
    images = numbers.integers(0, 256, (COUNT, 16, 14, 3)).astype("float32")
    return Data(frame, place / "files", (images, np.arange(COUNT), np.linspace(0.5, 2, COUNT)), place / "cache")


def from_dataframe(data, options=None, **arguments):
    """``flow_from_dataframe`` with categorical labels and weights."""
    return make_generator(data.frame, data.folder, options=options, **{"weight_col": "weight", **arguments})


def from_directory(data, options=None, **arguments):
    """``flow_from_directory``, without Keras' print of what it found."""
    defaults = {"target_size": (32, 28), "batch_size": BATCH, "class_mode": "sparse", "seed": 5}
    with contextlib.redirect_stdout(io.StringIO()):
        source = ImageDataGenerator(**(options or {}))
        return source.flow_from_directory(str(data.folder.parent / "classes"), **{**defaults, **arguments})


def from_arrays(data, options=None, **arguments):
    """``flow`` with labels and weights."""
    images, labels, weights = data.arrays
    defaults = {"batch_size": BATCH, "seed": 5, "sample_weight": weights}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ImageDataGenerator(**(options or {})).flow(images, labels, **{**defaults, **arguments})


SOURCES = {"flow_from_dataframe": from_dataframe, "flow_from_directory": from_directory, "flow": from_arrays}


def replay(generator, data, **arguments):
    """Autofix in replay mode, without evidence and silently."""
    return autofix(generator, when="always", cache_dir=data.cache, mode="replay", verbose=0, **arguments)


def arrays_of(batch):
    """The arrays of a batch, copied."""
    if isinstance(batch, (tuple, list)):
        return [array for part in batch for array in arrays_of(part)]
    return [np.array(batch)]


def iterate(dataset):
    """One iteration over a dataset."""
    return [arrays_of(batch) for batch in dataset]


def directly(generator, epochs=1):
    """The batches of each epoch of a generator that is indexed by one thread."""
    given = []
    for _ in range(epochs):
        given.append([arrays_of(generator[index]) for index in range(len(generator))])
        generator.on_epoch_end()
    return given


def are_equal(one, other):
    """Whether two epochs have the same batches: number, shapes, dtypes and every bit."""
    return len(one) == len(other) and all(
        len(a) == len(b)
        and all(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in zip(a, b))
        for a, b in zip(one, other)
    )


def state(generator):
    """Everything that a call of ours must leave as it was."""
    name, keys, position, has_gauss, gauss = np.random.get_state()
    index = generator.index_array
    return (
        (generator.total_batches_seen, generator.batch_index, None if index is None else index.tolist()),
        (name, keys.tolist(), position, has_gauss, gauss),
        random.getstate(),
    )


def assert_replays(generator, data, epochs=3, **arguments):
    """Make a dataset, iterate it, look at the state, and only then ask the generator itself."""
    before = state(generator)
    dataset = replay(generator, data, **arguments)
    assert state(generator) == before, "autofix moved a counter or a global stream"
    given = [iterate(dataset) for _ in range(epochs)]
    assert state(generator) == before, "iterating moved a counter or a global stream"
    wanted = directly(generator, epochs)
    for epoch in range(epochs):
        assert are_equal(given[epoch], wanted[epoch]), f"epoch {epoch} is not the generator's"
    return dataset


def nested(dataset):
    """Nesting of a dataset's elements, as the generator's batches have it."""
    return tf.nest.map_structure(lambda spec: 0, dataset.element_spec)
