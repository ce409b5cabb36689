"""Bit for bit the generator's own pixels, labels and weights: compared with the installed Keras, never with ourselves."""

from __future__ import annotations

import numpy as np
import pytest
from repair.generators import (
    ARTICLE,
    keras_draws,
    keras_images,
    make_generator,
    make_maker,
    our_images,
    write_images,
)

pytestmark = pytest.mark.keras

WARPS = {
    "nothing": {},
    "rotation": {"rotation_range": 180},
    "row shift": {"height_shift_range": 0.4},
    "column shift": {"width_shift_range": 0.4},
    "shift by whole pixels": {"height_shift_range": 9, "width_shift_range": 7},
    "shift by listed values": {"height_shift_range": [-3, 0, 8], "width_shift_range": (0.1, 0.35)},
    "shear": {"shear_range": 40.0},
    "zoom": {"zoom_range": 0.6},
    "zoom out": {"zoom_range": [1.5, 3.0]},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "the article's": ARTICLE,
    "everything": {
        "rotation_range": 90,
        "height_shift_range": 0.3,
        "width_shift_range": 5,
        "shear_range": 20,
        "zoom_range": (0.5, 1.6),
        "horizontal_flip": True,
        "vertical_flip": True,
        "rescale": 1.0 / 127.5,
    },
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return write_images(folder), folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "stores"


def assert_equal_images(generator, maker, seed=0):
    rows = np.arange(len(maker.plan.rows))
    parameters = keras_draws(generator, len(rows), seed)
    wanted = keras_images(generator, rows, parameters)
    got = our_images(maker, parameters)
    assert got.dtype == wanted.dtype == np.float32
    assert got.shape == wanted.shape
    assert len(np.unique(wanted)) > 100, "the images are too plain to prove anything"
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("kernel", ["compiled", "scipy"])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("options", WARPS.values(), ids=WARPS)
def test_augmented_pixels(images, stores, options, color_mode, order, kernel):
    """For parameters that Keras drew, the pixels are those of Keras' apply_transform and standardize."""
    generator = make_generator(*images, options={**options, "interpolation_order": order}, color_mode=color_mode)
    maker = make_maker(generator, stores, kernel=kernel)
    assert maker.kernel.name == kernel, maker.kernel.reason
    for seed in range(3):
        assert_equal_images(generator, maker, seed)


@pytest.mark.parametrize("kernel", ["compiled", "scipy"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (31, 7), (64, 65)])
def test_odd_sizes(images, stores, size, kernel):
    """A row or a column has no neighbour, and a width need not be a multiple of anything."""
    for color_mode in ("rgb", "grayscale"):
        generator = make_generator(
            *images, options=WARPS["everything"], target_size=size, color_mode=color_mode, interpolation="bilinear"
        )
        rows = np.arange(generator.n)
        parameters = keras_draws(generator, generator.n)
        maker = make_maker(generator, stores, kernel=kernel)
        np.testing.assert_array_equal(our_images(maker, parameters), keras_images(generator, rows, parameters))


@pytest.mark.parametrize("rescale", [None, 0, 1, 3, 1 / 255, np.float32(1 / 255), 0.1])
@pytest.mark.parametrize("kernel", ["compiled", "scipy"])
def test_rescale(images, stores, rescale, kernel):
    """Every number that stands for a factor in single precision, None and 0 for none."""
    generator = make_generator(*images, options={"rescale": rescale, "rotation_range": 20})
    assert_equal_images(generator, make_maker(generator, stores, kernel=kernel))


def test_rescale_in_double_precision(images, stores):
    """NumPy 2 multiplies by a numpy.float64 in double precision, which the SciPy path does, too."""
    generator = make_generator(*images, options={"rescale": np.float64(1 / 255), "rotation_range": 20})
    assert_equal_images(generator, make_maker(generator, stores, kernel="scipy"))


def batches_of(generator):
    """One pass of the generator without its random numbers, as arrays of one tuple each."""
    return [batch if isinstance(batch, tuple) else (batch,) for batch in (generator[k] for k in range(len(generator)))]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
def test_batches_of_every_filter(images, stores, color_mode, interpolation):
    """Without augmentation and in file order, the batches are the generator's own."""
    generator = make_generator(*images, shuffle=False, color_mode=color_mode, interpolation=interpolation)
    assert_equal_batches(generator, make_maker(generator, stores))


CLASS_MODES = {
    "categorical": {},
    "categorical, order given": {"classes": ["emu", "cat", "dog"]},
    "categorical, rows of other classes dropped": {"classes": ["emu", "cat"]},
    "binary": {"y_col": "pair"},
    "sparse": {},
    "raw": {"y_col": "target"},
    "raw, several": {"y_col": ["target", "weight"]},
    "None": {"y_col": None},
}


@pytest.mark.parametrize("weights", [False, True], ids=["no weights", "weights"])
@pytest.mark.parametrize("subset", [None, "training", "validation"])
@pytest.mark.parametrize("name", CLASS_MODES)
def test_labels_weights_and_split(images, stores, name, subset, weights):
    """Labels, weights, split and file order are the generator's, batch by batch."""
    frame, folder = images
    class_mode = name.split(",")[0]
    generator = make_generator(
        frame,
        folder,
        options={"validation_split": 0.3, "rescale": 1 / 255},
        class_mode=None if class_mode == "None" else class_mode,
        subset=subset,
        shuffle=False,
        weight_col="weight" if weights else None,
        **CLASS_MODES[name],
    )
    assert_equal_batches(generator, make_maker(generator, stores))


def test_several_labels_a_row(images, stores):
    """A row may have several classes."""
    frame, folder = images
    frame = frame.assign(**{"class": [list(pair) for pair in zip(frame["class"], frame["pair"])]})
    generator = make_generator(frame, folder, shuffle=False)
    assert_equal_batches(generator, make_maker(generator, stores))


def test_images_of_a_directory(images, stores, tmp_path):
    """flow_from_directory gives the same kind of iterator."""
    from repair.generators import ImageDataGenerator

    for name in ("b", "a"):
        write_images(tmp_path / name, 6, seed=ord(name))
    source = ImageDataGenerator(rescale=1 / 255, validation_split=0.5)
    generator = source.flow_from_directory(
        tmp_path, target_size=(20, 20), batch_size=4, shuffle=False, subset="training", class_mode="sparse"
    )
    assert_equal_batches(generator, make_maker(generator, stores, seed=1))


def assert_equal_batches(generator, maker):
    wanted = batches_of(generator)
    assert len(wanted) == maker.plan.batches_per_pass
    for step, batch in enumerate(wanted):
        got = maker.batch(0, step)
        assert len(got) == len(batch)
        for ours, theirs in zip(got, batch):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_shuffled_pass_is_a_permutation_of_the_generator(images, stores):
    """With shuffling, the rows of a pass are those of the generator, each with its own label and weight."""
    generator = make_generator(*images, weight_col="weight")
    plain = make_generator(*images, weight_col="weight", shuffle=False)
    by_weight = {float(weight): (image, label) for batch in batches_of(plain) for image, label, weight in zip(*batch)}
    maker = make_maker(generator, stores)
    seen = []
    for step in range(maker.plan.batches_per_pass):
        for image, label, weight in zip(*maker.batch(3, step)):
            np.testing.assert_array_equal(image, by_weight[float(weight)][0])
            np.testing.assert_array_equal(label, by_weight[float(weight)][1])
            seen.append(float(weight))
    assert sorted(seen) == sorted(by_weight)
    assert seen != sorted(seen)
