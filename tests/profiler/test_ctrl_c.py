"""A real Ctrl-C in a real script, at random moments of a training."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from cli.running import default_signals

import kerasdiag
from kerasdiag import RunProfile

pytestmark = pytest.mark.keras

TESTS = Path(__file__).parents[1]
SCRIPT = textwrap.dedent("""
    import signal
    import traceback

    from kerasdiag import BottleneckProfiler
    from scripted import free_dataset, make_scripted_model, sleeping_dataset

    presses = []  # what each has raised

    def press(number, frame):
        presses.append(KeyboardInterrupt())
        raise presses[-1]

    def functions_left_by(error):
        return [entry.name for entry in traceback.extract_tb(error.__traceback__)]

    signal.signal(signal.SIGINT, press)
    model = make_scripted_model(0.004)
    model.fit(free_dataset(2), verbose=0)
    original = vars(model)["train_function"]
    profiler = BottleneckProfiler(report=["terminal", "run.kdprof.json"])
    try:
        model.fit(sleeping_dataset(0.008, 6000), verbose=0, callbacks=[profiler])
    except KeyboardInterrupt:
        lost = [names for names in map(functions_left_by, presses[:-1]) if "pythonify_logs" not in names]
        presses.clear()
        print("interrupted:", vars(model)["train_function"] is original, profiler.profile.state, lost, flush=True)
        raise
""")


def press_until_heard(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C as a user does: again if the training goes on.

    Keras 3 drops whatever is raised while it turns a step's logs into floats (the bare ``except`` of its
    ``pythonify_logs``), with and without a profiler: one press in some 400 of this script. A press that is
    lost elsewhere is in what the script prints.
    """
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=10)
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=30)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("delay_s", [0.0, 0.0037, 0.0171])
def test_ctrl_c_loses_nothing(tmp_path, delay_s):
    """The verdict, the panel and the files are there; train_function is Keras' own; the script ends as scripts do."""
    path = os.pathsep.join([str(Path(kerasdiag.__file__).parents[1]), str(TESTS)])
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    with default_signals():
        process = subprocess.Popen(
            [sys.executable, str(script)], cwd=tmp_path, text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "PYTHONFAULTHANDLER": "1"},
        )  # fmt: skip
    try:
        for line in process.stderr:
            if line.startswith("[kerasdiag]"):
                break
        time.sleep(delay_s)
        output, errors = press_until_heard(process)
    finally:
        process.kill()
    assert "interrupted: True interrupted []" in output, output + errors
    assert "KeyboardInterrupt" in errors
    assert "(the training was interrupted)" in " ".join(output.replace("│", " ").split())
    profile = RunProfile.load(tmp_path / "run.kdprof.json")
    assert profile.state == "interrupted"
    assert profile.steps.num_steps >= 25
    assert list((tmp_path / "kerasdiag-cache" / "profiles").glob("*.kdprof.json"))
