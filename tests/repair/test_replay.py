"""mode="replay": exactly the batches that iterating the seeded generator from its present state gives."""

from __future__ import annotations

import numpy as np
import pytest
from keras_api import keras
from repair import replays
from repair.generators import ARTICLE
from repair.replays import (
    BATCHES,
    COUNT,
    SOURCES,
    are_equal,
    assert_replays,
    directly,
    from_arrays,
    from_dataframe,
    iterate,
    make_data,
    replay,
    state,
)

from kerasdiag import autofix
from kerasdiag.environment.facts import Environment

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

EVERYTHING = {
    **ARTICLE,
    "width_shift_range": [-3, 1, 2],
    "height_shift_range": 0.2,
    "vertical_flip": True,
    "channel_shift_range": 20.0,
    "brightness_range": (0.6, 1.3),
}
# Where users leave a generator before they hand it over.
STATES = {
    "fresh": lambda generator: None,
    "one batch": lambda generator: generator[0],
    "some batches": lambda generator: (generator[0], generator[2], generator[2]),
    "not the first batch": lambda generator: generator[3],
    "next": lambda generator: (next(generator), next(generator)),
    "next into the second epoch": lambda generator: [next(generator) for _ in range(BATCHES + 2)],
    "next and reset": lambda generator: (next(generator), generator.reset()),
    "end of an epoch": directly,
    "fresh, end of an epoch": lambda generator: generator.on_epoch_end(),
    "an epoch and a few batches": lambda generator: (directly(generator), generator[0], generator[len(generator) - 1]),
}
DRAWN = {
    "nothing": {},
    "only a rescale": {"rescale": 1 / 255},
    "rotation": {"rotation_range": 40},
    "shear": {"shear_range": 15.0},
    "zoom in": {"zoom_range": (0.5, 0.8)},
    "zoom": {"zoom_range": 0.3},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "shifts by fractions": {"width_shift_range": 0.2, "height_shift_range": 0.3},
    "shifts by pixels": {"width_shift_range": 2.5, "height_shift_range": 1.0},
    "discrete shifts by a number": {"width_shift_range": 4, "height_shift_range": 3},
    "discrete shifts by a list": {"width_shift_range": [-5, 0, 3], "height_shift_range": (0.1, 0.25)},
    "discrete and continuous shift": {"width_shift_range": 0.2, "height_shift_range": [2, 3, 5]},
    "channel shift": {"channel_shift_range": 30.0},
    "brightness": {"brightness_range": (0.4, 1.6)},
    "everything": EVERYTHING,
    "constant fill": {**ARTICLE, "fill_mode": "constant", "cval": 17.0},
    "a function that draws nothing": {**ARTICLE, "preprocessing_function": lambda x: x[::-1] * 2},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _random_numbers():
    """Some states take a permutation from NumPy's global stream as it happens to be."""
    np.random.seed(77)


@pytest.mark.parametrize("start", STATES)
@pytest.mark.parametrize("source", SOURCES)
def test_every_present_state(data, source, start):
    """Three epochs follow bit for bit on what the generator has done before; no state of it or of NumPy moves."""
    generator = SOURCES[source](data, ARTICLE)
    STATES[start](generator)
    assert_replays(generator, data)


@pytest.mark.parametrize("start", ["fresh", "some batches", "next into the second epoch", "an epoch and a few batches"])
@pytest.mark.parametrize("source", SOURCES)
def test_rows_in_their_own_order(data, source, start):
    """With shuffle=False no number is taken for an order, before the first batch or behind the last."""
    generator = SOURCES[source](data, ARTICLE, shuffle=False)
    STATES[start](generator)
    assert_replays(generator, data)


@pytest.mark.parametrize("drawn", DRAWN)
def test_every_draw_of_files(data, drawn):
    """Each option takes its numbers where Keras takes them, or the next option and the next order would differ."""
    assert_replays(from_dataframe(data, DRAWN[drawn]), data)


@pytest.mark.parametrize("drawn", ["nothing", "discrete shifts by a list", "everything"])
@pytest.mark.parametrize("start", ["fresh", "an epoch and a few batches"])
def test_every_draw_of_arrays(data, start, drawn):
    """flow draws as the others do."""
    generator = from_arrays(data, DRAWN[drawn])
    STATES[start](generator)
    assert_replays(generator, data)


@pytest.mark.parametrize(
    ("start", "size"),
    [
        *(("fresh", size) for size in (1, 5, 8, COUNT - 1, COUNT, 100)),
        *((start, size) for start in ("one batch", "end of an epoch") for size in (COUNT - 1, COUNT)),
    ],
)
def test_every_batch_size(data, start, size):
    """A last batch of one image, none smaller, and data that is one batch: its draws decide the next order."""
    generator = from_dataframe(data, EVERYTHING, batch_size=size)
    STATES[start](generator)
    assert_replays(generator, data)


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_mode": None, "y_col": None},
        {"class_mode": "input", "y_col": None},
        {"class_mode": "raw", "y_col": "target"},
        {"class_mode": "multi_output", "y_col": ["target", "weight"]},
        {"class_mode": "binary", "y_col": "pair", "weight_col": None},
    ],
    ids=lambda arguments: str(arguments["class_mode"]),
)
def test_every_kind_of_label(data, arguments):
    """Labels and weights follow their rows."""
    assert_replays(from_dataframe(data, ARTICLE, **arguments), data)


