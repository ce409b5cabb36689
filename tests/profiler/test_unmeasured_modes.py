"""Fits whose wait cannot be measured say so, and why; this machine has neither a cluster nor a TPU nor a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from keras_api import BACKEND, IS_KERAS_2, keras
from packaging.version import Version

from kerasdiag import BottleneckProfiler, compat
from kerasdiag.fit_call import FitCall

pytestmark = [pytest.mark.keras]

module = sys.modules["kerasdiag.compat.step_access"]


def strategy_named(name):
    """A strategy of which only the class is looked at."""
    return type(name, (), {})()


@pytest.mark.parametrize(
    ("strategy", "measured"),
    [
        ("ParameterServerStrategyV2", False),
        ("ParameterServerStrategyV1", False),
        ("TPUStrategy", False),
        ("TPUStrategyV2", False),
        ("MirroredStrategy", True),
        ("MultiWorkerMirroredStrategy", True),
        ("_DefaultDistributionStrategy", True),
    ],
)
def test_strategies_whose_steps_run_elsewhere(strategy, measured):
    """Workers and TPUs take their batches where this process has no clock."""

    class Distributed(keras.Sequential):
        distribute_strategy = strategy_named(strategy)

    found = compat.step_access(Distributed())
    if measured:
        assert not isinstance(found, str)
    else:
        assert found == f"{strategy} runs steps where this process cannot time them"


@pytest.mark.skipif(IS_KERAS_2, reason="is of Keras 3 only")
def test_steps_that_keras_times_itself():
    """steps_per_execution="auto" would choose by our times; the fit is left alone and says why."""
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    model.autotune_steps_per_execution = True
    assert 'steps_per_execution="auto"' in compat.step_access(model)
    profiler = BottleneckProfiler(report=None)
    model.fit(np.zeros((40, 8)), np.zeros((40, 1)), batch_size=4, verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.verdict == "unknown"
    assert 'steps_per_execution="auto"' in profiler.diagnosis.statement
    assert int(model.optimizer.iterations.numpy()) == 10


@pytest.mark.backends
@pytest.mark.skipif(BACKEND != "torch", reason="is of Keras 3 only, on torch")
@pytest.mark.parametrize(("device", "measured"), [("cpu", True), ("cuda", True), ("mps", False), ("xpu", False)])
def test_devices_of_torch_that_run_behind(device, measured, monkeypatch):
    """Only where torch's own way to wait for the device is known."""
    monkeypatch.setattr(module, "_torch_device", lambda model: device)
    found = compat.step_access(keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)]))
    assert isinstance(found, str) is not measured
    assert measured or f"torch lets {device} run behind the program" in found


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize(
    ("version", "verbose", "hooks", "tensors", "ahead"),
    [
        ("2.10", 1, False, True, False),  # the bar reads the losses of each step
        ("2.10", 2, False, True, True),
        ("2.15", 0, False, True, True),
        ("2.15", 0, True, False, False),  # so does a callback that wants numbers
        ("2.15", 0, True, True, True),
        ("3.3", 0, False, True, False),
        ("3.6", 1, False, True, True),
        ("3.7", 0, False, True, False),
        ("3.15", 2, True, True, False),
    ],
)
def test_who_waits_for_the_gpu_between_two_steps(version, verbose, hooks, tensors, ahead, gpu, monkeypatch):
    """Where nobody does, a wait of the program may cost nothing; without a GPU nothing can run behind."""
    monkeypatch.setattr(module, "has_gpu", lambda: gpu)
    callbacks = SimpleNamespace(
        params={"verbose": verbose}, _should_call_train_batch_hooks=hooks, _batch_hooks_support_tf_logs=tensors
    )
    assert module._host_runs_ahead(FitCall(None, {}, callbacks), Version(version)) is (ahead and gpu)


@pytest.mark.skipif(not IS_KERAS_2, reason="is of Keras 2 only")
def test_keras_2_on_a_gpu_without_a_bar_is_unknown(monkeypatch):
    """The verdict says what to change."""
    monkeypatch.setattr(module, "has_gpu", lambda: True)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    profiler = BottleneckProfiler(report=None)
    model.fit([[0.0] * 8] * 40, [[0.0]] * 40, batch_size=4, verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.verdict == "unknown"
    assert "fit with verbose=1 to measure it" in profiler.diagnosis.statement
