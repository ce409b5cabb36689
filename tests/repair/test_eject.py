"""The ejected script, run where kerasdiag cannot be imported, against the generator and Keras themselves."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from repair.ejected import joined, run_scripts
from repair.generators import CLASSES, keras_draws, keras_images, make_generator, write_images

from kerasdiag import autofix
from kerasdiag.cli import main
from kerasdiag.repair.plans import eject

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

SHIFTS = {
    "still": {},
    "whole": {"height_shift_range": 9, "width_shift_range": 7},
    "listed": {"height_shift_range": [-3, 0, 8], "width_shift_range": (0.1, 0.35)},
    "real": {"height_shift_range": 0.4, "width_shift_range": 3.5},
}
REST = {"rotation_range": 90, "shear_range": 20, "zoom_range": (0.5, 1.6), "vertical_flip": True}
PIXELS = {
    f"{order} {color} {shift}": (
        {**SHIFTS[shift], **(REST if shift != "whole" else {}), "interpolation_order": order, "rescale": rescale},
        {"color_mode": color},
    )
    for (order, color, shift), rescale in zip(
        itertools.product((1, 0), ("rgb", "grayscale"), SHIFTS), itertools.cycle([None, 1 / 255, 1.0 / 127.5])
    )
}
PIXELS.update(
    {
        "nothing": ({}, {}),
        "rescale alone": ({"rescale": 1 / 255}, {}),
        "flips": ({"horizontal_flip": True, "vertical_flip": True}, {}),
        "upside down": ({"vertical_flip": True, "rescale": 1 / 255}, {"color_mode": "grayscale"}),
        "half pixels": ({"height_shift_range": [0.5], "interpolation_order": 0}, {"target_size": (31, 28)}),
        "the article's": ({"rotation_range": 30, "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True}, {}),
        "zoom out": ({"zoom_range": [1.5, 3.0], "horizontal_flip": True}, {}),
    }
)
LABELS = {
    "categorical": {"class_mode": "categorical"},
    "binary": {"class_mode": "binary", "y_col": "pair"},
    "sparse": {"class_mode": "sparse"},
    "raw": {"class_mode": "raw", "y_col": "target"},
    "raw columns": {"class_mode": "raw", "y_col": ["target", "weight"]},
    "raw text": {"class_mode": "raw", "y_col": "class"},
    "no labels": {"class_mode": None},
    "weights": {"class_mode": "categorical", "weight_col": "weight"},
    "training": {"subset": "training"},
    "validation": {"subset": "validation"},
    "large batches": {"batch_size": 100},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Every generator of these tests, repaired, ejected, and its script run once, all in one process."""
    return _World(tmp_path_factory.mktemp("world"))


class _World:
    def __init__(self, folder):
        self.folder = folder
        self.frame = write_images(folder / "images")
        self.generators, self.datasets, self.scripts, tasks = {}, {}, {}, {}
        for name, (options, arguments) in PIXELS.items():
            generator = self.add(name, options, **arguments)
            tasks[name] = (self.scripts[name], keras_draws(generator, len(self.frame), 3), 0)
        for name, arguments in LABELS.items():
            self.add(name, {"validation_split": 0.25}, shuffle=False, **arguments)
            tasks[name] = (self.scripts[name], None, 2)
        self.add("shuffled", {"rotation_range": 40}, steps=9, class_mode="raw", y_col="target", seed=11)
        self.add("unseeded", {}, class_mode="raw", y_col="target", seed=None)
        self.add("few steps", {}, steps=2, shuffle=False, class_mode="raw", y_col="target")
        self.add("images", {"rotation_range": 40}, class_mode="raw", y_col="target", seed=4)
        self.add("masks", {"rotation_range": 40}, class_mode="raw", y_col="target", seed=4, color_mode="grayscale")
        for name in ("shuffled", "unseeded", "few steps", "images", "masks"):
            tasks[name] = (self.scripts[name], None, 2)
        self.results = run_scripts(folder, tasks)

    def add(self, name, options, *, steps=None, **arguments):
        generator = make_generator(self.frame, self.folder / "images", options=options, **arguments)
        # A cache of its own: two equal plans would be one.
        cache = self.folder / "cache" / name
        dataset = autofix(generator, when="always", cache_dir=cache, verbose=0, steps_per_epoch=steps)
        script = self.folder / f"{name}.py"
        assert main(["store", "eject", dataset.repair_report.store, "-o", str(script)]) == 0
        self.generators[name], self.datasets[name], self.scripts[name] = generator, dataset, script
        return generator


def test_labels_become_one_hot_batch_by_batch(world):
    """A million rows of a thousand classes would be 4 GB of zeros: a script keeps class numbers, 8 bytes a row."""
    assert world.results["categorical"]["kept_bytes"] <= 8 * len(world.frame)