@pytest.mark.parametrize("subset", ["training", "validation"])
def test_subsets(data, subset):
    """The rows of a subset, in its own orders."""
    assert_replays(from_dataframe(data, {**ARTICLE, "validation_split": 0.3}, subset=subset), data)


def test_channels_first(data):
    """Shifts are fractions of rows and columns wherever the channels stand."""
    options = {**ARTICLE, "width_shift_range": 0.2, "height_shift_range": 0.3, "data_format": "channels_first"}
    assert_replays(from_dataframe(data, options), data)


def test_an_iterator_without_an_image_data_generator(data):
    """It draws orders and nothing else."""
    kind = type(replays.from_directory(data))
    folder = str(data.folder.parent / "classes")
    assert_replays(kind(folder, None, target_size=(32, 28), batch_size=7, seed=5, data_format="channels_last"), data)


def test_further_inputs_of_arrays(data):
    """flow([images, numbers], labels) keeps its rows together."""
    images, labels, _ = data.arrays
    source = keras.preprocessing.image.ImageDataGenerator(**ARTICLE)
    assert_replays(source.flow([images, labels * 2.0], labels, batch_size=7, seed=5), data)


def test_another_seed_is_another_stream(data):
    """Nothing above holds by accident: orders and draws come from the seed."""
    one, other = (iterate(replay(from_dataframe(data, ARTICLE, seed=seed), data)) for seed in (5, 6))
    assert not are_equal(one, other)


@pytest.mark.parametrize("storage", ["none", "memory", "disk"])
def test_any_storage(data, storage):
    """Wherever the pixels lie."""
    assert_replays(from_dataframe(data, EVERYTHING), data, storage=storage)


@pytest.mark.parametrize("threads", [1, 8])
def test_any_parallelism(data, threads, monkeypatch):
    """Many threads make what one would."""
    monkeypatch.setattr(Environment, "reader_threads", threads)
    assert_replays(from_dataframe(data, EVERYTHING, batch_size=2), data)


@pytest.mark.parametrize("kernel", ["compiled", "scipy"])
def test_both_kernels(data, kernel, monkeypatch):
    """The stream does not depend on what does the pixel work."""
    monkeypatch.setenv("KERASDIAG_KERNEL", kernel)
    assert_replays(from_dataframe(data, EVERYTHING), data)


