"""Where the time of a fit goes: callbacks by name, epoch boundaries, validation, checkpoints, compiling."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from keras_api import BACKEND, keras
from scripted import free_dataset, make_scripted_model, sleeping_dataset

from kerasdiag import BottleneckProfiler

pytestmark = [pytest.mark.keras, pytest.mark.backends, pytest.mark.timed]

STEPS = 30


class Sleeper(keras.callbacks.Callback):
    """Sleeps in some of its hooks, and stamps how long: a busy machine lets it sleep longer than it asked for."""

    def __init__(self, **sleeps):
        super().__init__()
        self.sleeps = sleeps
        self.slept = Counter()
        self.slept_at = []  # of each sleep at the end or the begin of an epoch: which, and how long

    def _sleep(self, hook):
        began = time.perf_counter()
        time.sleep(self.sleeps.get(hook, 0))
        took = time.perf_counter() - began
        self.slept[hook] += took
        if hook.startswith("epoch"):
            self.slept_at.append(took)

    def on_train_batch_begin(self, batch, logs=None):
        self._sleep("batch_begin")

    def on_train_batch_end(self, batch, logs=None):
        self._sleep("batch_end")

    def on_epoch_begin(self, epoch, logs=None):
        self._sleep("epoch_begin")

    def on_epoch_end(self, epoch, logs=None):
        self._sleep("epoch_end")

    def on_test_batch_end(self, batch, logs=None):
        self._sleep("test_batch_end")


class Other(Sleeper):
    """Another name."""


def run(*callbacks, step_s=0.005, profiler_last=True, **arguments):
    """Train for two epochs; return the profiler."""
    model = make_scripted_model(step_s)
    profiler = BottleneckProfiler(report=None)
    order = [*callbacks, profiler] if profiler_last else [profiler, *callbacks]
    model.fit(free_dataset(STEPS), epochs=2, verbose=0, callbacks=order, **arguments)
    return profiler


def spent_by(profiler, name):
    return next(one for one in profiler.profile.callbacks if one.name == name)


@pytest.mark.parametrize("profiler_last", [True, False])
def test_each_callback_has_its_time(profiler_last):
    """By name, by kind of hook, wherever the profiler stands in the list; its own time is nobody's."""
    callbacks = Sleeper(batch_end=0.01), Other(batch_begin=0.005, epoch_end=0.2)
    profiler = run(*callbacks, profiler_last=profiler_last)
    sleeper, other = spent_by(profiler, "Sleeper"), spent_by(profiler, "Other")
    true_sleeper, true_other = (one.slept for one in callbacks)
    assert sleeper.batch_s == pytest.approx(true_sleeper["batch_end"], rel=0.3)
    assert sleeper.epoch_s < 0.1
    assert other.batch_s == pytest.approx(true_other["batch_begin"], rel=0.5)
    assert other.epoch_s == pytest.approx(true_other["epoch_end"], rel=0.3)
    assert not {one.name for one in profiler.profile.callbacks} & {"BottleneckProfiler"}
    assert profiler.diagnosis.verdict == "callback-bound"
    assert "Sleeper" in profiler.diagnosis.statement or "Other" in profiler.diagnosis.statement


def test_slow_callbacks_are_no_wait():
    """They are a part of the step period of their own."""
    sleeper = Sleeper(batch_end=0.02)
    profiler = run(sleeper)
    steps = profiler.profile.steps.measured
    assert sum(steps.callbacks_s) / steps.num_steps == pytest.approx(sleeper.slept["batch_end"] / (2 * STEPS), rel=0.3)
    assert profiler.diagnosis.data_wait_fraction < 0.1
    assert profiler.diagnosis.mean_step_s > 0.025


def test_epochs_have_boundaries_with_what_lies_in_them():
    """Validation, callbacks and checkpoints are parts of the boundary, each once; hooks of validation are validation."""
    callbacks = Sleeper(epoch_end=0.1, epoch_begin=0.05, test_batch_end=0.02)
    profiler = run(callbacks, validation_data=sleeping_dataset(0.03, 5))
    epochs = profiler.profile.epochs
    assert epochs.epoch == (0, 1)
    assert epochs.steps == (STEPS, STEPS)
    assert min(epochs.validation_s) > 5 * (0.03 + 0.02) * 0.9
    # The first boundary has the begin of the second epoch in it, the last one has not.
    _, first_end, second_begin, second_end = callbacks.slept_at
    assert epochs.callbacks_s[0] == pytest.approx(first_end + second_begin, rel=0.4)
    assert epochs.callbacks_s[1] == pytest.approx(second_end, rel=0.4)
    assert all(
        boundary >= validation + callbacks
        for boundary, validation, callbacks in zip(epochs.boundary_s, epochs.validation_s, epochs.callbacks_s)
    )
    assert spent_by(profiler, "Sleeper").batch_s < 0.1, "test hooks are no callbacks of a training step"
    assert profiler.profile.validation_s == pytest.approx(sum(epochs.validation_s))


