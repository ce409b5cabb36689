"""Where measuring costs too much only some steps are measured, and the training stays what it was."""

from __future__ import annotations

import math

import pytest
from keras_api import TRAINS_WITH_PYTHON_FUNCTION, keras, tf
from trainings import are_equal, make_arrays, make_model, outcome

from kerasdiag import BottleneckProfiler, compat
from kerasdiag.profiler.data_probe import sampling
from kerasdiag.profiler.data_probe.sampling import BLOCK_STEPS, FULLY_MEASURED_STEPS, ONE_BLOCK_IN, Sampling
from kerasdiag.profiler.data_probe.tensorflow_step import TensorFlowStep
from kerasdiag.report.terminal import render

EPOCH_STEPS = 100
EPOCHS = 8


def sampling_that_is_on(cost_s=0.02):
    one = Sampling(allowed=True)
    one.consider(FULLY_MEASURED_STEPS, cost_s=cost_s, step_s=1.0)
    return one


@pytest.mark.parametrize(
    ("allowed", "steps", "cost_s", "is_on"),
    [(True, 200, 0.011, True), (True, 200, 0.009, False), (True, 199, 0.5, False), (False, 5000, 0.5, False)],
)
def test_it_begins_where_a_step_costs_over_one_percent(allowed, steps, cost_s, is_on):
    """Not before there can be a verdict, and never where it would change the training."""
    one = Sampling(allowed=allowed)
    one.consider(steps, cost_s, step_s=1.0)
    assert one.is_on is is_on


@pytest.mark.parametrize("execution", [1, 4, 7, 50])
def test_one_step_in_ten_is_measured_in_blocks_of_neighbours(execution):
    """Blocks, for a loader with several workers delivers in bursts."""
    one = sampling_that_is_on()
    wanted = [one.wants(execution) for _ in range(8000 // execution)]
    assert sum(wanted) / len(wanted) == pytest.approx(1 / ONE_BLOCK_IN, abs=0.02)
    starts = sum(not before and now for before, now in zip([False, *wanted], wanted))
    assert sum(wanted) / starts >= math.floor(max(BLOCK_STEPS, execution) / execution)


@pytest.mark.parametrize(("cost_s", "one_in"), [(0.011, 10), (0.1, 10), (0.25, 25), (0.4, 40), (3.0, 40)])
def test_what_costs_more_is_measured_more_rarely(cost_s, one_in):
    """So that about 1 % is left of the cost; but no more rarely than one block in forty."""
    one = sampling_that_is_on(cost_s)
    wanted = [one.wants(1) for _ in range(BLOCK_STEPS * one_in * 3)]
    assert sum(wanted) == 3 * BLOCK_STEPS
    assert wanted.index(True) == BLOCK_STEPS * (one_in - 1)


def train(execution, callbacks=()):
    """Many steps of almost no work."""
    x, y = make_arrays(EPOCH_STEPS * 8)
    model = make_model(steps_per_execution=execution)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    history = model.fit(data, epochs=EPOCHS, verbose=0, callbacks=list(callbacks))
    return outcome(model, history)


@pytest.mark.keras
@pytest.mark.parametrize("execution", [1, 7])
def test_a_sampled_training_is_unchanged_and_all_its_steps_are_counted(execution, monkeypatch):
    """7 does not divide an epoch: the partial execution at its end is measured, for nothing else can count its steps."""
    if TRAINS_WITH_PYTHON_FUNCTION:
        pytest.skip("sampling is of Keras 3 only")
    monkeypatch.setattr(sampling, "MOST_COST_FRACTION", 0.0)  # on a busy machine a step may take 100 times its cost
    # Else 800 steps do not pay for tracing another function.
    monkeypatch.setattr(TensorFlowStep, "_unfused_s", lambda self: 1.0)
    plain = train(execution)
    assert are_equal(plain, train(execution)), "two plain runs differ: this case proves nothing"
    profiler = BottleneckProfiler(report=None)
    assert are_equal(plain, train(execution, [profiler]))
    profile = profiler.profile
    assert profile.epochs.steps == (EPOCH_STEPS,) * EPOCHS
    assert FULLY_MEASURED_STEPS <= profile.steps.num_steps <= EPOCH_STEPS * EPOCHS / 2
    assert profile.unmeasured_steps == EPOCH_STEPS * EPOCHS - profile.steps.num_steps
    probe = profiler._measurement.probe
    lost_s = profile.launch_s * (execution - 1)  # the price of a start, of which Keras makes one an execution
    added_s = probe.bookkeeping_s + profile.steps.num_steps * lost_s
    assert profile.added_s_per_step == pytest.approx(added_s / (EPOCH_STEPS * EPOCHS))
    assert f"{profile.unmeasured_steps:,} not measured" in " ".join(render(profiler.diagnosis).split())
    assert not [finding for finding in profiler.diagnosis.findings if finding.code == "unequal-epochs"]


@pytest.mark.keras
def test_a_short_training_does_not_compile_another_function(monkeypatch):
    """Keras' own execution of several steps would be traced for it: for 740 steps that costs more than it saves."""
    if TRAINS_WITH_PYTHON_FUNCTION:
        pytest.skip("sampling is of Keras 3 only")
    monkeypatch.setattr(sampling, "MOST_COST_FRACTION", 0.0)
    monkeypatch.setattr(TensorFlowStep, "_unfused_s", lambda self: 1e-9)
    profiler = BottleneckProfiler(report=None)
    train(4, [profiler])
    assert profiler.profile.unmeasured_steps == 0


@pytest.mark.keras
def test_older_versions_never_sample():
    """There a measured step and another one are two functions, each with random numbers of its own."""
    if not TRAINS_WITH_PYTHON_FUNCTION:
        pytest.skip("the case is of Keras 2 only")
    profiler = BottleneckProfiler(report=None)
    train(1, [profiler])
    assert profiler.profile.unmeasured_steps == 0
    access = compat.step_access(keras.Sequential())
    assert not compat.may_sample(access)