@pytest.mark.parametrize("start", ["fresh", "an epoch and a few batches"])
@pytest.mark.parametrize("size", [7, COUNT])
def test_any_epoch_without_the_ones_before(data, start, size):
    """set_epoch(n) goes to epoch n, and iterating goes on from there."""
    generator = from_dataframe(data, EVERYTHING, batch_size=size)
    STATES[start](generator)
    dataset = replay(generator, data)
    wanted = directly(generator, 6)
    for epoch in (4, 1, 0, 2):
        dataset.set_epoch(epoch)
        assert are_equal(iterate(dataset), wanted[epoch]), epoch
        assert are_equal(iterate(dataset), wanted[epoch + 1]), epoch


def test_repeat_is_one_epoch_after_the_other(data):
    """dataset.repeat(3) is what three iterations are."""
    generator = from_dataframe(data, ARTICLE)
    dataset = replay(generator, data)
    assert len(dataset) == BATCHES
    wanted = [batch for epoch in directly(generator, 3) for batch in epoch]
    assert are_equal(iterate(dataset.repeat(3)), wanted)


@pytest.mark.parametrize("epochs", [2, 3])
def test_steps_of_several_epochs(data, epochs):
    """An iteration of whole epochs goes on where the one before ended."""
    generator = from_dataframe(data, ARTICLE)
    dataset = replay(generator, data, steps_per_epoch=epochs * BATCHES)
    wanted = [batch for epoch in directly(generator, 2 * epochs) for batch in epoch]
    assert are_equal(iterate(dataset) + iterate(dataset), wanted)


def test_steps_that_end_within_an_epoch(data):
    """An iteration that is longer runs on into the next epoch; the one after begins with an epoch of its own."""
    generator = from_dataframe(data, ARTICLE)
    dataset = replay(generator, data, steps_per_epoch=BATCHES + 2)
    wanted = directly(generator, 4)
    assert are_equal(iterate(dataset), wanted[0] + wanted[1][:2])
    assert are_equal(iterate(dataset), wanted[2] + wanted[3][:2])


def test_the_generator_goes_on_as_if_nothing_had_been(data):
    """What next() has in hand is not disturbed either."""
    twins = [from_dataframe(data, EVERYTHING) for _ in range(2)]
    for generator in twins:
        next(generator)
    for mode in ("replay", "exact"):
        iterate(autofix(twins[0], when="always", cache_dir=data.cache, mode=mode, verbose=0))
    theirs, ours = ([replays.arrays_of(next(generator)) for _ in range(6)] for generator in reversed(twins))
    assert are_equal(theirs, ours)


def test_the_state_is_that_of_the_call(data):
    """What the generator does afterwards does not change the dataset."""
    generator, twin = from_dataframe(data, ARTICLE), from_dataframe(data, ARTICLE)
    dataset = replay(generator, data)
    directly(generator, 2)
    assert are_equal(iterate(dataset), directly(twin)[0])


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("start", ["fresh", "next"])
def test_exact_mode_moves_no_state_either(data, start, seed):
    """Nothing of the generator, NumPy or Python moves; but one number is drawn on purpose where there is no seed."""
    generator = from_dataframe(data, EVERYTHING, seed=seed)
    STATES[start](generator)
    before = state(generator)
    dataset = autofix(generator, when="always", cache_dir=data.cache, verbose=0)
    counters, numpys, pythons = after = state(generator)
    if seed is None:  # so that np.random.seed governs it: one number, and not one more
        state_after = np.random.get_state()
        np.random.set_state((before[1][0], np.array(before[1][1], np.uint32), *before[1][2:]))
        assert dataset.seed == np.random.randint(2**31)
        assert np.random.get_state()[1].tolist() == numpys[1]
        assert np.random.get_state()[2] == numpys[2]
        np.random.set_state(state_after)
        assert (counters, pythons) == (before[0], before[2])
    else:
        assert after == before
    iterate(dataset)
    assert state(generator) == after
