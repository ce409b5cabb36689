"""Files that were named on the command line: each is read, or refused with the option that takes it."""

from __future__ import annotations

import json

import pytest
from builders import make_environment

from kerasdiag.cli import main
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.lint.rules import RULES
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment.scripts import find_scripts
from kerasdiag.errors import DoctorUsageError

BROKEN = {"bad.py": "def f(:\n  pass\n", "old.py": "print 'hello'\n", "cut.ipynb": '{"a":', "odd.ipynb": "[]"}
SOUND = "from tensorflow import keras\nkeras.Sequential().fit(x, y)\n"


def answers(*names):
    """What each rule says of these files."""
    environment = make_environment(scripts=find_scripts([str(name) for name in names]))
    return {rule.code: rule.examine(environment) for rule in RULES}


@pytest.mark.parametrize("name", BROKEN)
def test_a_named_file_is_read_whatever_it_is_about(tmp_path, name):
    """It does not name Keras; whoever named it expects an answer all the same, and never ok."""
    (tmp_path / name).write_text(BROKEN[name])
    said = answers(tmp_path / name)
    (finding,) = said.pop("KD700").findings
    assert (str(finding.severity), finding.location.file) == ("warn", str(tmp_path / name))
    del said["KD706"]  # which is about another Keras
    assert {str(answer.status) for answer in said.values()} == {"unknown"}
    for answer in said.values():
        assert answer.statement.startswith(f"{tmp_path / name}:1 ")
        assert "does not parse" in answer.statement or "is no notebook" in answer.statement


def test_other_files_of_a_folder(tmp_path):
    """They are counted, and not taken for read."""
    for name, text in BROKEN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "train.py").write_text(SOUND)
    said = answers(tmp_path)
    assert said["KD700"].statement == "1 read; 4 more name neither Keras nor TensorFlow"
    assert str(said["KD704"].status) == "ok"


def test_a_file_that_is_named_beside_its_folder(tmp_path):
    """It is one that was named."""
    (tmp_path / "old.py").write_text(BROKEN["old.py"])
    assert len(answers(tmp_path, tmp_path / "old.py")["KD700"].findings) == 1
    assert len(answers(tmp_path / "old.py", tmp_path)["KD700"].findings) == 1


def test_a_cell_that_was_not_read(tmp_path):
    """The other cells are examined; that all is well, nobody can say."""
    cells = [{"cell_type": "code", "source": source} for source in (SOUND, "a = 1\nprint 1")]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": cells}))
    answer = answers(tmp_path / "train.ipynb")["KD704"]
    assert str(answer.status) == "unknown"
    assert answer.statement.startswith(f"{tmp_path / 'train.ipynb'}:cell 2:2 does not parse")


def test_many_files_that_were_not_read(tmp_path):
    """Some of them are told; KD700 tells all."""
    names = [tmp_path / f"{number}.py" for number in range(9)]
    for name in names:
        name.write_text(BROKEN["old.py"])
    said = answers(*names)
    assert len(said["KD700"].findings) == 9
    assert said["KD704"].statement.endswith("; and 6 more")
    assert said["KD704"].statement.count("does not parse") == 3


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("train.csv", "; did you mean `--data {}/train.csv --directory DIR`?"),
        ("Train.CSV", "; did you mean `--data {}/Train.CSV --directory DIR`?"),
        ("train.tsv", "A table must be a CSV file there: `--data {}/train.csv --directory DIR`."),
        ("train.parquet", "A table must be a CSV file there: `--data {}/train.csv --directory DIR`."),
        ("img_0001.jpg", "; did you mean `--data {}`?"),
        ("part-0.tfrecord", "; did you mean `--data {}`?"),
        ("run.kdprof.json", "; did you mean `--profile {}/run.kdprof.json`?"),
        ("requirements-gpu.txt", "; did you mean `-r {}/requirements-gpu.txt`?"),
        ("gpu.Dockerfile", "; did you mean `-r {}/gpu.Dockerfile`?"),
        ("README.md", ". Name .py files, notebooks, or folders of them."),
        ("train", ". Name .py files, notebooks, or folders of them."),
    ],
)
def test_what_is_no_script(tmp_path, name, hint):
    """Wrong usage, with what was probably meant."""
    (tmp_path / name).write_text("a,b\n")
    with pytest.raises(DoctorUsageError) as raised:
        find_scripts([str(tmp_path / name)])
    assert str(raised.value).startswith(f"{tmp_path / name} is no Python script or notebook")
    assert str(raised.value).endswith(hint.format(tmp_path))


@pytest.mark.parametrize("first", ["#!/usr/bin/env python3", "#! /opt/conda/bin/python", "#!/usr/bin/env -S uv run -s"])
def test_a_script_without_a_suffix(tmp_path, first):
    """Its first line says what it is."""
    (tmp_path / "train").write_text(f"{first}\n{SOUND}")
    (script,) = find_scripts([str(tmp_path / "train")]).scripts
    assert (script.problems, len(script.text.tree.body)) == ((), 2)


def test_a_shell_script_is_none(tmp_path):
    """Python in a later line makes none of it."""
    (tmp_path / "train").write_text("#!/bin/sh\npython train.py\n")
    with pytest.raises(DoctorUsageError, match="no Python script"):
        find_scripts([str(tmp_path / "train")])


def test_suffixes_in_capitals(tmp_path):
    """As Windows writes them."""
    (tmp_path / "TRAIN.PY").write_text(SOUND)
    (tmp_path / "A.IPYNB").write_text('{"cells": []}')
    assert [
        each.problems for each in find_scripts([str(tmp_path / "TRAIN.PY"), str(tmp_path / "A.IPYNB")]).scripts
    ] == [
        (),
        (),
    ]


def test_a_folder_of_images_was_meant_as_data(tmp_path, monkeypatch, capsys):
    """Of other folders nobody knows what was meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my photos/cats").mkdir(parents=True)
    (tmp_path / "my photos/cats/1.jpg").touch()
    (tmp_path / "logs").mkdir()
    assert main(["doctor", "my photos", "--select", "KD700"]) == 2
    assert (
        capsys.readouterr().err.rstrip().endswith("holds no .py and no .ipynb file; did you mean `--data 'my photos'`?")
    )
    assert main(["doctor", "logs", "--select", "KD700"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_forgotten_data_on_the_command_line(tmp_path, monkeypatch, capsys):
    """Exit code 2, whatever was selected."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("filename,class\n")
    assert main(["doctor", "train.csv", "--select", "KD101"]) == 2
    heard = capsys.readouterr()
    assert (heard.out, "did you mean `--data train.csv --directory DIR`?" in heard.err) == ("", True)


def test_what_kd700_says_of_folders():
    """Its documentation tells which files are read."""
    assert "one that is named itself always is" in " ".join(
        find_check(CHECKS, "KD700").section("What it finds").split()
    )
