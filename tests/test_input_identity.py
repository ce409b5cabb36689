"""Inputs are recognised without reading from them, and told apart."""

from __future__ import annotations

import numpy as np
import pytest
from builders import write_photos
from keras_api import IS_KERAS_2, keras, tf
from packaging.version import Version
from trainings import Batches, dataset, image_iterator, make_arrays, python_generator

from kerasdiag.input_identity import identify_input

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twenty small photos in two classes."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("cat", "dog"):
        write_photos(folder / name, 10, size=(24, 32), seed=len(name))
    return folder


def flow(photos, subset="training", source="dataframe", **options):
    import pandas as pd

    generator = keras.preprocessing.image.ImageDataGenerator(validation_split=0.2)
    arguments = {"target_size": (16, 20), "batch_size": 4, "subset": subset, "shuffle": False, **options}
    if source == "directory":
        return generator.flow_from_directory(photos, **arguments)
    rows = sorted(photos.rglob("*.jpg"))
    frame = pd.DataFrame({"path": [str(path) for path in rows], "label": [path.parent.name for path in rows]})
    return generator.flow_from_dataframe(frame, x_col="path", y_col="label", **arguments)


@pytest.mark.parametrize("source", ["dataframe", "directory"])
def test_image_data_generator_over_files(photos, source):
    """n, batch size, subset, target size and a hash of the rows."""
    data = identify_input(flow(photos, source=source))
    assert data.kind == "image-data-generator"
    assert (data.n, data.batch_size, data.num_batches) == (16, 4, 4)
    assert (data.subset, data.target_size) == ("training", (16, 20))
    assert len(data.rows_sha256) == 64


def test_nothing_is_read(photos):
    """Looking at an iterator moves neither its counters nor NumPy's random state."""
    iterator = flow(photos)
    state = np.random.get_state()[1].copy()
    identify_input(iterator)
    assert iterator.total_batches_seen == 0
    assert iterator.batch_index == 0
    assert np.array_equal(state, np.random.get_state()[1])


def test_same_rows_are_the_same_input(photos):
    """A new object over the same rows is the same input; another subset, size or batch size is not."""
    one = identify_input(flow(photos))
    assert one.is_same_input(identify_input(flow(photos)))
    assert one.is_same_input(identify_input(flow(photos), workers=8))
    for other in ({"subset": "validation"}, {"batch_size": 8}, {"target_size": (8, 8)}):
        assert not one.is_same_input(identify_input(flow(photos, **other))), other
    assert not one.is_same_input(None)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (image_iterator, "image-data-generator"),
        (Batches, "py-dataset"),
        (dataset, "tf-data"),
        (python_generator, "python-generator"),
        (lambda: iter([1, 2]), "python-generator"),
        (lambda: make_arrays()[0], "arrays"),
        (lambda: list(make_arrays()), "arrays"),
        (lambda: {"a": make_arrays()[0]}, "arrays"),
        (lambda: tf.zeros((4, 2)), "arrays"),
        (object, "other"),
    ],
)
def test_kinds(make, kind):
    """Each kind of input that fit accepts."""
    assert identify_input(make()).kind == kind


def test_arrays_know_their_number():
    """Keras' default batch size is what fit will use."""
    data = identify_input({"a": make_arrays()[0]})
    assert (data.n, data.batch_size) == (70, 32)
    assert identify_input(make_arrays()[0], batch_size=8).batch_size == 8


def test_workers_of_fit_and_of_the_input():
    """Keras 2 says workers in fit; Keras 3 on the input, which wins."""
    batches = Batches()
    if IS_KERAS_2:
        assert identify_input(batches, workers=6, use_multiprocessing=True).workers == 6
        assert identify_input(batches, workers=6, use_multiprocessing=True).use_multiprocessing is True
    else:
        batches.workers = 3
        assert identify_input(batches, workers=6).workers == 3
    assert identify_input(make_arrays()[0], workers=6).workers is None


def test_pipeline_of_a_dataset():
    """Operations from the source to the end; what makes it slow can be named."""

    def function(x):
        return x + 1

    source = tf.data.Dataset.range(10)
    sequential = identify_input(source.map(function).batch(2))
    assert sequential.pipeline[:3] == ("Range", "Map", "Batch")
    parallel = source.map(function, num_parallel_calls=tf.data.AUTOTUNE).batch(2).prefetch(1)
    assert identify_input(parallel).pipeline == ("Range", "ParallelMap", "Batch", "Prefetch")
    old = tf.compat.v1.data.Dataset.range(10).map(function).batch(2)
    assert identify_input(old).pipeline[:3] == ("Range", "Map", "Batch")
    generator = tf.data.Dataset.from_generator(lambda: iter([1]), output_signature=tf.TensorSpec((), tf.int32))
    assert "FlatMap" in identify_input(generator).pipeline
    assert identify_input(source.with_options(tf.data.Options())).pipeline[0] == "Range"
    assert identify_input(parallel).num_batches == 5
    assert identify_input(generator).num_batches is None


def test_prefetch_that_tf_data_adds_is_not_missing():
    """Newer tf.data adds a final prefetch where autotuning is on: then nobody is told to add one."""
    source = tf.data.Dataset.range(10).batch(2)
    options = tf.data.Options()
    options.autotune.enabled = False
    assert identify_input(source.with_options(options)).pipeline == ("Range", "Batch")
    added = identify_input(source).pipeline[2:]
    assert added == (("Prefetch (added by tf.data)",) if Version(tf.__version__) >= Version("2.15") else ())
    assert identify_input(source.prefetch(1)).pipeline == ("Range", "Batch", "Prefetch")


def test_input_whose_len_raises():
    """Foreign code may raise anything; it is still an input."""

    class Odd(Batches):
        def __len__(self):
            raise RuntimeError("not yet")

    assert identify_input(Odd()).num_batches is None


@pytest.mark.parametrize(
    ("options", "augmentation"),
    [
        ({}, ()),
        ({"rescale": 1 / 255}, ("rescale",)),
        ({"rotation_range": 30, "zoom_range": 0.2, "horizontal_flip": True}, ("rotation_range", "zoom_range", "horizontal_flip")),
        ({"width_shift_range": [-2, 2], "brightness_range": (0.5, 1.5)}, ("width_shift_range", "brightness_range")),
        ({"preprocessing_function": abs, "samplewise_center": True}, ("preprocessing_function", "samplewise_center")),
    ],
)  # fmt: skip
def test_arguments_that_change_pixels(options, augmentation):
    """By name, those that do something; what they do to two inputs does not tell them apart."""
    generator = keras.preprocessing.image.ImageDataGenerator(**options)
    plain = keras.preprocessing.image.ImageDataGenerator()
    images = np.zeros((4, 8, 8, 3))
    data = identify_input(generator.flow(images))
    assert data.augmentation == augmentation
    assert data.is_same_input(identify_input(plain.flow(images)))
