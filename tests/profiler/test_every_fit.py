"""What ``kerasdiag run`` decides about fits, on callbacks that only have the names of Keras' own."""

from __future__ import annotations

import subprocess
import sys
import time
import types
from pathlib import Path

import psutil
import pytest
from builders import make_profile

import kerasdiag
from kerasdiag import compat
from kerasdiag.diagnosis import diagnose
from kerasdiag.profiler import every_fit as every_fit_module
from kerasdiag.profiler.callback import BottleneckProfiler
from kerasdiag.profiler.every_fit import EveryFit, FitProfiler

ROOT = str(Path(kerasdiag.__file__).parents[1])


def keras_class(name, module="keras.src.callbacks.model_checkpoint", base=object):
    return type(name, (base,), {"__module__": module})


ModelCheckpoint = keras_class("ModelCheckpoint")
Backup = keras_class("BackupAndRestore", "tf_keras.src.callbacks")
Mine = keras_class("SavesBest", "train", ModelCheckpoint)
Namesake = keras_class("ModelCheckpoint", "train")
Logger = keras_class("CSVLogger", "keras.src.callbacks.csv_logger")


def container(*callbacks):
    return types.SimpleNamespace(callbacks=list(callbacks))


# --- Which callbacks run ---------------------------------------------------------------------------


def test_checkpoints_are_left_out_until_the_verdict(capsys):
    """Keras' own and what is made from them, however deep in lists; named once, the script's list untouched."""
    every_fit, logger, namesake = EveryFit(until_verdict=True), Logger(), Namesake()
    given = [ModelCheckpoint(), (logger, [Backup(), Mine(), Mine()]), namesake]
    before = list(given)
    assert every_fit.choose(given) == [logger, namesake]
    assert given == before
    assert every_fit.choose(ModelCheckpoint()) == []
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.count("Left out until the verdict: ModelCheckpoint, BackupAndRestore, SavesBest.") == 1
    assert heard.err.count("Left out") == 1


class Unheard:
    """A stderr that has lost its reader."""

    encoding, errors = "utf-8", "strict"

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    flush = isatty = lambda self: self.write("")


@pytest.mark.parametrize("stream", [Unheard(), None])
def test_checkpoints_are_left_out_where_nobody_hears_it(monkeypatch, stream):
    """A print that fails must not give the checkpoint back: it would be replaced by a model of a few steps."""
    every_fit, logger = EveryFit(until_verdict=True), Logger()
    monkeypatch.setattr(sys, "stderr", stream)
    assert every_fit.choose([ModelCheckpoint(), logger]) == [logger]
    every_fit.conclude()


@pytest.mark.parametrize("until_verdict", [True, False])
def test_other_callbacks_are_passed_on_as_they_came(until_verdict, capsys):
    """The very object: None, a list, something that Keras will refuse; and every checkpoint in a plain run."""
    every_fit = EveryFit(until_verdict=until_verdict)
    given = [None, [], [Logger(), Namesake()], Logger(), {"a": 1}, 3]
    if not until_verdict:
        given += [ModelCheckpoint(), [Backup(), Mine()]]
    for callbacks in given:
        assert every_fit.choose(callbacks) is callbacks
    assert capsys.readouterr().err == ""


def test_checkpoints_in_a_container_of_the_scripts_own_are_left_out_once_it_fits(monkeypatch):
    """Made outside of the fit it may serve anything; what is passed to a fit is judged there."""
    logger, model = Logger(), object()
    joined = container(logger, [ModelCheckpoint()])
    every_fit = EveryFit(until_verdict=True)
    every_fit.complete(joined, model, {})
    profiler = joined.callbacks[-1]
    monkeypatch.setattr(profiler, "_publisher", None)
    monkeypatch.setattr(BottleneckProfiler, "on_train_begin", lambda *_: None)
    profiler.on_train_begin()
    assert len(joined.callbacks) == 3
    joined.on_train_batch_end = None

    def fit(self, callbacks):
        profiler.on_train_begin()

    fit(model, joined)
    assert joined.callbacks == [logger, profiler]


def test_profiler_is_added_last_and_knows_the_fit():
    """Keras has told the others already."""
    logger, model = Logger(), object()
    joined = container(logger)
    EveryFit().complete(joined, model, {"epochs": 3})
    assert joined.callbacks[0] is logger
    profiler = joined.callbacks[1]
    assert isinstance(profiler, BottleneckProfiler)
    assert (profiler.model, profiler.params) == (model, {"epochs": 3})
    assert len(joined.callbacks) == 2


# --- Which fits count ------------------------------------------------------------------------------


def test_fit_with_its_own_profiler_is_counted_and_left_alone(tmp_path):
    """A second panel would say the same; a file that was asked for is written all the same."""
    assert EveryFit().begin_fit(has_own=True) is None
    publisher = EveryFit(output=str(tmp_path / "run.kdprof.json")).begin_fit(has_own=True)
    assert publisher.paths == [tmp_path / "run.kdprof.json"]
    assert not publisher.on_terminal
    assert not EveryFit(until_verdict=True).begin_fit(has_own=True).on_terminal
    assert EveryFit().begin_fit(has_own=False).on_terminal


