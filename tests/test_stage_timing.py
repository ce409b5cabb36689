"""Stages of an ImageDataGenerator's own rows, against generators whose slow stage is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from builders import write_photos
from keras_api import keras

from kerasdiag.stage_timing import AFFINE, COLLATE, DECODE, FUNCTION, READ, time_generator

pytestmark = [pytest.mark.keras, pytest.mark.timed]

ImageDataGenerator = keras.preprocessing.image.ImageDataGenerator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of photos."""
    root = tmp_path_factory.mktemp("photos")
    for name in ("a", "b"):
        write_photos(root / name, 6, size=(300, 400))
    return root


def flow(folder, target_size=(64, 64), seed=5, **options):
    generator = ImageDataGenerator(**options)
    return generator.flow_from_directory(folder, target_size=target_size, batch_size=4, class_mode="binary", seed=seed)


def slow(image):
    time.sleep(0.02)
    return image


@pytest.mark.parametrize(
    ("options", "target_size", "slowest"),
    [
        ({"preprocessing_function": slow}, (64, 64), FUNCTION),
        ({}, (16, 16), DECODE),
        ({"rotation_range": 30, "zoom_range": 0.2}, (400, 400), AFFINE),
    ],
)
def test_the_slow_stage_is_found(folder, options, target_size, slowest):
    """A sleep, the decoding of large files into small images, and the warp of large ones."""
    stages = time_generator(flow(folder, target_size, **options))
    assert stages.slowest.name == slowest
    assert stages.unit == "image"
    assert {READ, DECODE, COLLATE} <= {one.name for one in stages.stages}


def test_a_sleep_costs_the_wall_and_no_processor(folder):
    """Wall and processor time tell what waits from what computes."""
    stages = {one.name: one for one in time_generator(flow(folder, preprocessing_function=slow)).stages}
    assert stages[FUNCTION].wall_s == pytest.approx(0.02, rel=0.3)
    assert stages[FUNCTION].cpu_s < 0.004
    assert stages[DECODE].cpu_s > 0.5 * stages[DECODE].wall_s


def test_the_stages_add_up_to_what_an_image_takes(folder):
    """Against the generator's own batches."""
    generator = flow(folder, (224, 224), rotation_range=20, rescale=1 / 255, preprocessing_function=slow)
    stages = time_generator(generator)
    generator[0]
    begin = time.perf_counter()
    for batch in range(3):
        generator[batch]
    each_s = (time.perf_counter() - begin) / 12
    assert sum(one.wall_s for one in stages.stages) == pytest.approx(each_s, rel=0.35)


def test_nothing_of_the_generator_moves(folder):
    """Counters, order and global random numbers are as they were, and so is the next batch."""
    generator = flow(folder, horizontal_flip=True, rotation_range=30)
    np.random.seed(3)
    before = (generator.total_batches_seen, generator.batch_index, np.random.get_state()[1].tolist())
    time_generator(generator)
    assert (generator.total_batches_seen, generator.batch_index, np.random.get_state()[1].tolist()) == before
    other = flow(folder, horizontal_flip=True, rotation_range=30)
    for one, expected in zip(next(generator), next(other)):
        np.testing.assert_array_equal(one, expected)


def test_bad_images_are_passed_over(folder, tmp_path):
    """One that cannot be loaded costs nothing; where none can be, the reason is raised."""
    import shutil

    shutil.copytree(folder, tmp_path / "some")
    (tmp_path / "some" / "a" / "bad.jpg").write_bytes(b"no image")
    # One of 13 warms up, which may be the bad one. A busy machine has the time that it needs.
    assert time_generator(flow(tmp_path / "some"), budget_s=60).count >= 11
    for name in ("x", "y"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(Exception, match="cannot identify"):
        time_generator(flow(tmp_path / "all"))


def test_images_in_memory():
    """flow: nothing is decoded."""
    generator = ImageDataGenerator(rotation_range=20).flow(np.zeros((20, 64, 64, 3)), np.zeros(20), batch_size=4)
    names = [one.name for one in time_generator(generator).stages]
    assert DECODE not in names
    assert AFFINE in names


def test_the_budget_is_kept(folder):
    """The last row is finished, and no other begun."""
    begin = time.perf_counter()
    stages = time_generator(flow(folder, preprocessing_function=slow), budget_s=0.05)
    assert stages.count < 6
    assert time.perf_counter() - begin < 1.0