@pytest.mark.parametrize("name", PIXELS)
def test_pixels_for_keras_own_draws_are_keras_own(world, name):
    """Within 0.02 of 255 grey levels for bilinear sampling, equal without interpolation."""
    generator = world.generators[name]
    rows = np.arange(len(world.frame))
    wanted = keras_images(generator, rows, keras_draws(generator, len(rows), 3))
    got = world.results[name]["images"]
    assert got.dtype == wanted.dtype == np.float32
    assert got.shape == wanted.shape == (len(rows), *generator.image_shape)
    rescale = generator.image_data_generator.rescale or 1
    source = generator.image_data_generator
    interpolates = source.interpolation_order == 1 and any(
        (source.rotation_range, source.height_shift_range, source.shear_range, tuple(source.zoom_range) != (1, 1))
    )
    difference = np.abs(got.astype(np.float64) - wanted).max() / rescale
    assert difference <= (0.02 if interpolates else 0)
    plain = make_generator(world.frame, world.folder / "images", **PIXELS[name][1])
    untouched = keras_images(plain, rows, keras_draws(plain, len(rows)))
    changed = (np.abs(wanted / rescale - untouched) > 1).any(axis=(1, 2, 3))
    # The draws did something, so the comparison says something.
    assert changed.sum() >= (0 if name in ("nothing", "rescale alone") else len(rows) // 3)


def as_tensorflow_gives(array):
    """Text comes out of TensorFlow as bytes."""
    array = np.asarray(array)
    return np.array([text.encode() for text in array], object) if array.dtype == object else array


@pytest.mark.parametrize("name", LABELS)
def test_rows_labels_weights_and_batches_are_the_generators(world, name):
    """Without shuffling and augmentation, every batch of every iteration equals the generator's."""
    generator, result = world.generators[name], world.results[name]
    assert result["length"] == len(generator)
    for batches in result["batches"]:
        assert len(batches) == len(generator)
        for step, got in enumerate(batches):
            wanted = generator[step]
            wanted = wanted if isinstance(wanted, tuple) else (wanted,)
            assert len(got) == len(wanted)
            for ours, theirs in zip(got, map(as_tensorflow_gives, wanted)):
                assert np.array_equal(ours, theirs)
                assert ours.shape == theirs.shape


@pytest.mark.parametrize("name", [*LABELS, "shuffled", "masks"])
def test_elements_look_like_autofix_own(world, name):
    """Structure, dtypes, static shapes and length are those of the repaired dataset."""
    dataset = world.datasets[name]
    assert world.results[name]["spec"] == str(dataset.element_spec)
    assert world.results[name]["length"] == len(dataset)


@pytest.mark.parametrize("name", ["shuffled", "unseeded"])
def test_each_pass_and_each_iteration_has_its_own_order(world, name):
    """Every row once in a pass, the last batch smaller; 9 steps of 4 a pass run on into a third pass."""
    result, sizes = world.results[name], [7, 7, 7, 3]
    steps = 9 if name == "shuffled" else 4
    passes = []
    for batches in result["batches"]:
        assert [len(batch[0]) for batch in batches] == (sizes * 3)[:steps]
        for start in range(0, steps - 3, 4):
            passes.append(joined(batches[start : start + 4], part=1))
    assert all(np.array_equal(np.sort(one), np.sort(world.frame["target"])) for one in passes)
    assert len({one.tobytes() for one in passes}) == len(passes)
    assert not any(np.array_equal(one, np.sort(one)) for one in passes)


def test_fewer_steps_than_a_pass_keep_the_order_of_the_file(world):
    """shuffle=False begins each iteration with the first row again."""
    for batches in world.results["few steps"]["batches"]:
        assert joined(batches, part=1).tolist() == world.frame["target"][:14].tolist()


def test_each_iteration_draws_anew(world):
    """The same row is not turned by the same angle in two passes."""
    first, second = world.results["shuffled"]["batches"]
    rows = [(joined(batches[:4], part=1).argsort(), joined(batches[:4])) for batches in (first, second)]
    one, other = (images[order] for order, images in rows)
    assert all(not np.array_equal(a, b) for a, b in zip(one, other))


def test_images_and_masks_with_one_seed_stay_aligned(world):
    """Two scripts with equal seed and rows take the rows in the same order and turn them alike."""
    images, masks = (world.results[name]["batches"] for name in ("images", "masks"))
    for one, other in zip(images, masks):
        assert np.array_equal(joined(one, part=1), joined(other, part=1))
        gray = joined(one) @ np.array([0.299, 0.587, 0.114])
        mean_difference = np.abs(gray - joined(other)[..., 0]).mean(axis=(1, 2))
        assert (mean_difference < 2).sum() >= 20  # palette images differ in colour, all others are the same picture
    assert np.array_equal(world.results["images"]["draw"]["theta"], world.results["masks"]["draw"]["theta"])


@pytest.mark.parametrize("name", [name for name in PIXELS if name.startswith("1 rgb")] + ["the article's", "zoom out"])
def test_draws_have_the_distributions_of_keras(world, name):
    """The same single values where Keras chooses, the same range and mean where it draws from an interval."""
    ours, theirs = world.results[name]["draw"], keras_draws(world.generators[name], 4000)
    for parameter in ("theta", "tx", "ty", "shear", "zx", "zy"):
        got, wanted = ours[parameter], theirs[parameter]
        values = np.unique(np.abs(wanted))
        if len(values) < 50:
            assert np.array_equal(np.unique(got), np.unique(wanted)), parameter
            shares = [[np.mean(numbers == value) for value in np.unique(wanted)] for numbers in (got, wanted)]
            assert np.allclose(*shares, atol=0.04), parameter
        else:
            spread = np.ptp(wanted)
            assert np.allclose([got.min(), got.max()], [wanted.min(), wanted.max()], atol=0.02 * spread), parameter
            assert np.allclose(
                np.quantile(got, [0.25, 0.5, 0.75]), np.quantile(wanted, [0.25, 0.5, 0.75]), atol=0.04 * spread
            )
            assert len(np.unique(got)) > 3900, parameter
    for parameter in ("flip_horizontal", "flip_vertical"):
        switched = bool(getattr(world.generators[name].image_data_generator, parameter.replace("flip_", "") + "_flip"))
        assert (parameter in ours) == switched
        if switched:
            assert 0.45 < ours[parameter].mean() < 0.55
            assert ours[parameter].dtype == bool


@pytest.mark.parametrize("name", [*PIXELS, *LABELS])
def test_scripts_are_short_and_import_two_packages(world, name):
    """At most 150 lines, no part of the template left over, nothing imported but NumPy and TensorFlow."""
    text = world.scripts[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= eject.MAX_LINES
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [alias.name for node in imported for alias in node.names] == ["numpy", "tensorflow"]
    assert "#if" not in text
    assert "#end" not in text
    assert "__" not in text.replace("__name__", "").replace("__main__", "")


def test_a_script_has_only_what_its_plan_needs(world):
    """No affine map without a warp, no flip without a flip."""
    plain, flips, order_0 = (world.scripts[name].read_text() for name in ("nothing", "flips", "0 rgb still"))
    assert "affine" not in plain
    assert "RESCALE" not in plain
    assert "affine" not in flips
    assert "flip_vertical" in flips
    assert "choose" not in order_0
    assert "lower" not in order_0
    assert "shuffle(" not in world.scripts["few steps"].read_text()


def test_the_script_shows_what_it_gives(world):
    """python pipeline.py prints shapes, the labels of the first batch, and a rate."""
    command = [sys.executable, "-I", str(world.scripts["weights"])]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    assert "24 images, 4 batches an epoch" in result.stdout
    assert "first batch: images (7, 32, 28, 3) labels [[1.0, 0.0, 0.0]" in result.stdout
    assert "weights [0.5," in result.stdout
    assert "images a second" in result.stdout


def test_the_script_names_the_classes(world):
    """The index of each class stands in the script where the line has room for it."""
    script = world.scripts["categorical"].read_text()
    assert f"CLASS_INDICES = { {name: index for index, name in enumerate(CLASSES)} }" in script
    many = eject._class_indices({f"class {number}": number for number in range(500)})
    assert many.startswith("None  # 500 classes")


BEYOND_SCRIPTS = {
    "fill_mode": {"options": {"rotation_range": 9, "fill_mode": "reflect"}},
    "interpolation_order": {"options": {"rotation_range": 9, "interpolation_order": 3}},
    "brightness_range": {"options": {"brightness_range": (0.5, 1)}},
    "channel_shift_range": {"options": {"channel_shift_range": 9}},
    "samplewise_center": {"options": {"samplewise_center": True}},
    "preprocessing_function": {"options": {"preprocessing_function": np.negative}},
    "dtype='float64'": {"options": {"dtype": "float64"}},
    "data_format='channels_first'": {"options": {"data_format": "channels_first"}, "data_format": "channels_first"},
    "class_mode='multi_output'": {"class_mode": "multi_output", "y_col": ["target", "weight"]},
    "class_mode='input'": {"class_mode": "input"},
    "mode='replay'": {},
}


@pytest.mark.parametrize("name", BEYOND_SCRIPTS)
def test_what_no_script_can_do_is_named(world, tmp_path, capsys, name):
    """A script that did something else than the dataset would be worse than none."""
    generator = make_generator(world.frame, world.folder / "images", **BEYOND_SCRIPTS[name])
    mode = "replay" if "replay" in name else "exact"
    dataset = autofix(generator, when="always", cache_dir=tmp_path / "cache", verbose=0, mode=mode)
    script = tmp_path / "pipeline.py"
    assert main(["store", "eject", dataset.repair_report.store, "-o", str(script)]) == 2
    printed = capsys.readouterr().err
    assert f"uses {name}, which no script can be written for yet" in printed
    assert not script.exists()
