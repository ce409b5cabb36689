"""The callback in real fits: what it says and when, what it records, and what happens when it fails."""

from __future__ import annotations

import copy
import errno
import io
import json
import logging
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest
from keras_api import IS_KERAS_2, TRAINS_WITH_PYTHON_FUNCTION, keras, tf
from scripted import free_dataset, make_scripted_model, sleeping_dataset
from trainings import BATCH_SIZE, STEPS, Batches, are_equal, fit_arguments, image_iterator, make_model, train

from kerasdiag import BottleneckProfiler, RunProfile, compat
from kerasdiag.input_identity import identify_input
from kerasdiag.profile_cache import find_last_profile
from kerasdiag.profiler import fit_measurement, publisher
from kerasdiag.profiler.data_probe import tensorflow_step
from kerasdiag.profiler.data_probe.way import say
from kerasdiag.profiler.recorder import StepRecorder

pytestmark = pytest.mark.keras


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("[kerasdiag]")]


# --- When it speaks --------------------------------------------------------------------------------


def test_verdict_comes_with_the_twentieth_measured_step(capsys):
    """One line in the middle of a long epoch, once; the panel at the end."""
    heard_at = []

    class Listens(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            heard = capsys.readouterr()
            if lines_of(heard.err):
                heard_at.append(batch)
                heard_at.append(lines_of(heard.err))

        def on_train_end(self, logs=None):
            heard_at.append("end")

    model = make_scripted_model(0.002)
    model.fit(sleeping_dataset(0.01, 60), epochs=2, verbose=0, callbacks=[Listens(), BottleneckProfiler()])
    assert heard_at[0] == 25  # 5 of warm-up and 20 measured, told before the next step begins
    assert len(heard_at[1]) == 1
    assert heard_at[1][0].startswith("[kerasdiag] Input-bound: ")
    assert heard_at[2:] == ["end"]
    panel = capsys.readouterr().out
    assert "kerasdiag: input-bound" in panel
    assert "Next:" in panel


def test_short_first_epoch_says_that_it_is_too_short(capsys):
    """At the latest at the end of epoch 1 something is said, and again when it changes."""
    model = make_scripted_model(0.002)
    model.fit(sleeping_dataset(0.01, 9), epochs=4, verbose=0, callbacks=[BottleneckProfiler()])
    said = lines_of(capsys.readouterr().err)
    assert "Not enough data: 4 steps" in said[0]
    assert len(said) == 2
    assert said[1].startswith("[kerasdiag] Input-bound: ")


def test_verdict_is_repeated_when_it_changes(capsys, monkeypatch):
    """A loader that becomes slow in the second epoch is announced; on a busy machine verdicts have no time of their own."""
    monkeypatch.setattr(fit_measurement.FitMeasurement, "has_time_for_a_verdict", True)
    model = make_scripted_model(0.005)
    profiler = BottleneckProfiler()

    def generator():
        for number in range(90):
            time.sleep(0.0 if number < 30 else 0.03)
            yield np.zeros((4, 8), "float32"), np.zeros((4, 1), "float32")

    model.fit(generator(), steps_per_epoch=30, epochs=3, verbose=0, callbacks=[profiler])
    said = lines_of(capsys.readouterr().err)
    assert len(said) >= 2
    assert "Input-bound" in said[-1]
    verdicts = [line.split(":")[0] for line in said]
    assert all(one != other for one, other in zip(verdicts, verdicts[1:])), verdicts


def test_silent_without_report(capfd):
    """report=None measures and says nothing at all."""
    profiler = BottleneckProfiler(report=None)
    capfd.readouterr()
    make_scripted_model(0.0).fit(free_dataset(40), verbose=0, callbacks=[profiler])
    heard = capfd.readouterr()
    assert "kerasdiag" not in heard.out + heard.err
    assert profiler.diagnosis.verdict != "not-enough-data"


def test_ctrl_c_in_a_step_prints_the_panel(capsys):
    """Slow runs are ended by Ctrl-C: that is when the verdict is wanted."""

    class Interrupted(Batches):
        def __init__(self):
            super().__init__(examples=400)

    class Presses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch >= 35:
                raise KeyboardInterrupt

    profiler = BottleneckProfiler()
    with pytest.raises(KeyboardInterrupt):
        make_model().fit(Interrupted(), verbose=0, callbacks=[profiler, Presses()])
    assert "the training was interrupted" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert profiler.profile.state == "interrupted"
    assert profiler.diagnosis.measured_steps >= 20


def test_crash_of_the_training_shows_no_panel_but_keeps_the_files(tmp_path, capsys):
    """Nothing pushes the user's traceback away; the report file is there."""

    class Crashes(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 7:
                raise RuntimeError("diverged")

    path = tmp_path / "run.kdprof.json"
    with pytest.raises(RuntimeError, match="diverged"):
        make_model().fit(
            **fit_arguments("arrays"), verbose=0, callbacks=[BottleneckProfiler(["terminal", path]), Crashes()]
        )
    assert "kerasdiag" not in capsys.readouterr().out
    assert RunProfile.load(path).state == "interrupted"
    assert RunProfile.load(path).steps.num_steps in (7, 8)


# --- What it records -------------------------------------------------------------------------------


def test_profile_knows_both_inputs_and_the_plan():
    """Training and validation input can be told apart and found again; so can the steps that fit planned."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    training, validation = image_iterator(), image_iterator(augment=False)
    profiler = BottleneckProfiler(report=None)
    model.fit(training, validation_data=validation, steps_per_epoch=7, epochs=2, verbose=0, callbacks=[profiler])
    profile = profiler.profile
    assert profile.training_input.kind == profile.validation_input.kind == "image-data-generator"
    assert profile.training_input.batch_size == BATCH_SIZE
    assert profile.training_input.is_same_input(identify_input(training))
    assert profile.planned_steps_per_epoch == 7
    assert profile.planned_epochs == 2
    assert profile.state == "completed"
    assert profile.software["tensorflow"] == tf.__version__
    assert profile.added_s_per_step > 0


def test_a_callback_that_stops_within_an_epoch_leaves_no_unequal_one():
    """The last epoch is short because somebody stopped it; the input did not end."""

    class Stops(keras.callbacks.Callback):
        def __init__(self, epoch, batch):
            super().__init__()
            self.at = epoch, batch
            self.epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == self.at:
                self.model.stop_training = True

    def run(*callbacks, data=None, **arguments):
        profiler = BottleneckProfiler(report=None)
        data = free_dataset(20) if data is None else data
        make_scripted_model(0.0).fit(data, epochs=3, verbose=0, callbacks=[profiler, *callbacks], **arguments)
        profile = profiler.profile
        codes = [finding.code for finding in profiler.diagnosis.findings]
        return profile.epochs.steps, profile.stopped_early, profile.has_steps_per_epoch, "unequal-epochs" in codes

    assert run(Stops(1, 6)) == ((20, 7), True, False, False)
    assert run() == ((20, 20, 20), False, False, False)
    steps, stopped_early, has_steps_per_epoch, is_unequal = run(steps_per_epoch=15)
    assert steps[:2] == (15, 5)
    assert (stopped_early, has_steps_per_epoch, is_unequal) == (False, True, True)


def test_profile_is_readable_at_any_time():
    """Before, during and after a fit, and it only grows."""
    counts = []

    class Reads(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counts.append(profiler.profile.steps.num_steps)
            assert profiler.profile.state == "running"
            assert profiler.diagnosis.statement

    profiler = BottleneckProfiler(report=None)
    assert profiler.profile == RunProfile()
    assert profiler.diagnosis.verdict == "not-enough-data"
    make_model().fit(**fit_arguments("arrays"), verbose=0, callbacks=[profiler, Reads()])
    assert counts == list(range(1, STEPS + 1))
    assert profiler.profile.state == "completed"


def test_profile_is_readable_from_another_thread():
    """A dashboard that looks while it trains neither disturbs it nor takes it for ended."""
    profiler = BottleneckProfiler(report=None)
    training = threading.Thread(target=train, args=("arrays", [profiler]), kwargs={"epochs": 4})
    training.start()
    states = set()
    while training.is_alive():
        states.add(profiler.profile.state)
        assert profiler.diagnosis.statement
        time.sleep(0.005)
    training.join()
    assert states <= {"not-started", "running", "completed"}
    assert profiler.profile.state == "completed"
    assert profiler.profile.steps.num_steps == 4 * STEPS


def test_profile_is_that_of_the_latest_fit():
    """A second fit starts anew."""
    model, profiler = make_model(), BottleneckProfiler(report=None)
    model.fit(**fit_arguments("arrays"), epochs=3, verbose=0, callbacks=[profiler])
    first = profiler.profile
    model.fit(**fit_arguments("py-dataset"), verbose=0, callbacks=[profiler])
    assert first.steps.num_steps == 3 * STEPS
    assert profiler.profile.steps.num_steps == STEPS
    assert profiler.profile.training_input.kind == "py-dataset"


def test_last_profile_of_an_input_is_found_by_the_next_run():
    """It is kept in the cache directory at the first verdict already, for runs that end by Ctrl-C."""
    found = []

    class Looks(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            found.append(find_last_profile(identify_input(data)) is not None)

    data = Batches(examples=320)
    make_model().fit(data, verbose=0, callbacks=[BottleneckProfiler(report=None), Looks()])
    assert found == [False] * 25 + [True] * 15
    assert find_last_profile(identify_input(data)).state == "completed"
    assert find_last_profile(identify_input(Batches(examples=80))) is None


def test_thousands_of_short_epochs_are_not_slowed():
    """A verdict after each epoch of a millisecond would cost more than the epoch."""
    profiler = BottleneckProfiler(report=None)
    model = make_scripted_model(0.0)
    model.fit(free_dataset(1), epochs=300, verbose=0, callbacks=[profiler])
    profile = profiler.profile
    assert profile.steps.num_steps + profile.unmeasured_steps == 300
    assert profile.verdicts_s < 2  # 300 verdicts of 10 ms each would be 3 s


def test_evaluate_and_predict_are_accepted_and_not_measured():
    """The same callback list can be passed everywhere."""
    model, profiler = make_model(), BottleneckProfiler(report=None)
    arguments = fit_arguments("arrays")
    x, y = arguments["x"], arguments["y"]
    model.evaluate(x, y, verbose=0, callbacks=[profiler])
    model.predict(x, verbose=0, callbacks=[profiler])
    assert profiler.profile == RunProfile()
    model.fit(**arguments, verbose=0, callbacks=[profiler])
    before = profiler.profile.steps
    model.evaluate(x, y, verbose=0, callbacks=[profiler])
    assert profiler.profile.steps == before
    assert profiler.profile.validation_s == 0


def test_report_files_are_written(tmp_path):
    """One run, several reports, in folders that are made."""
    paths = [tmp_path / "new" / "run.kdprof.json", str(tmp_path / "panel.txt")]
    profiler = BottleneckProfiler(report=paths)
    make_scripted_model(0.0).fit(free_dataset(40), verbose=0, callbacks=[profiler])
    assert RunProfile.load(paths[0]) == profiler.profile
    assert json.loads(paths[0].read_text())["diagnosis"]["statement"] == profiler.diagnosis.statement
    assert f"kerasdiag: {profiler.diagnosis.verdict}" in (tmp_path / "panel.txt").read_text(encoding="utf-8")


# --- What it cannot measure ------------------------------------------------------------------------


def test_own_train_function_is_unknown():
    """A model that builds its own step is left alone, and the reason is told."""

    class Own(keras.Model):
        def make_train_function(self, force=False):
            made = super().make_train_function(force)
            return made or self.train_function

    inputs = keras.Input((8,))
    model = Own(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    profiler = BottleneckProfiler(report=None)
    model.fit(**fit_arguments("arrays"), verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.verdict == "unknown"
    assert "overrides make_train_function" in profiler.diagnosis.statement
    assert profiler.profile.method is None


def test_wrapped_train_function_is_unknown():
    """Somebody else's wrapper is neither removed nor measured through."""
    calls = []

    class Wraps(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            original = self.model.train_function

            def wrapper(iterator):
                calls.append(1)
                return original(iterator)

            vars(self.model)["train_function"] = wrapper

    profiler = BottleneckProfiler(report=None)
    make_model().fit(**fit_arguments("arrays"), verbose=0, callbacks=[Wraps(), profiler])
    assert len(calls) == STEPS
    assert profiler.diagnosis.verdict == "unknown"
    assert "replaced or wrapped" in profiler.diagnosis.statement


def test_own_fit_loop_is_unknown():
    """A fit of the user's own that drives the callbacks but not train_function is not waited for more steps."""

    class Loops(keras.Model):
        def fit(self, x, y, callbacks=()):
            callbacks = keras.callbacks.CallbackList(list(callbacks), model=self, epochs=1, steps=30, verbose=0)
            callbacks.on_train_begin()
            callbacks.on_epoch_begin(0)
            for batch in range(30):
                callbacks.on_train_batch_begin(batch)
                self.train_on_batch(x[:8], y[:8])
                callbacks.on_train_batch_end(batch)
            callbacks.on_epoch_end(0)
            callbacks.on_train_end()

    inputs = keras.Input((8,))
    model = Loops(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    profiler = BottleneckProfiler(report=None)
    arguments = fit_arguments("arrays")
    model.fit(arguments["x"], arguments["y"], callbacks=[profiler])
    assert profiler.diagnosis.verdict == "unknown"
    assert "without Keras' train_function" in profiler.diagnosis.statement


def test_a_user_mistake_is_reported_as_such(caplog):
    """A loss that does not fit the labels fails as it does without the profiler, and we keep quiet."""
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", keras.losses.CategoricalCrossentropy(), jit_compile=False)
    with pytest.raises(Exception, match=r"(?i)shape|incompatible|rank"):
        model.fit(**fit_arguments("arrays"), verbose=0, callbacks=[BottleneckProfiler(report=None)])
    assert not [record for record in caplog.records if record.name == "kerasdiag"]


def test_hooks_called_by_hand_are_unknown():
    """A custom loop that drives callbacks itself is no fit."""
    profiler = BottleneckProfiler(report=None)
    profiler.set_model(make_model())
    profiler.on_train_begin()
    assert "only fit is measured" in profiler.diagnosis.statement
    profiler.on_train_end()


# --- When it fails ---------------------------------------------------------------------------------

FAULTS = {
    "recording a step": (StepRecorder, "add_step"),
    "ending a step": (StepRecorder, "end_step"),
    "ending an epoch": (StepRecorder, "end_epoch"),
    "taking the step apart": (tensorflow_step.compat, "one_step_function"),
    "calibrating": (tensorflow_step, "price_of_pull"),
    "finding fit": (fit_measurement, "find_fit_call"),
    "describing the machine": (fit_measurement, "usable_cores"),
    "starting NVML": (fit_measurement.GpuSampler, "start"),
    "reading NVML": (fit_measurement.GpuSampler, "snapshot"),
    "saving the profile": (publisher, "save_last_profile"),
    "printing": (publisher, "render_for"),
}


@pytest.mark.parametrize("where", FAULTS)
def test_a_fault_of_ours_never_reaches_the_training(where, monkeypatch, caplog, capsys):
    """Whatever breaks inside the profiler, the training ends with equal numbers and one line in the log."""
    expected = train("arrays", epochs=4)
    monkeypatch.setattr(*FAULTS[where], _fail)
    profiler = BottleneckProfiler()
    with caplog.at_level(logging.WARNING, logger="kerasdiag"):
        measured = train("arrays", callbacks=[profiler], epochs=4)
    assert are_equal(expected, measured)
    messages = [record.getMessage() for record in caplog.records if record.name == "kerasdiag"]
    assert len(messages) == (where != "starting NVML"), messages
    assert all("training goes on" in message for message in messages)
    if where == "starting NVML":
        monkeypatch.undo()
        assert "a fault on purpose" in profiler.profile.not_measured["gpu"]
    elif where not in ("reading NVML", "ending an epoch", "saving the profile", "printing"):
        monkeypatch.undo()
        assert profiler.diagnosis.verdict in ("unknown", "not-enough-data")
        assert "a fault on purpose" in profiler.diagnosis.statement


def _fail(*args, **kwargs):
    raise ZeroDivisionError("a fault on purpose")


@pytest.mark.parametrize("when", ["before the first batch", "with a batch"])
def test_a_price_that_cannot_be_found_costs_only_itself(when, monkeypatch):
    """What starting a step costs is worth less than the wait, which is still measured."""
    price = _fail if when == "before the first batch" else lambda *_: _fail
    monkeypatch.setattr(tensorflow_step, "price_of_launch", price)
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.002).fit(free_dataset(40), verbose=0, callbacks=[profiler])
    assert profiler.profile.launch_s is None
    assert profiler.diagnosis.measured_steps == 35
    assert "data_wait" not in profiler.profile.not_measured


def test_a_fault_in_one_fit_is_not_told_of_the_next(monkeypatch, caplog):
    """Nothing of the first was measured, and that is no lack of steps; the second is whole."""
    profiler = BottleneckProfiler(report=None)
    with monkeypatch.context() as broken:
        broken.setattr("kerasdiag.profiler.callback.FitMeasurement", _fail)
        make_scripted_model(0.0).fit(free_dataset(30), verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.verdict == "unknown"
    assert "a fault on purpose" in profiler.diagnosis.statement
    make_scripted_model(0.0).fit(free_dataset(30), verbose=0, callbacks=[profiler])
    assert profiler.profile.steps.num_steps == 30
    assert not profiler.profile.not_measured.keys() - {"gpu"}


def test_what_ends_unseen_ended_when_somebody_looked_first():
    """In a notebook the traceback keeps a fit that Ctrl-C ended; the hour until the next cell is no part of it."""
    kept = []

    class Interrupts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    profiler = BottleneckProfiler(report=None)
    try:
        make_scripted_model(0.0).fit(free_dataset(30), verbose=0, callbacks=[profiler, Interrupts()])
    except KeyboardInterrupt as error:
        kept.append(error)  # its frames hold the callbacks
    assert profiler.profile.state == "interrupted"
    time.sleep(0.5)
    profiler._measurement.finish("interrupted")
    assert sum(profiler.profile.epochs.boundary_s) < 0.4
    assert profiler.profile.machine is not None


def test_a_fit_that_was_missed_once_ends_when_it_ends():
    """A look from another thread may miss it on the stack; Ctrl-C a while later is its end."""

    class Misses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            measurement = profiler._measurement
            if batch == 3:
                measurement._gone_s = measurement._clock()
            if batch == 20:
                raise KeyboardInterrupt

    profiler = BottleneckProfiler(report=None)
    with pytest.raises(KeyboardInterrupt):
        make_scripted_model(0.02).fit(free_dataset(30), verbose=0, callbacks=[profiler, Misses()])
    measurement = profiler._measurement
    assert profiler.profile.state == "interrupted"
    assert measurement._end_s > measurement._gone_s + 0.3


@pytest.mark.parametrize("executions", [1, 4])
def test_several_steps_at_once_on_a_gpu(executions, monkeypatch):
    """A GPU works on while the next batch is waited for: the steps are waited for, or nothing is said."""
    monkeypatch.setattr(sys.modules["kerasdiag.compat.step_access"], "has_gpu", lambda: True)
    monkeypatch.setattr(compat, "has_gpu", lambda: True)
    waited_for = []
    monkeypatch.setattr(compat, "wait_for_logs", waited_for.append)
    profiler = BottleneckProfiler(report=None)
    train("arrays", callbacks=[profiler], epochs=4, steps_per_execution=executions)
    if executions == 1 and not IS_KERAS_2:
        assert not waited_for
    elif TRAINS_WITH_PYTHON_FUNCTION:
        assert profiler.diagnosis.verdict == "unknown"
        assert "hidden behind GPU work" in profiler.diagnosis.statement
    else:
        assert len(waited_for) == 4 * STEPS == profiler.profile.steps.num_steps


@pytest.mark.skipif(not IS_KERAS_2, reason="is of Keras 2 only")
def test_the_gpu_is_not_waited_for_in_the_progress_bar_of_keras_2(monkeypatch):
    """There Keras 2 reads the losses, and so waits for the GPU: what the step takes is no price of the bar."""
    on_gpu = []

    def compute(logs=None):
        time.sleep(0.02 * len(on_gpu))
        on_gpu.clear()

    class Bar(keras.callbacks.ProgbarLogger):
        def on_train_batch_begin(self, batch, logs=None):
            on_gpu.append(batch)

        def on_train_batch_end(self, batch, logs=None):
            compute()

    monkeypatch.setattr(sys.modules["kerasdiag.compat.step_access"], "has_gpu", lambda: True)
    monkeypatch.setattr(compat, "has_gpu", lambda: True)
    monkeypatch.setattr(compat, "wait_for_logs", compute)
    profiler = BottleneckProfiler(report=None)
    model = make_scripted_model(0.0)
    model.fit(free_dataset(30), verbose=1, callbacks=[profiler, Bar()])
    assert profiler.diagnosis.verdict == "compute-bound"


def test_full_disk_never_ends_a_training(tmp_path, monkeypatch, caplog):
    """Neither the report nor the cache can be written: said once each, and the numbers are still there."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    profiler = BottleneckProfiler(report=tmp_path / "run.kdprof.json")
    monkeypatch.setattr(os, "fsync", full)
    make_scripted_model(0.0).fit(free_dataset(30), epochs=4, verbose=0, callbacks=[profiler])
    messages = [record.getMessage() for record in caplog.records if record.name == "kerasdiag"]
    assert len(messages) == 2
    assert all("No space left on device" in message for message in messages)
    assert not list(tmp_path.glob("*.json*"))
    assert profiler.diagnosis.measured_steps > 20


def test_real_full_disk(tmp_path, caplog):
    """The same with a limit of the operating system on the size of a file."""
    resource = pytest.importorskip("resource")
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    profiler = BottleneckProfiler(report=tmp_path / "run.kdprof.json")
    model = make_scripted_model(0.0)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        model.fit(free_dataset(30), verbose=0, callbacks=[profiler])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.glob("*.json*"))
    assert any("File too large" in record.getMessage() for record in caplog.records)
    assert profiler.diagnosis.measured_steps == 25


def test_closed_terminal_never_ends_a_training(monkeypatch):
    """A notebook kernel or a daemon may have no stdout any more."""
    closed = io.StringIO()
    closed.close()
    profiler = BottleneckProfiler()
    model = make_scripted_model(0.0)
    monkeypatch.setattr(sys, "stdout", closed)
    monkeypatch.setattr(sys, "stderr", closed)
    model.fit(free_dataset(30), verbose=0, callbacks=[profiler])
    monkeypatch.undo()
    assert profiler.diagnosis.measured_steps == 25


# --- Switched off, and several processes -----------------------------------------------------------


def test_disabled_profiler_does_nothing(monkeypatch, capsys):
    """KERASDIAG_DISABLE=1 takes the profiler out of a script without editing it."""
    monkeypatch.setenv("KERASDIAG_DISABLE", "1")
    profiler = BottleneckProfiler()
    make_model().fit(**fit_arguments("arrays"), epochs=4, verbose=0, callbacks=[profiler])
    heard = capsys.readouterr()
    assert "kerasdiag" not in heard.out + heard.err
    assert profiler.profile.steps.num_steps == 0
    assert profiler._measurement is None
    assert "KERASDIAG_DISABLE is set" in profiler.diagnosis.statement


def test_only_rank_0_prints_and_files_carry_the_rank(monkeypatch, tmp_path, capsys):
    """Eight processes print one panel and write eight files."""
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    profiler = BottleneckProfiler(report=["terminal", tmp_path / "run.kdprof.json"])
    make_scripted_model(0.0).fit(free_dataset(30), verbose=0, callbacks=[profiler])
    heard = capsys.readouterr()
    assert "kerasdiag" not in heard.out + heard.err
    assert [path.name for path in tmp_path.glob("*.json")] == ["run.rank3.kdprof.json"]
    assert RunProfile.load(tmp_path / "run.rank3.kdprof.json").rank == 3


# --- What Keras sees -------------------------------------------------------------------------------


def test_keras_has_no_reason_to_synchronise():
    """No batch hook counts as implemented: Keras prepares no logs for us and runs no hook it would have skipped."""
    profiler = BottleneckProfiler(report=None)
    if IS_KERAS_2:
        seen = []

        class Looks(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                frame = sys._getframe(1)
                seen.append(frame.f_locals["self"])

        make_model().fit(**fit_arguments("arrays"), verbose=0, callbacks=[profiler, Looks()])
        assert not seen[0]._should_call_train_batch_hooks
        assert not seen[0]._should_call_test_batch_hooks
    else:
        hooks = [f"on_{mode}batch_{when}" for mode in ("", "train_", "test_", "predict_") for when in ("begin", "end")]
        assert all(getattr(getattr(profiler, hook), "_is_default", False) for hook in hooks)
        from keras.src.utils import is_default

        assert is_default(profiler.on_train_batch_end)


def test_two_fits_in_one_script_count_alike():
    """A second fit does not trace again, and the first traces as often as Keras alone."""
    plain = make_model()
    plain.fit(**fit_arguments("arrays"), verbose=0)
    counts = getattr(vars(plain)["train_function"], "experimental_get_tracing_count", lambda: 1)
    model, profiler = make_model(), BottleneckProfiler(report=None)
    model.fit(**fit_arguments("arrays"), verbose=0, callbacks=[profiler])
    function = vars(model)["train_function"]
    model.fit(**fit_arguments("arrays"), verbose=0, callbacks=[profiler])
    assert vars(model)["train_function"] is function
    assert len(function._kerasdiag_one_steps) == 1
    assert function._kerasdiag_one_steps[0][1].experimental_get_tracing_count() == counts()


# --- Copies, and wrong arguments -------------------------------------------------------------------


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["deepcopy", "pickle"]
)
def test_a_profiler_that_has_run_can_be_copied(copied):
    """With its result, and it measures the next fit; the original keeps its own."""
    profiler = BottleneckProfiler(report=None)
    train(callbacks=[profiler])
    one = copied(profiler)
    assert one.model is None
    assert one.profile == profiler.profile
    before = profiler.profile
    model = make_scripted_model(0.002)
    model.fit(sleeping_dataset(0.01, 40), verbose=0, callbacks=[one])
    assert one.diagnosis.verdict == "input-bound"
    assert one.profile.epochs.steps == (40,)
    assert profiler.profile == before


@pytest.mark.parametrize("wrong", ["no", 1, None, make_model])
def test_ceilings_takes_yes_or_no(wrong):
    """A model there would be taken for yes."""
    with pytest.raises(TypeError, match=r"True or False.*autofix\(generator, model\)"):
        BottleneckProfiler(ceilings=wrong)


def test_evaluate_in_a_callback_is_that_callbacks_time():
    """Also where the profiler is passed to it: nothing is counted twice."""

    class Evaluates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.evaluate(sleeping_dataset(0.01, 20), verbose=0, callbacks=[profiler])

    profiler = BottleneckProfiler(report=None)
    model = make_scripted_model(0.002)
    began_s = time.perf_counter()
    model.fit(free_dataset(30), epochs=2, verbose=0, callbacks=[Evaluates(), profiler])
    wall_s = time.perf_counter() - began_s
    spent = profiler.diagnosis.time_spent
    assert spent.validation_s == 0
    assert spent.callbacks_s >= 2 * 20 * 0.01
    assert spent.total_s <= wall_s
    model.fit(free_dataset(30), validation_data=free_dataset(5), verbose=0, callbacks=[Evaluates(), profiler])
    assert profiler.diagnosis.time_spent.validation_s > 0


def mistaken_model():
    """Not built before fit, and its loss does not fit the labels."""
    model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    return model


def test_a_mistake_of_the_user_is_told_as_without_the_profiler(caplog):
    """Tracing the step alone fails first; Keras' own error must not be another one for that."""
    data = {"x": np.zeros((64, 8), "float32"), "y": np.zeros((64, 1), "int64"), "batch_size": 4, "verbose": 0}

    def error_of(callbacks):
        with pytest.raises(Exception) as raised:
            mistaken_model().fit(**data, callbacks=callbacks)
        return type(raised.value), [line for line in str(raised.value).splitlines() if "shape" in line.lower()][-1:]

    kind, said = error_of([])
    assert said
    assert error_of([BottleneckProfiler(report=None)]) == (kind, said)
    assert "in user code" not in caplog.text


def test_a_fault_in_the_users_code_is_named_by_its_last_line():
    """TensorFlow's first line only says that it comes from there."""
    fault = ValueError("in user code:\n\n    File x.py, line 3\n        y = z\n\n    ValueError: shapes differ\n")
    assert say(fault) == "ValueError: shapes differ"
    assert say(KeyError("a\nb")) == "KeyError: 'a\\nb'"
    assert say(RuntimeError()) == "RuntimeError: "
