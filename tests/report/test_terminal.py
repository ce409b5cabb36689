"""The panel as text: golden files, every terminal it must survive."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from builders import make_gpu, make_input, make_profile

from kerasdiag.diagnosis import diagnose
from kerasdiag.errors import ReportError
from kerasdiag.profile import RunProfile
from kerasdiag.report import FORMATS, renderer_for
from kerasdiag.report.terminal import render, render_for
from kerasdiag.step_times import CallbackTime

LONG_NAME = "A" * 200
PROFILES = {
    "input_bound": make_profile(0.08, 0.05, 120, noise=0.1, epochs=2, gpus=(make_gpu([0, 5, 40], duration_s=20),)),
    "partly": make_profile(0.01, 0.09, 120, noise=0.1),
    "compute_bound": make_profile(0.0005, 0.2, 120, training_input=make_input("tf-data"), gpus=(make_gpu(96.0),)),
    "not_enough": make_profile(0.1, 0.1, 12, planned_steps_per_epoch=30, has_steps_per_epoch=True, training_input=make_input(n=384, num_batches=12)),
    "unknown": make_profile(count=0, method=None, not_measured={"data_wait": "the model overrides make_train_function, so its training step is not Keras' own", "gpu": "no driver"}),
    "interrupted": make_profile(0.3, 0.05, 40, state="interrupted", remarks=("the length of this input is unknown to Keras",)),
    "unfitted": RunProfile(),
    "huge": make_profile(2000.0, 0.001, 40, training_input=make_input(class_name=LONG_NAME, n=10**12), cores=512),
    "odd_names": make_profile(0.1, 0.1, 40, training_input=make_input("other", class_name="Загрузчик[bold]")),
    "callback_bound": make_profile(0.001, 0.05, 120, noise=0.1, callbacks_s=0.04, callbacks=(CallbackTime("ModelCheckpoint", 4.8, 0.1, keeps_model=True), CallbackTime("ProgbarLogger", 0.2))),
    "launch_bound": make_profile(0.00001, 0.0005, 400, noise=0.1, launch_s=0.00012),
    "mixed": make_profile(0.05, 0.05, 120, noise=0.1, callbacks_s=0.04, callbacks=(CallbackTime("Plot", 4.8, 0.1),)),
    "two_gpus": make_profile(0.0, 0.1, 100, gpus=(make_gpu(100.0), make_gpu(50.0, index=1, name="Tesla V100"))),
}  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", PROFILES)
def test_panel(name, width, golden):
    """What a person sees, at two widths."""
    golden(f"panel_{name}_{width}.txt", render(diagnose(PROFILES[name]), width=width))


def test_the_callback_of_the_time_line_is_one_whose_time_it_is():
    """What keeps the model is in the checkpoints; one that only ran beside the training is named by nobody."""
    callbacks = (CallbackTime("ModelCheckpoint", 4.8, keeps_model=True), CallbackTime("Plot", 1.0))
    profile = make_profile(0.001, 0.05, 120, callbacks_s=0.05, callbacks=callbacks)
    assert "callbacks (most: Plot)" in render(diagnose(profile), width=120)
    assert "(most:" not in render(diagnose(dataclasses.replace(profile, callbacks=callbacks[:1])), width=120)


@pytest.mark.parametrize(("callbacks_s", "shown"), [(0.0, False), (0.004, False), (0.006, True), (0.08, True)])
def test_the_bar_adds_up(callbacks_s, shown):
    """Data wait, step and callbacks are the period; callbacks of less than 5 % are not set apart."""
    text = render(diagnose(make_profile(0.01, 0.09 - callbacks_s, 120, callbacks_s=callbacks_s)), width=120)
    bar = next(line for line in text.splitlines() if "wait █" in line)
    *parts, period = map(
        float, re.findall(r"([\d.]+) ms", next(line for line in text.splitlines() if "data wait +" in line))
    )
    assert sum(parts) == pytest.approx(period) == 100.0
    assert len(parts) == (3 if shown else 2)
    assert ("step, callbacks" in bar) is ("▒" in bar) is shown
    if shown:
        assert parts == pytest.approx([10.0, 90.0 - 1e3 * callbacks_s, 1e3 * callbacks_s])
        assert bar.count("▒") == round(48 * callbacks_s / 0.1)


@pytest.mark.parametrize(("several", "shown"), [(None, False), (4, True)])
def test_how_many_steps_keras_starts_at_once(several, shown):
    """Where it is more than one, what was measured says so."""
    text = render(diagnose(make_profile(steps_per_execution=several)), width=120)
    assert ("one-step-function, 4 steps per execution, keras" in text) is shown


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("name", PROFILES)
def test_no_line_is_wider_than_the_terminal(name, width):
    """Whatever the profile holds, the frame stays whole."""
    for ascii_only in (False, True):
        lines = render(diagnose(PROFILES[name]), width=width, ascii_only=ascii_only).splitlines()
        assert {len(line) for line in lines} == {width}


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("name", PROFILES)
def test_every_format_renders_every_profile(name, extension):
    """A format that breaks on a thin profile would lose the report of a short run."""
    diagnosis = diagnose(PROFILES[name])
    text = FORMATS[extension](diagnosis)
    assert str(diagnosis.verdict) in text
    assert "\x1b" not in text


class Stream(io.StringIO):
    """A text stream with a character set and a terminal of its own choice."""

    def __init__(self, encoding="utf-8", terminal=True):
        super().__init__()
        self._encoding = encoding
        self._terminal = terminal

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return self._terminal


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "latin-1"])
@pytest.mark.parametrize("name", PROFILES)
def test_old_character_sets(name, encoding):
    """A Windows console with code page 1252 gets the same panel in characters that it has."""
    text = render_for(Stream(encoding), diagnose(PROFILES[name]))
    assert text.encode(encoding)


def test_colours_only_where_they_are_wanted(monkeypatch):
    """On a terminal; not in a file, not with NO_COLOR, not on a dumb terminal."""
    diagnosis = diagnose(PROFILES["input_bound"])
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in render_for(Stream(), diagnosis)
    assert "\x1b[" not in render_for(Stream(terminal=False), diagnosis)
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in render_for(Stream(), diagnosis)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in render_for(Stream(), diagnosis)


def test_stream_that_is_no_file():
    """A notebook replaces sys.stdout by an object with neither file number nor encoding."""

    class Notebook:
        encoding = None

    assert "kerasdiag: input-bound" in render_for(Notebook(), diagnose(PROFILES["input_bound"]))


def test_in_a_notebook_kernel(monkeypatch):
    """rich would display the panel itself there and return nothing, so a report file would be empty."""
    from rich import console

    expected = render(diagnose(PROFILES["input_bound"]))
    monkeypatch.setattr(console, "_is_jupyter", lambda: True)
    assert render(diagnose(PROFILES["input_bound"])) == expected


def test_unknown_extension_lists_the_known_ones():
    """A format that does not exist (yet) is refused before the training, with those that do."""
    with pytest.raises(ReportError, match=r"\.json, \.txt.*Received: 'run\.xml'"):
        renderer_for("run.xml")
    with pytest.raises(ReportError, match="HTML is not built yet"):
        renderer_for("run.html")