def test_checkpoints_are_apart(tmp_path, monkeypatch):
    """What Keras' own callbacks take to write the model is no callback's time but a checkpoint's."""
    # ModelCheckpoint of Keras 3.3 asks NumPy for it, and NumPy 2 has it no more.
    monkeypatch.setattr(np, "Inf", float("inf"), raising=False)
    path = str(tmp_path / ("model.weights.h5" if BACKEND != "tensorflow" else "weights.{epoch}.weights.h5"))
    sleeper = Sleeper(epoch_end=0.05)
    profiler = run(keras.callbacks.ModelCheckpoint(path, save_weights_only=True), sleeper)
    spent = profiler.diagnosis.time_spent
    keeper = spent_by(profiler, "ModelCheckpoint")
    assert keeper.keeps_model
    assert keeper.epoch_s > 0
    assert spent.checkpoint_s == pytest.approx(keeper.batch_s + sum(profiler.profile.epochs.checkpoint_s), rel=0.01)
    assert spent.callbacks_s == pytest.approx(sum(sleeper.slept.values()), rel=0.4)


def test_the_parts_add_up_to_the_fit():
    """Nothing is counted twice and nothing is lost, by a clock that knows nothing of the parts."""
    begin = time.perf_counter()
    profiler = run(Sleeper(batch_end=0.01, epoch_end=0.1), validation_data=sleeping_dataset(0.02, 5))
    took_s = time.perf_counter() - begin
    profile, spent = profiler.profile, profiler.diagnosis.time_spent
    until_first_step_s = profile.steps.start_s[0]
    assert until_first_step_s < spent.total_s < took_s
    end_s = profile.steps.start_s[-1] + profile.steps.period_s[-1] + profile.epochs.boundary_s[-1]
    assert spent.total_s == pytest.approx(end_s - until_first_step_s + spent.compile_s, abs=0.35)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="is of Keras 3 only, on TensorFlow")
def test_a_second_fit_does_not_compile():
    """Its step function was traced by the first."""
    model = make_scripted_model(0.0)
    for is_first in (True, False):
        profiler = BottleneckProfiler(report=None)
        model.fit(free_dataset(10), verbose=0, callbacks=[profiler])
        assert any(profiler.profile.steps.compiled) is is_first
        assert sum(profiler.profile.steps.warm_up) == 5


@pytest.mark.skipif(BACKEND == "torch", reason="is of Keras 3 only, on JAX and TensorFlow")
def test_what_profiling_costs_holds_nothing_of_the_training():
    """On JAX the steps of an execution are noted when all of them are over."""
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.05, steps_per_execution=4).fit(free_dataset(20), verbose=0, callbacks=[profiler])
    assert 0 < profiler.profile.added_s_per_step < 0.02


def test_compiling_is_apart():
    """The first step traces: it is no step of the training, and its time is named. torch compiles nothing by itself."""
    profiler = run()
    profile = profiler.profile
    assert (profile.compile_s > 0.01) is (BACKEND != "torch")
    assert all(warm_up for warm_up, compiled in zip(profile.steps.warm_up, profile.steps.compiled) if compiled)


def test_share_of_batches_that_waited():
    """Half of the batches come late."""
    late = sleeping_dataset(0.02, STEPS).concatenate(free_dataset(STEPS))
    options = sleeping_dataset(0, 1).options()
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.01).fit(late.with_options(options), verbose=0, callbacks=[profiler])
    share = profiler.diagnosis.estimates["waited_fraction"]
    assert share.value == pytest.approx((STEPS - 5) / (2 * STEPS - 5), abs=0.12)


def test_containers_get_their_list_back():
    """After the fit Keras' container holds a plain list of the same callbacks."""
    kept = []

    class Keeper(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            import sys

            frame = sys._getframe()
            while "callbacks" not in frame.f_locals or not hasattr(frame.f_locals["callbacks"], "callbacks"):
                frame = frame.f_back
            kept.append(frame.f_locals["callbacks"])

    run(Keeper())
    assert type(kept[0].callbacks) is list
    assert any(isinstance(one, Keeper) for one in kept[0].callbacks)


def test_a_callback_that_raises_goes_its_usual_way():
    """The exception reaches the caller of fit, and what was measured until then is kept."""

    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 20:
                raise KeyError("mine")

    profiler = BottleneckProfiler(report=None)
    with pytest.raises(KeyError, match="mine"):
        make_scripted_model(0.002).fit(
            free_dataset(STEPS), verbose=0, callbacks=[profiler, Sleeper(batch_end=0.005), Failing()]
        )
    assert profiler.profile.state == "interrupted"
    assert spent_by(profiler, "Sleeper").batch_s > 20 * 0.005 * 0.9
