"""Input and model measured alone after a fit: true, and everything as it was afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from keras_api import BACKEND, fit_with_workers, keras
from scripted import SleepingPyDataset, free_dataset, make_scripted_model, mean_period_s, sleeping_dataset
from sleeping_step import make_sleeping_model
from trainings import Batches, are_equal, dataset, fit_arguments, image_iterator, make_model, outcome

from kerasdiag import BottleneckProfiler
from kerasdiag.profiler.both_ceilings import measure_ceilings
from kerasdiag.profiler.data_probe.probe import StepProbe

pytestmark = [pytest.mark.keras, pytest.mark.backends, pytest.mark.thorough]

STEPS = 32


def train_twice(kind, ceilings, **compile_arguments):
    """Two fits of one model, with a profiler each; what they end with."""
    model = make_model(**compile_arguments)
    histories, profilers = [], []
    for _ in range(2):
        profilers.append(BottleneckProfiler(report=None, ceilings=ceilings))
        histories.append(model.fit(**fit_arguments(kind), epochs=2, verbose=0, callbacks=[profilers[-1]]))
    return [*outcome(model, histories[0]), *outcome(model, histories[1])], profilers


@pytest.mark.parametrize("kind", ["arrays", "py-dataset", "tf-data"])
@pytest.mark.parametrize("dropout", [True, False])
def test_a_second_fit_goes_on_as_if_nothing_had_been_measured(kind, dropout):
    """Weights, slots of Adam, metrics, dropout masks: bit for bit those of two fits without ceilings."""
    plain, _ = train_twice(kind, ceilings=False, dropout=dropout)
    assert are_equal(plain, train_twice(kind, ceilings=False, dropout=dropout)[0]), "this case proves nothing"
    measured, profilers = train_twice(kind, ceilings=True, dropout=dropout)
    assert all(one.profile.ceilings.step_s is not None for one in profilers), profilers[0].profile.ceilings
    assert are_equal(plain, measured)


@pytest.mark.skipif(BACKEND == "torch", reason="is of Keras 3 only, on TensorFlow and JAX")
def test_several_steps_per_execution_and_xla():
    """The same for executions of several steps, compiled."""
    how = {"steps_per_execution": 4, "jit_compile": True, "dropout": False}
    plain, _ = train_twice("arrays", ceilings=False, **how)
    measured, profilers = train_twice("arrays", ceilings=True, **how)
    assert profilers[0].profile.ceilings.step_s is not None
    assert are_equal(plain, measured)


def test_a_model_alone_takes_what_its_step_sleeps():
    """30 ms, whatever the loader does; and the speed-up is what training without waiting has."""
    model = make_sleeping_model(0.03)
    model.fit(free_dataset(STEPS), verbose=0)
    model.fit(free_dataset(STEPS), verbose=0, callbacks=model.own_callbacks)
    free_s = mean_period_s(model.stamps)
    profiler = BottleneckProfiler(report=None, ceilings=True)
    model.fit(sleeping_dataset(0.05, STEPS), verbose=0, callbacks=[profiler])
    ceilings, diagnosis = profiler.profile.ceilings, profiler.diagnosis
    assert ceilings.step_s == pytest.approx(0.03, rel=0.25)
    assert diagnosis.speedup_if_fixed == pytest.approx(diagnosis.mean_step_s / free_s, rel=0.25)
    assert diagnosis.accelerator_utilization == pytest.approx(ceilings.step_s / diagnosis.mean_step_s)
    assert "FlatMap" in ceilings.not_measured["input"]


@pytest.mark.parametrize(("workers", "input_s"), [(1, 0.05), (2, 0.025)])
def test_an_input_alone_takes_what_its_loader_sleeps(workers, input_s):
    """50 ms for a batch, shared by the workers."""
    profiler = BottleneckProfiler(report=None, ceilings=True)
    fit_with_workers(make_scripted_model(0.01), SleepingPyDataset(0.05, 30), workers, verbose=0, callbacks=[profiler])
    assert profiler.profile.ceilings.input_s == pytest.approx(input_s, rel=0.25)


def test_counters_of_a_generator_and_random_numbers_stay():
    """The generator's next batch, and NumPy's next number, are those without ceilings."""

    def run(ceilings):
        iterator = image_iterator(shuffle=True)
        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        np.random.seed(5)
        profiler = BottleneckProfiler(report=None, ceilings=ceilings)
        model.fit(iterator, epochs=2, shuffle=False, verbose=0, callbacks=[profiler])
        assert (profiler.profile.ceilings is not None) is ceilings
        return [iterator.total_batches_seen, np.random.random(), next(iterator)[0]]

    for one, other in zip(run(False), run(True)):
        np.testing.assert_array_equal(one, other)


def test_tf_data_alone():
    """A pipeline that can be iterated has a ceiling; one whose shuffle is seeded is left alone."""
    keras.utils.set_random_seed(3)
    profiler = BottleneckProfiler(report=None, ceilings=True)
    make_model().fit(dataset(), verbose=0, callbacks=[profiler])
    assert profiler.profile.ceilings.input_s < 0.05
    make_model().fit(dataset().shuffle(4, seed=1), verbose=0, callbacks=[profiler])
    assert "seed" in profiler.profile.ceilings.not_measured["input"]


def test_what_cannot_be_measured_is_a_reason():
    """Eager steps may keep state in Python; a Python generator would be used up; nobody asked."""
    profiler = BottleneckProfiler(report=None, ceilings=True)
    make_model(run_eagerly=True).fit(**fit_arguments("python-generator"), verbose=0, callbacks=[profiler])
    ceilings = profiler.profile.ceilings
    assert "run_eagerly" in ceilings.not_measured["step"]
    assert "Python generator" in ceilings.not_measured["input"]
    assert profiler.diagnosis.accelerator_utilization is None
    profiler = BottleneckProfiler(report=None)
    make_model().fit(Batches(), verbose=0, callbacks=[profiler])
    assert profiler.profile.ceilings is None


def test_a_fit_that_raises_has_no_ceilings():
    """Nothing more is run on a model in the middle of a training; that is said."""

    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                raise KeyError("mine")

    profiler = BottleneckProfiler(report=None, ceilings=True)
    with pytest.raises(KeyError, match="mine"):
        make_model().fit(**fit_arguments("arrays"), verbose=0, callbacks=[profiler, Failing()])
    ceilings = profiler.profile.ceilings
    assert (ceilings.input_s, ceilings.step_s) == (None, None)
    assert ceilings.not_measured["step"] == "fit did not complete, and it is measured at its end"
    assert ceilings.not_measured["input"] == ceilings.not_measured["step"]


class Machine:
    """Stands for a probe: what its machine takes for a step, attempt by attempt."""

    def __init__(self, *steps_s):
        self.steps_s = list(steps_s)

    def measure_step(self):
        return self.steps_s.pop(0), 100


def test_a_step_alone_that_takes_longer_than_in_the_training_is_no_ceiling():
    """Other programs came: it is measured anew, and is not measured where they stay."""
    busy = measure_ceilings(Machine(0.080, 0.070, 0.090), None, None, 0.0, busy_s=0.016)
    assert busy.step_s is None
    assert busy.not_measured["step"].startswith("a step alone took 70 ms, and 16 ms in the training")
    assert measure_ceilings(Machine(0.080, 0.015), None, None, 0.0, busy_s=0.016).step_s == 0.015
    assert measure_ceilings(Machine(0.017), None, None, 0.0, busy_s=0.016).step_s == 0.017


def test_the_step_of_the_training_is_the_one_without_its_wait(monkeypatch):
    """80 ms from step to step, 50 of them waited: 100 ms for a step alone are other programs', 35 are not."""
    for alone_s, measured_s in ((0.1, None), (0.035, 0.035)):
        monkeypatch.setattr(StepProbe, "measure_step", lambda _, alone_s=alone_s: (alone_s, 10))
        profiler = BottleneckProfiler(report=None, ceilings=True)
        make_sleeping_model(0.03).fit(sleeping_dataset(0.05, STEPS), verbose=0, callbacks=[profiler])
        assert profiler.profile.ceilings.step_s == measured_s


@pytest.mark.skipif(BACKEND == "torch", reason="is of Keras 3 only, on TensorFlow and JAX")
def test_a_step_that_calls_methods_of_its_model():
    """What they add to lists of the model is taken away again."""
    model = make_scripted_model(0.03)
    profiler = BottleneckProfiler(report=None, ceilings=True)
    model.fit(sleeping_dataset(0.05, STEPS), verbose=0, callbacks=[profiler])
    assert profiler.profile.ceilings.step_s == pytest.approx(0.03, rel=0.25)
    assert profiler.diagnosis.accelerator_utilization == pytest.approx(0.03 / 0.08, abs=0.1)
    assert len(model.stamps) == len(model.begins) == STEPS


@pytest.mark.skipif(BACKEND == "torch", reason="is of Keras 3 only, on TensorFlow and JAX")
def test_a_step_of_an_execution_of_several_alone():
    """30 ms for a step, however many an execution has."""
    model = make_sleeping_model(0.03, steps_per_execution=16)
    profiler = BottleneckProfiler(report=None, ceilings=True)
    model.fit(free_dataset(STEPS), verbose=0, callbacks=[profiler])
    assert profiler.profile.ceilings.step_s == pytest.approx(0.03, rel=0.25)