def test_hooks_outside_of_a_fit_count_for_nothing(capsys):
    """A loop of the script's own drives the container: it is not judged, and it is said that no fit ran."""
    every_fit, joined = EveryFit(), container()
    every_fit.complete(joined, object(), {})
    profiler = joined.callbacks[0]
    profiler.on_train_begin()
    profiler.on_epoch_begin(0)
    profiler.on_epoch_end(0)
    profiler.on_train_end()
    every_fit.conclude()
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.strip().startswith("[kerasdiag] No fit ran in this process")
    assert len(heard.err.strip().splitlines()) == 1


def test_only_rank_0_speaks(monkeypatch, capsys):
    """Eight processes, one line."""
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    every_fit = EveryFit(until_verdict=True)
    every_fit.choose([ModelCheckpoint()])
    every_fit.conclude()
    assert capsys.readouterr().err == ""


def test_only_what_was_written_is_said_to_be(tmp_path, capsys):
    """A file of the day before, in a place that can no longer be written, is none of this run."""
    diagnosis = diagnose(make_profile(0.05, 0.05, 40))
    every_fit = EveryFit(output=str(tmp_path / "run.kdprof.json"))
    every_fit.begin_fit(has_own=True).write_files(diagnosis)
    (tmp_path / "run-2.kdprof.json").mkdir()
    with pytest.warns(UserWarning, match="it is a folder"):
        every_fit.begin_fit(has_own=True).write_files(diagnosis)
    (tmp_path / "run-3.kdprof.json").write_text("of the day before")
    every_fit.begin_fit(has_own=True)
    every_fit.conclude()
    assert capsys.readouterr().err.strip() == f"[kerasdiag] wrote {tmp_path / 'run.kdprof.json'}"


@pytest.mark.keras
def test_minute_that_is_over_ends_a_slow_training(monkeypatch, capsys):
    """Seven steps in more than 60 s: no verdict, said so, with the price of what was seen."""
    from scripted import free_dataset, make_scripted_model

    class Clock:
        now = 0.0

        def __call__(self):
            self.now += 10.5
            return self.now

    def stop(code=0):
        raise SystemExit(code)

    monkeypatch.setattr(every_fit_module, "end_process", stop)
    profiler = FitProfiler(EveryFit(until_verdict=True, clock=Clock()), has_own=False)
    with pytest.raises(SystemExit) as caught:
        make_scripted_model(0.001).fit(free_dataset(50), epochs=2, verbose=0, callbacks=[profiler])
    assert not caught.value.code
    heard = capsys.readouterr()
    assert heard.out == ""
    assert "Not enough data: 2 steps" in heard.err
    assert "per epoch of 50 steps" in heard.err
    assert "Ended by --until-verdict after 7 steps: the first step was 60 s ago" in heard.err


# --- Tracebacks ------------------------------------------------------------------------------------


def test_keras_filter_of_tracebacks_passes_over_us(monkeypatch):
    """Once, beside what it passes over already; a Keras without such a list is left alone."""
    with_list = types.ModuleType("tf_keras.src.utils.traceback_utils")
    with_list._EXCLUDED_PATHS = ("tensorflow/python",)
    without = types.ModuleType("keras.src.utils.traceback_utils")
    for module in (with_list, without):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for _ in range(2):
        compat.hide_from_tracebacks("/kerasdiag/profiler")
    assert with_list._EXCLUDED_PATHS == ("tensorflow/python", "/kerasdiag/profiler")
    assert not hasattr(without, "_EXCLUDED_PATHS")


# --- The end ---------------------------------------------------------------------------------------

ENDS = """
import atexit, multiprocessing, sys, time
from kerasdiag.profiler.end_process import end_process

if __name__ == "__main__":
    atexit.register(print, "atexit")
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    child.start()
    sys.stdout.write(f"{child.pid} no newline")
    {closed}
    try:
        end_process()
    finally:
        print("finally")
"""


@pytest.mark.parametrize("closed", ["pass", "sys.stderr.close()"])
def test_end_is_an_end(tmp_path, closed):
    """Output is flushed, loader processes end, nothing else of the script runs; a closed stream changes nothing."""
    path = tmp_path / "ends.py"
    path.write_text(ENDS.replace("{closed}", closed))
    result = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=True, env={"PYTHONPATH": ROOT}
    )
    child, _, rest = result.stdout.partition(" ")
    assert rest == "no newline"
    for _ in range(100):
        if has_ended(int(child)):
            return
        time.sleep(0.1)
    pytest.fail("the child still runs")


def has_ended(number):
    """Whether a process is gone, or only waits to be reaped."""
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
