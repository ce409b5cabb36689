"""What autofix tells beside its result: oddities that it keeps, and the price of what stays slow."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from repair.generators import ARTICLE, ImageDataGenerator, make_generator

from kerasdiag import autofix

pytestmark = [pytest.mark.keras, pytest.mark.thorough]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(tmp_path / "cache"))


def findings(generator):
    """What is said about this generator; Keras 3.0 to 3.6 have a fault of their own that every report names."""
    said = autofix(generator, when="always", verbose=0).repair_report.findings
    return tuple(sentence for sentence in said if not re.match(r"Keras 3\.\d\.\d trains every second epoch", sentence))


@pytest.mark.parametrize(
    ("subset", "options", "said"),
    [
        ("validation", ARTICLE, True),
        ("validation", {"vertical_flip": True}, True),
        ("validation", {"channel_shift_range": 9}, True),
        ("validation", {"brightness_range": (0.5, 1)}, True),
        ("validation", {"rescale": 1 / 255}, False),
        ("training", ARTICLE, False),
    ],
)
def test_an_augmented_validation_subset_is_kept_and_said(images, subset, options, said):
    """Keras augments the validation subset of an augmenting generator; nobody expects it."""
    generator = make_generator(*images, options={**options, "validation_split": 0.4}, subset=subset)
    assert ("validation subset is augmented at random" in " ".join(findings(generator))) is said


def test_statistics_without_fit_do_nothing_and_are_named(images):
    """Keras warns at each image; here it is one sentence, and only where fit was forgotten."""
    options = {"featurewise_center": True, "zca_whitening": True}
    (text,) = findings(make_generator(*images, options=options))
    assert text.startswith("featurewise_center, zca_whitening does nothing, here as in the generator")
    source = ImageDataGenerator(featurewise_center=True)
    x = np.random.default_rng(0).random((8, 9, 9, 3))
    source.fit(x)
    assert findings(source.flow(x, batch_size=4)) == ()


def slow(x):
    time.sleep(0.02)
    return x + np.random.random()


def test_a_python_function_has_a_price(images):
    """The sentence names the function, what it costs and what would be compiled; one that draws is told."""
    (text,) = findings(make_generator(*images, options={"preprocessing_function": slow}))
    price = re.search(r"preprocessing_function=slow stays a Python function: (\S+) ms an image, so at most (\d+)", text)
    assert 20 <= float(price[1]) < 60
    assert 16 < int(price[2]) <= 50
    assert "draws from NumPy's global generator" in text


def test_a_recognised_function_has_none(images):
    """keras.applications' own are compiled."""
    from keras_api import keras

    function = keras.applications.mobilenet_v2.preprocess_input
    assert findings(make_generator(*images, options={"preprocessing_function": function})) == ()
