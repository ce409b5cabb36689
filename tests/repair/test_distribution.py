"""Our draws against those of the installed Keras: the same distribution, and tests that would notice another one."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from repair.generators import ImageDataGenerator, keras_draws
from scipy import stats

from kerasdiag.repair.ops import affine
from kerasdiag.repair.plans.plan import PipelinePlan
from kerasdiag.repair.read_generator import read_spec

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

# Both sides are seeded, so a comparison that passes once passes always. The smallest p-value of the
# comparisons below is 0.09; a range that is a tenth too wide has 7e-12, a wrong sign in 1 of 20 5e-9.
SMALLEST_P = 1e-4
ROWS, PASSES = 400, 50  # of ours
KERAS_DRAWS = 8000
SHAPE = (40, 60, 3)  # not square: a shift by a fraction of the wrong side shows

OPTIONS = {
    "rotation": {"rotation_range": 30},
    "shear": {"shear_range": 12.5},
    "zoom": {"zoom_range": 0.3},
    "zoom in only": {"zoom_range": (0.5, 0.7)},
    "shifts by fractions": {"width_shift_range": 0.2, "height_shift_range": 0.35},
    "shifts by pixels": {"width_shift_range": 2.5, "height_shift_range": 1.0},
    "shifts by whole numbers": {"width_shift_range": 5, "height_shift_range": 2},
    "shifts from lists": {"width_shift_range": [0.1, 0.4, 0.0], "height_shift_range": (3, 7, 7)},
    "a shift below zero in a list": {"width_shift_range": [-6, 2, 9]},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "one flip": {"vertical_flip": True},
    "channel shift": {"channel_shift_range": 40.0},
    "brightness": {"brightness_range": (0.3, 1.4)},
    "everything": {
        "rotation_range": 40, "width_shift_range": [2, 4], "height_shift_range": 0.1, "shear_range": 0.2,
        "zoom_range": (0.9, 1.5), "horizontal_flip": True, "vertical_flip": True, "channel_shift_range": 10.0,
        "brightness_range": [0.5, 1.5],
    },
    "nothing": {},
}  # fmt: skip


def make_generator(options):
    return ImageDataGenerator(**options).flow(np.zeros((ROWS, *SHAPE), "uint8"), batch_size=32, seed=11)


def our_draws(generator, change=None):
    """Parameters of all rows in many passes, [passes, rows] each."""
    spec = read_spec(generator)
    if change is not None:
        spec = dataclasses.replace(spec, augmentation=dataclasses.replace(spec.augmentation, **change))
    plan = PipelinePlan(spec, np.arange(ROWS), None, 11, spec.batches_per_pass)
    drawn = [plan.draw(number, np.arange(ROWS)) for number in range(PASSES)]
    return {name: np.stack([one[name] for one in drawn]) for name in drawn[0]}


@functools.cache
def draws_of_keras(name):
    return flat(keras_draws(make_generator(OPTIONS[name]), KERAS_DRAWS))


def flat(drawn):
    return {name: np.asarray(values, float).reshape(-1) for name, values in drawn.items()}


def differences(ours, theirs):
    """What is different about the distribution of two sets of draws, as a list of sentences."""
    if set(ours) != set(theirs):
        return [f"other parameters: {sorted(set(ours) ^ set(theirs))}"]
    found = []
    for name, mine in ours.items():
        keras = theirs[name]
        width = np.ptp(keras)
        if abs(mine.min() - keras.min()) > 0.005 * width or abs(mine.max() - keras.max()) > 0.005 * width:
            found.append(f"{name}: bounds {mine.min()} to {mine.max()}, not {keras.min()} to {keras.max()}")
        p = p_value(mine, keras)
        if p < SMALLEST_P:
            found.append(f"{name}: p = {p:.2g}")
    for one, other in itertools.combinations(ours, 2):
        p = p_joint(ours, theirs, one, other)
        if p < SMALLEST_P:
            found.append(f"{one} and {other} together: p = {p:.2g}")
    return found


def p_value(mine, keras):
    """Kolmogorov-Smirnov for continuous draws; frequencies of the values for discrete ones."""
    mine, keras = np.round(mine, 9), np.round(keras, 9)
    values = np.unique(keras)
    if len(values) > 20:
        return stats.ks_2samp(mine, keras, method="asymp").pvalue
    if not np.isin(mine, values).all():
        return 0.0
    return p_of_table([[np.sum(drawn == value) for value in values] for drawn in (mine, keras)])


def p_joint(ours, theirs, one, other):
    """Whether two parameters go together as they do in Keras: counts in a grid of their thirds, or of their values."""
    counts = []
    edges = {name: np.unique(np.quantile(theirs[name], [1 / 3, 2 / 3])) for name in (one, other)}
    for drawn in (ours, theirs):
        cells = [np.searchsorted(edges[name], np.round(drawn[name], 9), side="left") for name in (one, other)]
        counts.append(np.bincount(cells[0] * 3 + cells[1], minlength=9))
    return p_of_table(counts)


def p_of_table(counts):
    counts = np.asarray(counts)
    counts = counts[:, counts.sum(axis=0) > 0]
    return 1.0 if counts.shape[1] < 2 else stats.chi2_contingency(counts)[1]


@pytest.mark.parametrize("name", OPTIONS)
def test_draws_are_distributed_as_keras_draws_are(name):
    """Names, bounds, each parameter, and each pair of them: rotation to brightness, discrete shifts, both flips."""
    generator = make_generator(OPTIONS[name])
    assert differences(flat(our_draws(generator)), draws_of_keras(name)) == []


def test_zoom_factors_are_two_draws():
    """zx and zy are independent of each other, present together, and never equal."""
    for drawn in (flat(our_draws(make_generator(OPTIONS["zoom"]))), draws_of_keras("zoom")):
        assert (drawn["zx"] != drawn["zy"]).all()
        assert abs(np.corrcoef(drawn["zx"], drawn["zy"])[0, 1]) < 4 / np.sqrt(len(drawn["zx"]))


@pytest.mark.parametrize("name", ["everything", "flips", "shifts by whole numbers", "zoom"])
def test_nothing_is_related_to_anything(name):
    """Between parameters, between passes and between neighbouring rows, as far as twenty thousand draws can tell."""
    drawn = {key: values.astype(float) for key, values in our_draws(make_generator(OPTIONS[name])).items()}
    drawn = {key: values for key, values in drawn.items() if np.ptp(values)}
    pairs = [(drawn[one], drawn[other]) for one, other in itertools.combinations(drawn, 2)]
    pairs += [(values[1:], values[:-1]) for values in drawn.values()]
    pairs += [(values[:, 1:], values[:, :-1]) for values in drawn.values()]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(one.size)


@pytest.mark.parametrize("passes", [1, PASSES])
def test_rows_of_one_pass_and_passes_of_one_row(passes):
    """A pass over the rows is a sample of the distribution, and so is what one row gets in all passes."""
    drawn = our_draws(make_generator({"rotation_range": 1}))["theta"]
    lines = drawn if passes == 1 else drawn.T
    ps = [stats.kstest(line, "uniform", args=(-1, 2)).pvalue for line in lines]
    assert stats.kstest(ps, "uniform").pvalue > SMALLEST_P
    assert len(np.unique(drawn)) == drawn.size


# What a mistake in the draws would look like, as options that differ from the generator's.
WRONG_OPTIONS = {
    "a range a tenth too wide": ("rotation", {"rotation_range": 33}, "theta: p"),
    "a range one percent too wide": ("rotation", {"rotation_range": 30.3}, "theta: bounds"),
    "a shear in radians": ("shear", {"shear_range": np.deg2rad(12.5)}, "shear: p"),
    "a zoom that only enlarges": ("zoom", {"zoom_range": (0.7, 1.0)}, "zx: p"),
    "fractions of the wrong side": (
        "shifts by fractions", {"width_shift_range": 0.35, "height_shift_range": 0.2}, "tx: p",
    ),
    "a discrete range as a continuous one": ("shifts by whole numbers", {"width_shift_range": 5.0}, "ty: p"),
    "a value of a list that is left out": ("shifts from lists", {"height_shift_range": (3, 7)}, "tx: p"),
    "a flip that never happens": ("flips", {"vertical_flip": False}, "flip_vertical: bounds"),
    "a brightness from its middle up": ("brightness", {"brightness_range": (0.85, 1.4)}, "brightness: p"),
    "no channel shift": ("channel shift", {"channel_shift_range": 0.0}, "other parameters"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG_OPTIONS)
def test_a_wrong_range_is_seen(mistake):
    """The comparison above is no formality: each of these fails it."""
    name, change, expected = WRONG_OPTIONS[mistake]
    generator = make_generator(OPTIONS[name])
    found = differences(flat(our_draws(generator, change)), draws_of_keras(name))
    assert any(sentence.startswith(expected) for sentence in found), found


# The same for mistakes that no option makes: drawn numbers, changed.
WRONG_NUMBERS = {
    "one sign only": ("shifts by whole numbers", "ty: p", lambda drawn: {**drawn, "ty": abs(drawn["ty"])}),
    "a sign that comes too often": (
        "shifts by whole numbers", "ty: p",
        lambda drawn: {**drawn, "ty": np.where(np.arange(len(drawn["ty"])) % 10, drawn["ty"], abs(drawn["ty"]))},
    ),
    "one zoom factor for both sides": ("zoom", "zx and zy", lambda drawn: {**drawn, "zy": drawn["zx"]}),
    "both flips or none": (
        "flips", "flip_horizontal and flip_vertical", lambda drawn: {**drawn, "flip_vertical": drawn["flip_horizontal"]},
    ),
    "a flip in 45 of 100": (
        "one flip", "flip_vertical: p",
        lambda drawn: {**drawn, "flip_vertical": drawn["flip_vertical"] * (np.arange(len(drawn["zx"])) % 10 > 0)},
    ),
    "more small angles than large ones": (
        "rotation", "theta: p", lambda drawn: {**drawn, "theta": drawn["theta"] * abs(drawn["theta"] / 30) ** 0.2},
    ),
    "rotation and shear from one number": (
        "everything", "theta and shear", lambda drawn: {**drawn, "shear": drawn["theta"] / 200},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG_NUMBERS)
def test_wrong_numbers_are_seen(mistake):
    """Signs, rates, shapes and relations: each of these fails the comparison."""
    name, expected, spoil = WRONG_NUMBERS[mistake]
    generator = make_generator(OPTIONS[name])
    theirs = draws_of_keras(name)
    assert differences(flat(our_draws(generator)), theirs) == []
    found = differences(spoil(flat(our_draws(generator))), theirs)
    assert any(sentence.startswith(expected) for sentence in found), found


def test_a_mistake_in_the_ops_is_seen(monkeypatch):
    """A shift that ignores its sign, planted in the package itself."""
    generator = make_generator(OPTIONS["shifts from lists"])
    theirs = draws_of_keras("shifts from lists")
    original = affine._shift
    monkeypatch.setattr(affine, "_shift", lambda limit, size, numbers, signs: original(limit, size, numbers, signs * 0))
    assert differences(flat(our_draws(generator)), theirs) != []
