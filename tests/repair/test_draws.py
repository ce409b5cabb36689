"""Random numbers that depend on their key alone, and the distributions made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kerasdiag.repair.ops import affine, flip
from kerasdiag.repair.pipeline import draws
from kerasdiag.spec import AugmentationOptions


def test_numbers_of_a_row_do_not_depend_on_its_company():
    """A row draws the same alone, in another batch, and in another order."""
    key = draws.key_of(1, 2, "draws")
    together = draws.uniforms(key, np.arange(100))
    for row in (0, 17, 99):
        assert np.array_equal(draws.uniforms(key, np.array([row]))[0], together[row])
    assert np.array_equal(draws.uniforms(key, np.arange(100)[::-1]), together[::-1])


def test_numbers_are_uniform_and_unrelated():
    """In each column, between neighbouring columns, rows and passes."""
    numbers = draws.uniforms(draws.key_of(3, 0, "draws"), np.arange(20_000))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for column in range(draws.NUMBERS_PER_ROW):
        assert stats.kstest(numbers[:, column], "uniform").pvalue > 1e-4
    following = draws.uniforms(draws.key_of(3, 1, "draws"), np.arange(20_000))
    for one, other in ((numbers[:, 0], numbers[:, 1]), (numbers[1:, 0], numbers[:-1, 0]), (numbers, following)):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03


def test_keys_differ_by_seed_pass_and_purpose():
    """No two streams begin at one place."""
    keys = {draws.key_of(seed, number, use) for seed in range(30) for number in range(30) for use in ("order", "draws")}
    assert len(keys) == 1800


def test_numbers_never_change():
    """These are the published test values of SplitMix64 for the state 1234567."""
    assert draws._numbers(1234567, np.arange(5, dtype=np.uint64)).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


@given(st.integers(0, 2**64 - 1), st.integers(0, 400))
@settings(max_examples=50, deadline=None)
def test_permutation_has_every_number_once(key, count):
    """For any key and any length."""
    assert sorted(draws.permutation(key, count).tolist()) == list(range(count))


def keras_like(options, count=20_000, shape=(200, 300, 3), seed=0):
    numbers = draws.uniforms(draws.key_of(seed, 0, "draws"), np.arange(count))
    return {**affine.draw(options, shape, numbers), **flip.draw(options, numbers)}


def test_neutral_options_draw_neutral_parameters():
    """Nothing moves where Keras moves nothing."""
    drawn = keras_like(AugmentationOptions(), 10)
    assert all((drawn[name] == 0).all() for name in ("theta", "tx", "ty", "shear"))
    assert (drawn["zx"] == 1).all()
    assert not drawn["flip_horizontal"].any()
    assert affine.make_maps(drawn, (4, 4, 3)).is_neutral.all()


@pytest.mark.parametrize(
    ("options", "name", "low", "high"),
    [
        ({"rotation_range": 30}, "theta", -30, 30),
        ({"shear_range": 0.2}, "shear", -0.2, 0.2),
        ({"height_shift_range": 0.25}, "tx", -50, 50),  # of 200 rows
        ({"width_shift_range": 0.5}, "ty", -150, 150),  # of 300 columns
        ({"width_shift_range": 1.5}, "ty", -1.5, 1.5),  # not below 1: pixels
        ({"zoom_range": (0.8, 1.2)}, "zx", 0.8, 1.2),
        ({"zoom_range": (0.5, 0.6)}, "zy", 0.5, 0.6),
    ],
)
def test_continuous_ranges(options, name, low, high):
    """Uniform between the limits that Keras gives."""
    drawn = keras_like(AugmentationOptions(**options))[name]
    assert stats.kstest(drawn, "uniform", args=(low, high - low)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("limit", "values"),
    [
        (4, [-3, -2, -1, 0, 1, 2, 3]),
        ([0.1, 0.2], [-60, -30, 30, 60]),  # fractions of 300 columns
        ((5, 7), [-7, -5, 5, 7]),
        (np.array([2.0]), [-2, 2]),
    ],
)
def test_discrete_shifts(limit, values):
    """A whole number means 0 ... n - 1, a sequence its elements; either sign."""
    drawn = keras_like(AugmentationOptions(width_shift_range=limit))["ty"]
    found, counts = np.unique(np.round(drawn, 9), return_counts=True)
    assert found.tolist() == pytest.approx(values)
    expected = np.where(found == 0, 2, 1) / np.where(found == 0, 2, 1).sum() * len(drawn)
    assert stats.chisquare(counts, expected).pvalue > 1e-4


def test_flips_are_fair_and_independent():
    """Half of the images, each way."""
    drawn = keras_like(AugmentationOptions(horizontal_flip=True, vertical_flip=True))
    both = drawn["flip_horizontal"] & drawn["flip_vertical"]
    for share, expected in ((drawn["flip_horizontal"], 0.5), (drawn["flip_vertical"], 0.5), (both, 0.25)):
        assert abs(share.mean() - expected) < 0.02
