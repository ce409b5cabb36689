"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trainings import Batches, make_model

from kerasdiag.demo.saved import load
from kerasdiag.diagnosis.advice import markdown_table as verdict_table
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.documentation import markdown_table

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    """Code of this language; a block that is marked by a comment has a test of its own."""
    return re.findall(rf"(?<!-->\n)```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.keras
def test_python_blocks_run(tmp_path, monkeypatch):
    """Every Python block, in order, in one session with models and data at hand."""
    from repair.generators import ARTICLE, make_generator, write_images
    from repair.test_fit import make_model as make_image_model

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(tmp_path / "cache"))
    frame = write_images(tmp_path / "images")
    generators = {
        f"{name}_generator": make_generator(
            frame, tmp_path / "images", options={**ARTICLE, "validation_split": 0.25}, subset=subset
        )
        for name, subset in (("train", "training"), ("val", "validation"))
    }
    arrays = {"model": make_model(), "train_data": Batches(examples=400), "val_data": Batches()}
    images = {"model": make_image_model(), **generators}
    names = {}
    found = blocks("python")
    assert len(found) >= 4
    for block in found:
        names.update(images if "_generator" in block else arrays)
        exec(compile(block, str(README), "exec"), names)
    assert (tmp_path / "run.kdprof.json").exists()
    assert names["report"].outcome == "repaired"


def test_files_and_tests_it_names_exist():
    """A path in the README is a path in the repository."""
    named = set(re.findall(r"\b(?:tests|examples|kerasdiag)/[\w/]+\.py", README.read_text(encoding="utf-8")))
    assert len(named) >= 4
    assert not [path for path in named if not (README.parent / path).exists()]


def test_the_table_of_verdicts_is_that_of_the_diagnosis():
    """Generated from the advice that `explain` and the panel give."""
    _, _, rest = README.read_text(encoding="utf-8").partition(
        "advice.markdown_table(), compared by tests/test_readme.py -->\n"
    )
    assert rest.startswith(verdict_table() + "\n")


def test_the_table_of_checks_is_that_of_the_doctor():
    """Generated from the checks themselves; paste what is expected here where it differs."""
    _, _, rest = README.read_text(encoding="utf-8").partition(
        "kerasdiag.doctor.documentation, compared by tests/test_readme.py -->\n"
    )
    assert rest.startswith(markdown_table(CHECKS) + "\n")


def test_the_first_paragraph_tells_what_the_pictures_show():
    """The figures are those of the run beside the pictures."""
    text = README.read_text(encoding="utf-8").partition("## See it")[0]
    assert not re.search("@[A-Z]+@", text)
    outcome = load(README.parent / "examples" / "images")
    assert f"{outcome.before.wait_fraction:.0%}".replace("%", " %") in text
    for step_s in (outcome.before.step_s, outcome.best.step_s, outcome.after.step_s):
        assert f"{step_s * 1e3:.0f} ms" in text
    assert outcome.failures == ()
    assert outcome.after.step_s > outcome.cached_step_s * 0.95  # no step is faster than the model alone


def test_the_commands_that_set_up_are_one_line_each():
    """A fresh machine with Python needs one line for the demo and one for the tests."""
    text = README.read_text(encoding="utf-8")
    for name, last in (("demo", "kerasdiag demo"), ("tests", "pytest")):
        block = re.search(rf"<!-- {name} -->\n```bash\n(.*?)```", text, flags=re.DOTALL)[1]
        assert block.count("\n") == 1
        assert block.strip().endswith(last)
        assert "-m venv" in block
