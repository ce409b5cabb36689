"""mode="exact": draws are keyed by seed, pass and row, so no image is ever fed twice, however it is read."""

from __future__ import annotations

import numpy as np
import pytest
from keras_api import tf
from repair.generators import make_maker
from repair.recording import ROWS, make_numbered, make_recording_model, no_row_came_twice, rows_of
from repair.replays import iterate

from kerasdiag import autofix
from kerasdiag.environment.facts import Environment
from kerasdiag.repair.pipeline.dataset import build_dataset

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

EPOCHS = 3


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def repair(images, cache):
    def call(steps=None, **arguments):
        generator = make_numbered(*images, **arguments)
        return autofix(generator, when="always", cache_dir=cache, steps_per_epoch=steps, verbose=0)

    return call


def assert_passes(fed, count):
    """Each row once in each pass, and never the same image again."""
    assert len(fed) == count * ROWS
    for start in range(0, len(fed), ROWS):
        assert sorted(row for row, _ in fed[start : start + ROWS]) == list(range(ROWS))
    assert no_row_came_twice(fed)


def test_epochs_and_repeat(repair):
    """Through iterations and through repeat()."""
    dataset = repair()
    fed = rows_of(iterate(dataset)) + rows_of(iterate(dataset.repeat(EPOCHS))) + rows_of(iterate(dataset))
    assert_passes(fed, EPOCHS + 2)


def test_steps_longer_than_a_pass(repair):
    """An iteration of two passes and a half, twice: all five passes and their halves differ."""
    dataset = repair(steps=10)
    fed = [rows_of(iterate(dataset)) for _ in range(2)]
    for one in fed:
        assert_passes(one[: 2 * ROWS], 2)
        assert len({row for row, _ in one[2 * ROWS :]}) == len(one) - 2 * ROWS == 14
    assert no_row_came_twice(fed[0] + fed[1])


def test_fits(repair):
    """A fit of three epochs, with another data set validated in between, and a second fit."""
    dataset, model = repair(), make_recording_model()
    model.fit(dataset, epochs=EPOCHS, validation_data=repair(seed=8), verbose=0)
    model.fit(dataset, epochs=1, verbose=0)
    assert_passes(model.fed, EPOCHS + 1)


def test_images_and_masks_zipped(repair):
    """Both get new draws in each epoch, and in each the same rows and the same draws as the other."""
    image, mask = repair(), repair(color_mode="grayscale")
    pairs = tf.data.Dataset.zip((image, mask))
    fed, fed_masks = [], []
    for _ in range(EPOCHS):
        for of_images, of_masks in pairs:
            fed += rows_of([of_images])
            fed_masks += rows_of([of_masks])
    assert_passes(fed, EPOCHS)
    assert_passes(fed_masks, EPOCHS)
    assert [row for row, _ in fed] == [row for row, _ in fed_masks]


def test_masks_are_turned_as_their_images_are(images, cache):
    """The grayscale twin of an image that is grayscale itself equals its channels after augmentation, epoch by epoch."""
    frame, folder = images
    gray = frame.iloc[5::6]  # the images that are grayscale files
    options = {"rotation_range": 40, "horizontal_flip": True, "width_shift_range": 0.2, "zoom_range": 0.3}
    image, mask = (
        autofix(
            make_numbered(gray, folder, options=options, color_mode=mode, batch_size=2),
            when="always",
            cache_dir=cache,
            verbose=0,
        )
        for mode in ("rgb", "grayscale")
    )
    for _ in range(EPOCHS):
        for (x, *_), (y, *_) in tf.data.Dataset.zip((image, mask)):
            np.testing.assert_array_equal(x[..., :1], y)


@pytest.mark.parametrize("block_rows", [1, 8])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_any_parallelism_and_order_of_reading(images, cache, monkeypatch, threads, block_rows):
    """An image is a function of seed, pass and row: neither threads, nor batch size, nor reading in blocks changes it."""
    wanted = None
    for count, rows, size in ((1, 1, 7), (threads, block_rows, 5)):
        monkeypatch.setattr(Environment, "reader_threads", count)
        maker = make_maker(make_numbered(*images, batch_size=size), cache / "stores", block_rows=rows)
        dataset = build_dataset(maker, Environment.collect())
        epochs = [sorted(rows_of(iterate(dataset))) for _ in range(EPOCHS)]
        wanted = wanted or epochs
        assert epochs == wanted


def test_another_seed_gives_other_images(repair):
    """No image of one seed is one of the other."""
    one, other = (rows_of(iterate(repair(seed=seed))) for seed in (5, 6))
    assert not set(one) & set(other)
