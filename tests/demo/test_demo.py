"""The demo runs from the command line, tiny, on every supported version."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import write_photos
from cli.running import default_signals

import kerasdiag
from kerasdiag import RunProfile
from kerasdiag.diagnosis import diagnose

# Too small for its promises: what is tested is that it measures, repairs and says what it saw. Large enough
# that making a batch always takes several times what the smallest step does.
TINY = ["--size", "96", "--batch-size", "8", "--images", "24"]


def run_demo(*arguments, cwd, environment=(), check=False, first_on_path=None):
    folders = [str(folder) for folder in (first_on_path, Path(kerasdiag.__file__).parents[1]) if folder is not None]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "PYTHONIOENCODING": "utf-8",
                   "TMPDIR": str(cwd), **dict(environment)}  # fmt: skip
    if os.environ.get("KERASDIAG_TEST_ENVIRONMENT") == "tfkeras":
        environment["TF_USE_LEGACY_KERAS"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "kerasdiag", "demo", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=500, cwd=cwd, env=environment, check=check,
    )  # fmt: skip


@pytest.mark.keras
@pytest.mark.thorough
def test_the_story_is_told_to_the_end(tmp_path):
    """Panels, table, saved profiles that agree with it; the exit code says what the figures say; nothing is left."""
    cache = tmp_path / "cache"
    result = run_demo(*TINY, "--save", "figures", cwd=tmp_path, environment={"KERASDIAG_CACHE_DIR": str(cache)})
    assert "Traceback" not in result.stderr, result.stderr
    figures = json.loads((tmp_path / "figures" / "demo.json").read_text())
    assert result.returncode == (1 if figures["failures"] else 0), result.stderr
    for failure in figures["failures"]:
        assert f"kerasdiag: {failure}" in result.stderr
    names = [run["name"] for run in figures["runs"]]
    assert names[0].startswith("generator, workers=1")
    assert names[-1] == "autofix"
    assert f"Converting {figures['converted']} images took" in result.stdout
    assert figures["converted"] == 24
    for file, run in (("before", figures["runs"][0]), ("best", figures["runs"][1]), ("after", figures["runs"][-1])):
        diagnosis = diagnose(RunProfile.load(tmp_path / "figures" / f"{file}.kdprof.json"))
        assert diagnosis.mean_step_s == run["step_s"]
        workers = re.search(r"workers=(\d+)", run["name"])
        assert diagnosis.profile.training_input.workers == (int(workers[1]) if workers else None)
        assert f"{run['batch_size'] / run['step_s']:,.0f}" in result.stdout
    assert not [path for path in tmp_path.rglob("*") if "kerasdiag-demo" in str(path)]
    assert not cache.exists()
    assert (
        diagnose(RunProfile.load(tmp_path / "figures" / "after.kdprof.json")).profile.training_input.kind == "tf-data"
    )


def test_the_user_s_images_are_only_read(tmp_path):
    """--data trains on them; the folder is as it was."""
    for name in ("cat", "dog"):
        write_photos(tmp_path / "mine" / name, 8, size=(40, 60), seed=len(name))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").rglob("*")}
    result = run_demo("--data", tmp_path / "mine", *TINY, cwd=tmp_path)
    assert f"16 images of {tmp_path / 'mine'}" in result.stdout
    assert "Traceback" not in result.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "mine").rglob("*")} == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that can be handled")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_nothing_behind_when_it_is_ended(tmp_path, number):
    """kill and Ctrl-C: the images go."""
    environment = {**os.environ, "PYTHONPATH": str(Path(kerasdiag.__file__).parents[1]), "TMPDIR": str(tmp_path)}
    with default_signals(), subprocess.Popen(
        [sys.executable, "-m", "kerasdiag", "demo", "--images", "4000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("kerasdiag-demo-*/photos/*/*.jpg")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(tmp_path.glob("kerasdiag-demo-*"))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert b"Traceback" not in errors
    assert not list(tmp_path.glob("kerasdiag-demo-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "file/figures"], "cannot be written"),
        (["--data", "absent"], "no such folder or file"),
        (["--data", "rows.csv", "--x-col", "path"], "has the columns a, b, and no path"),
        (["--images", "0"], "argument --images: expected a whole number of at least 1. Received: '0'"),
        (["--images", "many"], "argument --images: expected a whole number of at least 1. Received: 'many'"),
        (["--batch-size", "1e3"], "argument --batch-size: expected a whole number of at least 1. Received: '1e3'"),
        (["--batch-size", "100000", "--images", "10"], "--batch-size 100000 is more than there are images (10)"),
        (["--batch-size", "100000", "--data", "rows.csv"], "--batch-size 100000 is more than there are images (1)"),
        (
            ["--size", "1000000"],
            "10 batches of 32 images of 1000000x1000000 are held at once. They take 3840.0 TB",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(tmp_path, arguments, message):
    """Exit code 2, no traceback, before anything is trained, and before TensorFlow starts."""
    (tmp_path / "file").write_text("")
    (tmp_path / "rows.csv").write_text("a,b\n1.jpg,2\n")
    (tmp_path / "tensorflow.py").write_text("print('TensorFlow starts')")
    result = run_demo(*arguments, cwd=tmp_path, first_on_path=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "TensorFlow starts" not in result.stdout


def test_missing_packages_are_named_with_the_command_that_brings_them(tmp_path):
    """A kerasdiag without TensorFlow says what to install."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('No module named tensorflow')")
    root = str(Path(kerasdiag.__file__).parents[1])
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {root!r}]; from kerasdiag.cli import main; sys.exit(main(['demo']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert 'pip install "kerasdiag[tensorflow]"' in result.stderr
