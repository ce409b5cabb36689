"""The examples run as they are shown, on images that the tests make."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import write_photos
from keras_api import IS_KERAS_2, KERAS_VERSION
from packaging.version import Version

import kerasdiag
from kerasdiag import RunProfile
from kerasdiag.diagnosis import diagnose
from kerasdiag.report.terminal import render

pytestmark = pytest.mark.keras

KERAS_3_EMPTIES_EPOCHS = Version("3.0") <= KERAS_VERSION < Version("3.7")
EXAMPLES = Path(__file__).parents[1] / "examples"
TINY = ["--size", "48", "--batch-size", "4", "--rows", "120"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty photos in two classes, in folders with a space and an accent."""
    folder = tmp_path_factory.mktemp("my photos é")
    for name in ("cat", "dog"):
        write_photos(folder / name, 20, size=(120, 160), seed=len(name))
    return folder


def run_example(*arguments, cwd, check=True, script="profile_a_run.py", under=()):
    environment = {**os.environ, "PYTHONPATH": str(Path(kerasdiag.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    if os.environ.get("KERASDIAG_TEST_ENVIRONMENT") == "tfkeras":
        environment["TF_USE_LEGACY_KERAS"] = "1"
    return subprocess.run(
        [sys.executable, *under, str(EXAMPLES / script), *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=600, cwd=cwd, env=environment, check=check,
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


def write_relative_rows(file, photos):
    """A CSV file whose paths begin at the folder of the photos."""
    rows = [f'"{path.relative_to(photos).as_posix()}",{path.parent.name}' for path in sorted(photos.rglob("*.jpg"))]
    file.write_text("\n".join(["path,label", *rows, "absent.jpg,"]), encoding="utf-8")
    return file


def read_rows(*arguments, **options):
    spec = importlib.util.spec_from_file_location("profile_a_run", EXAMPLES / "profile_a_run.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example.read_rows(*arguments, **options)


def test_paths_of_a_csv_are_relative_to_a_folder(photos, tmp_path):
    """To that of the file, or to --directory, as in the doctor and the demo; whole paths stay."""
    beside, elsewhere = (write_relative_rows(folder / "rows.csv", photos) for folder in (photos, tmp_path))
    try:
        found = read_rows(beside, "path", "label", rows=1)["path"].tolist()
        assert found == [str(path) for path in sorted(photos.rglob("*.jpg"))]
        assert read_rows(elsewhere, "path", "label", rows=1, directory=photos)["path"].tolist() == found
    finally:
        beside.unlink()


@pytest.mark.thorough
@pytest.mark.parametrize("script", ["profile_a_run.py", "fix_a_generator.py"])
def test_a_csv_of_relative_paths(script, photos, tmp_path):
    """Both take --directory; without it the sentence names it, and not Keras' FileNotFoundError."""
    rows = write_relative_rows(tmp_path / "rows.csv", photos)
    tiny = ["--tiny", "--epochs", "1", "--rows", "80", "--without"] if script == "fix_a_generator.py" else TINY
    result = run_example(rows, "--directory", photos, *tiny, cwd=tmp_path, script=script)
    assert "loss" in result.stdout
    result = run_example(rows, *tiny, cwd=tmp_path, check=False, script=script)
    assert result.returncode == 1
    assert f"none of its 40 files exists, for example {tmp_path / 'cat'}" in result.stderr
    assert "--directory names the folder" in result.stderr
    assert "Traceback" not in result.stderr


def fix_a_generator(photos, *arguments, cwd, under=()):
    """Tiny; and one epoch where Keras itself trains every second epoch on nothing under steps_per_epoch."""
    epochs = 1 if KERAS_3_EMPTIES_EPOCHS else 2
    tiny = ["--tiny", "--rows", "80", "--epochs", epochs]
    return run_example(photos, *tiny, *arguments, cwd=cwd, script="fix_a_generator.py", under=under), epochs


@pytest.mark.thorough
def test_fix_a_generator_before(photos, tmp_path):
    """The article's script as it was, under `kerasdiag run`: fit_generator on Keras 2, fit on Keras 3, 16 workers."""
    run = ["-m", "kerasdiag", "run", "-o", "before.kdprof.json"]
    result, epochs = fix_a_generator(photos, "--without", cwd=tmp_path, under=run)
    assert epochs == 1 or f"Epoch {epochs}/{epochs}" in result.stdout
    assert "val_loss" in result.stdout
    assert "kerasdiag" not in result.stdout  # the script itself has nothing of it
    profile = RunProfile.load(tmp_path / "before.kdprof.json")
    assert (profile.training_input.class_name, profile.training_input.workers) == ("DataFrameIterator", 16)
    assert profile.steps.num_steps == 18 * epochs
    assert ("fit_generator" in result.stderr) is IS_KERAS_2  # Keras 2 says that it is deprecated


def test_fix_a_generator_after(photos, tmp_path):
    """The same with the lines added: both generators are repaired, and every epoch has all of its steps."""
    result, epochs = fix_a_generator(photos, cwd=tmp_path)
    assert epochs == 1 or f"Epoch {epochs}/{epochs}" in result.stdout
    assert result.stdout.count("val_loss") >= epochs
    assert result.stderr.count("rows compared with the generator: images, labels and weights equal in every bit") == 2
    assert "18 batches an epoch (steps_per_epoch)" in result.stderr
    assert "18/18" in result.stdout
    assert "kerasdiag: " in result.stdout  # the panel


@pytest.mark.thorough
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


def test_the_pictures_of_the_readme_show_the_saved_run():
    """What stands in the pictures is what the panel and the table say about the profiles beside them."""
    spec = importlib.util.spec_from_file_location("make_images", EXAMPLES / "make_images.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    made = example.pictures(example.FOLDER)
    assert set(made) == {"verdict.svg", "before_after.svg"}
    for name, svg in made.items():
        shown = (example.FOLDER / name).read_text(encoding="utf-8")
        assert text_of(shown) == text_of(svg), f"{name} is outdated: run python examples/make_images.py"
        assert "http" not in shown.replace("http://www.w3.org/2000/svg", "")  # nothing is loaded from anywhere


def text_of(svg):
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", "", svg, flags=re.DOTALL)).split()
