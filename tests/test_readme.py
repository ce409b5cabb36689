"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trainings import Batches, make_model

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.keras
def test_python_blocks_run(tmp_path, monkeypatch):
    """Every Python block, in order, in one session with a model and data at hand."""
    monkeypatch.chdir(tmp_path)
    names = {"model": make_model(), "train_data": Batches(examples=400), "val_data": Batches()}
    found = blocks("python")
    assert len(found) >= 2
    for block in found:
        exec(compile(block, str(README), "exec"), names)
    assert (tmp_path / "run.kdprof.json").exists()


def test_files_and_tests_it_names_exist():
    """A path in the README is a path in the repository."""
    named = set(re.findall(r"\b(?:tests|examples|kerasdiag)/[\w/]+\.py", README.read_text(encoding="utf-8")))
    assert len(named) >= 4
    assert not [path for path in named if not (README.parent / path).exists()]


def test_verdict_table_is_complete():
    """Every verdict that can be given today has a row."""
    text = README.read_text(encoding="utf-8")
    for verdict in ("input-bound", "partly-input-bound", "compute-bound", "not-enough-data", "unknown"):
        assert f"| `{verdict}` |" in text
