"""Batches of generators over files: every filter, class mode, subset and way to make one, compared with the installed Keras."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from repair.generators import ImageDataGenerator, make_directory_generator, make_generator, make_maker
from repair.parity import assert_equal_parts, compare, flat
from repair.pictures import MODES, write_pictures

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

TURN = {"rotation_range": 60, "zoom_range": 0.3, "horizontal_flip": True, "rescale": 1 / 255}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return write_pictures(folder, count=2 * len(MODES)), folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "stores"


def assert_equal_batches(generator, maker):
    """One pass in file order, by the generator's own indexing."""
    assert not generator.shuffle
    assert len(generator) == maker.plan.batches_per_pass > 0
    for step in range(len(generator)):
        assert_equal_parts(flat(generator[step]), flat(maker.targets.nest(maker.batch(0, step))))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
def test_every_filter(images, stores, color_mode, interpolation):
    """Without augmentation and in file order, the batches are the generator's own."""
    generator = make_generator(
        *images, shuffle=False, color_mode=color_mode, interpolation=interpolation, target_size=(17, 14)
    )
    maker = make_maker(generator, stores)
    assert_equal_batches(generator, maker)
    assert compare(generator, maker)


CLASS_MODES = {
    "categorical": {},
    "categorical, order given": {"classes": ["emu", "cat", "dog"]},
    "categorical, rows of other classes dropped": {"classes": ["emu", "cat"]},
    "binary": {"y_col": "pair"},
    "binary, order given": {"y_col": "pair", "classes": ["dog", "cat"]},
    "sparse": {},
    "raw": {"y_col": "target"},
    "raw, several": {"y_col": ["target", "weight"]},
    "raw, words": {"y_col": "class"},
    "multi_output": {"y_col": ["target", "class", "weight"]},
    "input": {"y_col": None},
    "None": {"y_col": None},
}


@pytest.mark.parametrize("weights", [False, True], ids=["no weights", "weights"])
@pytest.mark.parametrize("subset", [None, "training", "validation"])
@pytest.mark.parametrize("name", CLASS_MODES)
def test_labels_weights_and_split(images, stores, name, subset, weights):
    """Labels, weights, split and file order are the generator's, batch by batch."""
    class_mode = name.split(",")[0]
    generator = make_generator(
        *images,
        options={"validation_split": 0.3, "rescale": 1 / 255},
        class_mode=None if class_mode == "None" else class_mode,
        subset=subset,
        shuffle=False,
        weight_col="weight" if weights else None,
        target_size=(6, 5),
        **CLASS_MODES[name],
    )
    assert_equal_batches(generator, make_maker(generator, stores))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32"])
@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input"])
def test_labels_have_the_dtype_of_the_batch(images, stores, class_mode, dtype):
    """One-hot vectors, numbers of classes and images as labels take the generator's dtype."""
    column = "pair" if class_mode == "binary" else "class"
    generator = make_generator(
        *images, options={"dtype": dtype}, shuffle=False, class_mode=class_mode, y_col=column, target_size=(6, 5)
    )
    assert_equal_batches(generator, make_maker(generator, stores))


def test_augmented_images_as_labels(images, stores):
    """class_mode="input" gives the augmented image twice."""
    generator = make_generator(*images, options=TURN, class_mode="input", weight_col="weight", target_size=(12, 9))
    assert compare(generator, make_maker(generator, stores))


def test_several_labels_a_row(images, stores):
    """A row may have several classes."""
    frame, folder = images
    frame = frame.assign(**{"class": [list(pair) for pair in zip(frame["class"], frame["pair"])]})
    generator = make_generator(frame, folder, shuffle=False, target_size=(6, 5), weight_col="weight")
    assert_equal_batches(generator, make_maker(generator, stores))


def test_names_that_nobody_looked_at(images, stores):
    """validate_filenames=False keeps all rows, and absolute names stand by themselves."""
    frame, folder = images
    generator = make_generator(frame, folder, options=TURN, validate_filenames=False, target_size=(12, 9))
    assert compare(generator, make_maker(generator, stores))
    absolute = frame.assign(file=[str(folder / name) for name in frame["file"]])
    with contextlib.redirect_stdout(io.StringIO()):
        generator = ImageDataGenerator(**TURN).flow_from_dataframe(
            absolute, x_col="file", target_size=(12, 9), batch_size=5, seed=1
        )
    assert compare(generator, make_maker(generator, stores))


def test_rows_that_are_no_files_are_dropped_as_keras_drops_them(images, stores):
    """What validate_filenames drops is not there, and the labels stay with their images."""
    frame, folder = images
    frame = frame.assign(file=[name if row % 4 else "missing.png" for row, name in enumerate(frame["file"])])
    generator = make_generator(frame, folder, options=TURN, weight_col="weight", target_size=(12, 9))
    assert generator.n == len(frame) - (len(frame) + 3) // 4
    assert compare(generator, make_maker(generator, stores))


def test_an_iterator_without_an_image_data_generator(images, stores):
    """Keras' iterators take None for it and give loaded pixels."""
    frame, folder = images
    kind = type(make_generator(frame, folder))
    with contextlib.redirect_stdout(io.StringIO()):
        generator = kind(frame, str(folder), x_col="file", target_size=(12, 9), batch_size=5, seed=1)
    assert compare(generator, make_maker(generator, stores))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("classes")
    for name in ("b", "a", "c"):
        write_pictures(place / name, count=7, seed=ord(name))
    return place


@pytest.mark.parametrize("class_mode", ["categorical", "sparse", "input", None])
@pytest.mark.parametrize("subset", [None, "training", "validation"])
def test_images_of_a_directory(directory, stores, class_mode, subset):
    """flow_from_directory gives the same kind of iterator."""
    options = {**TURN, "validation_split": 0.4}
    generator = make_directory_generator(
        directory, options=options, class_mode=class_mode, subset=subset, target_size=(12, 9)
    )
    assert compare(generator, make_maker(generator, stores))


@pytest.mark.parametrize("target_size", [(12, 9), (5, 20), (24, 31)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_aspect_ratio_kept(directory, stores, target_size, interpolation):
    """Images are cropped to the target's aspect ratio first."""
    generator = make_directory_generator(
        directory,
        options=TURN,
        keep_aspect_ratio=True,
        target_size=target_size,
        interpolation=interpolation,
        classes=["c", "a"],
    )
    assert generator.keep_aspect_ratio
    assert compare(generator, make_maker(generator, stores))


def test_shuffled_pass_is_a_permutation_of_the_generator(images, stores):
    """With shuffling, the rows of a pass are those of the generator, each with its own label and weight."""
    generator = make_generator(*images, weight_col="weight", target_size=(12, 9))
    plain = make_generator(*images, weight_col="weight", target_size=(12, 9), shuffle=False)
    by_weight = {
        float(weight): (image, label) for step in range(len(plain)) for image, label, weight in zip(*flat(plain[step]))
    }
    maker = make_maker(generator, stores)
    seen = []
    for step in range(maker.plan.batches_per_pass):
        for image, label, weight in zip(*maker.batch(3, step)):
            np.testing.assert_array_equal(image, by_weight[float(weight)][0])
            np.testing.assert_array_equal(label, by_weight[float(weight)][1])
            seen.append(float(weight))
    assert sorted(seen) == sorted(by_weight)
    assert seen != sorted(seen)
