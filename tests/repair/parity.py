"""The comparison with the installed Keras: its own batches, under draws that it made itself, and ours for the same draws."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np


@contextlib.contextmanager
def stream_kept():
    """Put NumPy's global random numbers back afterwards."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


@contextlib.contextmanager
def recorded_draws(generator):
    """Let Keras draw as ever, and note what it drew and the state of NumPy's stream behind each image's draws."""
    source, drawn, states = generator.image_data_generator, [], []
    if source is None:
        yield drawn, states
        return
    draw = source.get_random_transform

    def draw_and_note(*arguments):
        drawn.append(draw(*arguments))
        states.append(np.random.get_state())
        return drawn[-1]

    source.get_random_transform = draw_and_note
    try:
        yield drawn, states
    finally:
        del source.get_random_transform


def as_parameters(drawn, count):
    """What Keras drew for each image as one array for each name; no entry where it has None."""
    if not drawn:
        return {name: np.zeros(count, bool) for name in ("flip_horizontal", "flip_vertical")}
    return {name: np.array([one[name] for one in drawn]) for name in drawn[0] if drawn[0][name] is not None}


def both_batches(generator, maker, positions, seed):
    """The batch of these rows as Keras makes it, and as we make it; flat lists of arrays."""
    with stream_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of what it does not do without ``fit``
        np.random.seed(seed)
        with recorded_draws(generator) as (drawn, states):
            theirs = generator._get_batches_of_transformed_samples(maker.plan.rows[positions])
        if len(states) == 1:  # what a preprocessing_function draws comes after its image's own draws
            np.random.set_state(states[0])
        images = maker.images(positions, as_parameters(drawn, len(positions)))
        ours = maker.targets.nest((images, *maker.targets.batch(positions)))
    return flat(theirs), flat(ours)


def flat(batch):
    if isinstance(batch, (tuple, list)):
        return [array for part in batch for array in flat(part)]
    return [np.asarray(batch)]


def assert_equal_parts(theirs, ours, tolerance=0.0, images=1):
    """Compare arrays: equal but for ``tolerance`` of the largest value in the first ``images`` of them."""
    assert len(ours) == len(theirs)
    for number, (wanted, got) in enumerate(zip(theirs, ours)):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        if tolerance and number < images:
            assert np.isfinite(wanted).all()
            difference = np.abs(got.astype(np.float64) - wanted.astype(np.float64)).max()
            assert difference <= tolerance * np.abs(wanted).max(), difference
        else:
            np.testing.assert_array_equal(got, wanted)


def compare(generator, maker, *, seed=0, tolerance=0.0, alone=False, levels=20):
    """Compare all rows with Keras and return how many values of images were compared.

    Args:
        generator: What Keras made.
        maker: What autofix would make of it.
        seed: Of Keras' draws.
        tolerance: Part of the largest value that an image may differ by; 0 for equal in every bit.
        alone: Compare each row as a batch of its own.
        levels: More different values than this prove something.
    """
    count, size = len(maker.plan.rows), 1 if alone else maker.plan.spec.batch_size
    assert count, "there are no rows"
    values, compared = set(), 0
    for start in range(0, count, size):
        positions = np.arange(start, min(start + size, count))
        theirs, ours = both_batches(generator, maker, positions, 1000 * seed + start)
        assert_equal_parts(theirs, ours, tolerance, images=2 if maker.targets.is_image else 1)
        values.update(np.unique(theirs[0])[:200].tolist())
        compared += theirs[0].size
    assert compared == count * np.prod(maker.plan.spec.batch_shape)
    assert len(values) > min(levels, compared // 4), "the images are too plain to prove anything"
    return compared
