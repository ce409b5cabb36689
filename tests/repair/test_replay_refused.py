"""What mode="replay" cannot give is refused with the reason; what it can, is not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from repair.generators import ARTICLE
from repair.replays import BATCHES, SOURCES, assert_replays, from_arrays, from_dataframe, make_data, replay, state

from kerasdiag.errors import KerasDiagError, UnsupportedOptionError

pytestmark = [pytest.mark.keras, pytest.mark.thorough]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("source", SOURCES)
def test_no_seed(data, source):
    """Without a seed there is no stream to replay; nothing is drawn from NumPy's for it."""
    generator = SOURCES[source](data, ARTICLE, seed=None)
    before = state(generator)
    with pytest.raises(UnsupportedOptionError, match="seed=None cannot be replayed"):
        replay(generator, data)
    assert state(generator) == before


def test_a_seed_of_zero_is_one(data):
    """0 is a seed like any other."""
    assert_replays(from_dataframe(data, ARTICLE, seed=0), data)


@pytest.mark.parametrize("steps", [1, BATCHES - 1])
def test_fewer_steps_than_an_epoch_has(data, steps):
    """The message names both numbers."""
    generator = from_dataframe(data, ARTICLE)
    with pytest.raises(ValueError, match=rf"epochs, of {BATCHES} batches. Received: steps_per_epoch={steps}"):
        replay(generator, data, steps_per_epoch=steps)


def test_images_left_out(data):
    """Leaving rows out would move all numbers behind them."""
    with pytest.raises(ValueError, match='bad_images="skip" has no meaning'):
        replay(from_dataframe(data, ARTICLE), data, bad_images="skip")


def draws_from_numpy(x):
    return x + np.random.normal(0, 1, x.shape).astype("float32")


def draws_for_bright_images(x):
    return x * np.float32(np.random.uniform(0.5, 1)) if x.max() > 100 else x


def draws_from_python(x):
    return x * np.float32(random.uniform(0.5, 1))


_own = np.random.default_rng(0)


def draws_from_its_own(x):
    return x * np.float32(_own.uniform(0.5, 1))


def draws_from_the_system(x):
    return x * np.float32(random.SystemRandom().uniform(0.5, 1))


@pytest.mark.parametrize(
    "function",
    [draws_from_numpy, draws_for_bright_images, draws_from_python, draws_from_its_own, draws_from_the_system],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("source", [from_dataframe, from_arrays], ids=["files", "arrays"])
def test_a_function_that_draws(data, source, function):
    """What it draws depends on who was called before it, so no batch could be given without the ones before."""
    generator = source(data, {**ARTICLE, "preprocessing_function": function})
    before = state(generator)
    with pytest.raises(KerasDiagError, match=f"preprocessing_function={function.__name__} .*replay"):
        replay(generator, data)
    assert state(generator) == before


def seeds_itself(x):
    return x * np.float32(np.random.RandomState(int(x.sum()) % 1000).uniform(0.5, 1))


def test_a_function_whose_numbers_follow_from_the_image(data):
    """It gives the same whenever it is called, so nothing stands in the way."""
    assert_replays(from_dataframe(data, {**ARTICLE, "preprocessing_function": seeds_itself}), data)


def test_the_generator_may_be_kept_instead(data):
    """on_error="keep" gives the very generator back, with the reason."""
    generator = from_dataframe(data, ARTICLE, seed=None)
    before = state(generator)
    kept = replay(generator, data, on_error="keep")
    assert kept is generator
    assert "seed=None" in kept.repair_report.reason
    assert state(generator) == before


def test_the_report_says_what_a_fit_on_the_generator_saw(data):
    """A user who compares losses with an old run is told why they differ."""
    report = replay(from_dataframe(data, ARTICLE), data).repair_report
    assert any("fit itself looks at a batch or two before it trains" in finding for finding in report.findings)
    assert f"{BATCHES} batches an epoch (len(generator))" in report.steps
    assert report.certificate.mode == "replay"
