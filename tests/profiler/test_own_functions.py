"""Functions of the user's that a measurement calls: the next fit goes on as if it had not."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from keras_api import PyDataset, keras
from trainings import are_equal, outcome

from kerasdiag import BottleneckProfiler
from kerasdiag.stage_timing import FUNCTION

pytestmark = [pytest.mark.keras]

IMAGES = np.random.default_rng(2).random((32, 4, 4, 3)).astype("float32")
LABELS = np.arange(32) % 3


def own_stream():
    """Noise from a generator that the function has to itself, and a counter."""
    stream, calls = np.random.default_rng(1), 0

    def noisy(image):
        nonlocal calls
        calls += 1
        time.sleep(0.002)
        return image + stream.normal(size=image.shape) + calls % 3

    return noisy


def own_iterator():
    """A cycle, which nobody can put back."""
    cycle = itertools.cycle(range(7))

    def shifting(image):
        time.sleep(0.002)
        return image + next(cycle)

    return shifting


def of_image_generator(function):
    source = keras.preprocessing.image.ImageDataGenerator(preprocessing_function=function, horizontal_flip=True)
    return source.flow(IMAGES, LABELS, batch_size=4, seed=5)


class Noisy(PyDataset):
    """Batches that its own function changes."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def __len__(self):
        return 8

    def __getitem__(self, index):
        part = slice(4 * index, 4 * index + 4)
        return self.function(IMAGES[part]).astype("float32"), LABELS[part]


def train_twice(data, **options):
    """Two fits; what the second ends with, and the profiler of the first, None without options."""
    keras.utils.set_random_seed(11)
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    profiler = BottleneckProfiler(report=None, **options) if options else None
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[profiler] if profiler else [])
    return outcome(model, model.fit(data, epochs=1, shuffle=False, verbose=0)), profiler


@pytest.mark.parametrize("ceilings", [False, True])
@pytest.mark.parametrize("make", [own_stream, own_iterator])
def test_the_second_fit_of_a_generator_draws_what_it_would_have_drawn(make, ceilings):
    """Stages and ceilings call its preprocessing_function only where that can be put back; else a reason is told."""
    plain, _ = train_twice(of_image_generator(make()))
    assert are_equal(plain, train_twice(of_image_generator(make()))[0]), "this case proves nothing"
    measured, profiler = train_twice(of_image_generator(make()), ceilings=ceilings)
    assert are_equal(plain, measured)
    stages, said = profiler.profile.input_stages, next(iter(findings(profiler, "slowest-stage")))
    if make is own_stream:
        assert stages.slowest.name == FUNCTION
    else:
        assert FUNCTION not in [one.name for one in stages.stages]
        assert "cycle" in stages.not_measured[FUNCTION]
        assert "without preprocessing_function" in said.message
        assert "was not timed" in said.message
        assert said.remedy is None
    if ceilings:
        assert (profiler.profile.ceilings.input_s is None) is (make is own_iterator)


@pytest.mark.parametrize("make", [own_stream, own_iterator])
def test_the_second_fit_of_a_py_dataset_draws_what_it_would_have_drawn(make):
    """So it is with ceilings of an indexed loader."""
    plain, _ = train_twice(Noisy(make()))
    measured, profiler = train_twice(Noisy(make()), ceilings=True)
    assert are_equal(plain, measured)
    ceilings = profiler.profile.ceilings
    if make is own_stream:
        assert ceilings.input_s > 0.001
    else:
        assert "cycle" in ceilings.not_measured["input"]


def findings(profiler, code):
    return [one for one in profiler.diagnosis.findings if one.code == code]
