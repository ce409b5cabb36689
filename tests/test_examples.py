"""The examples run as they are shown, on images that the tests make."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import write_photos
from keras_api import IS_KERAS_2

import kerasdiag
from kerasdiag import RunProfile
from kerasdiag.diagnosis import diagnose
from kerasdiag.report.terminal import render

pytestmark = pytest.mark.keras

EXAMPLES = Path(__file__).parents[1] / "examples"
TINY = ["--size", "48", "--batch-size", "4", "--rows", "120"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty photos in two classes, in folders with a space and an accent."""
    folder = tmp_path_factory.mktemp("my photos é")
    for name in ("cat", "dog"):
        write_photos(folder / name, 20, size=(120, 160), seed=len(name))
    return folder


def run_example(*arguments, cwd, check=True):
    environment = {**os.environ, "PYTHONPATH": str(Path(kerasdiag.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    if os.environ.get("KERASDIAG_TEST_ENVIRONMENT") == "tfkeras":
        environment["TF_USE_LEGACY_KERAS"] = "1"
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "profile_a_run.py"), *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=300, cwd=cwd, env=environment, check=check,
    )  # fmt: skip


def test_profile_a_run_on_a_folder(photos, tmp_path):
    """The verdict comes while it trains, the panel at the end, and the saved file shows the same panel."""
    result = run_example(photos, *TINY, cwd=tmp_path)
    assert "[kerasdiag]" in result.stderr
    profile = RunProfile.load(tmp_path / "run.kdprof.json")
    assert render(diagnose(profile)) in result.stdout
    assert profile.training_input.class_name == "DataFrameIterator"
    assert (profile.training_input.n, profile.validation_input.n) == (108, 12)
    assert profile.training_input.target_size == (48, 48)
    assert profile.steps.num_steps == profile.planned_steps_per_epoch == 27
    assert profile.validation_s > 0
    assert ("tf_keras" in profile.software or profile.software["keras"].startswith("2.")) is IS_KERAS_2
    assert "kerasdiag report run.kdprof.json" in result.stdout


def test_profile_a_run_on_a_csv(photos, tmp_path):
    """Columns are named by the user."""
    rows = [f'"{path}",{path.parent.name}' for path in sorted(photos.rglob("*.jpg"))]
    (tmp_path / "rows.csv").write_text("\n".join(["image,kind", *rows]), encoding="utf-8")
    run_example(tmp_path / "rows.csv", "--x-col", "image", "--y-col", "kind", *TINY, cwd=tmp_path)
    assert RunProfile.load(tmp_path / "run.kdprof.json").steps.num_steps == 27


def test_wrong_input_is_one_sentence(photos, tmp_path):
    """A missing folder, an empty one, a CSV with other columns."""
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    for data, message in (
        ("absent", "no such folder"),
        ("empty", "holds no image"),
        ("rows.csv", "has the columns a, b"),
    ):
        result = run_example(tmp_path / data, cwd=tmp_path, check=False)
        assert result.returncode == 1
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_flat_folder_gets_labels(photos):
    """A folder without classes is good enough to measure speed."""
    spec = importlib.util.spec_from_file_location("profile_a_run", EXAMPLES / "profile_a_run.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    frame = example.read_rows(photos / "cat", "path", "label", rows=50)
    assert len(frame) == 60
    assert frame["label"].nunique() == 10
