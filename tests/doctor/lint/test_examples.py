"""Each rule through the command line: its example, its place, the corrected lines."""

from __future__ import annotations

import json
import platform
import re

import pytest
from doctor.lint.scripts import EXAMPLES
from doctor.planted import PlantedMachine

from kerasdiag.cli import main
from kerasdiag.doctor import runner
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.lint.rules import RULES
from kerasdiag.doctor.selection import find_check


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of its own on a planted machine with 8 cores; returns the report and the code."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.chdir(tmp_path)

    def run(source, *arguments, keras="3.15.1", tensorflow="2.21.0", name="train.py"):
        machine = PlantedMachine(tmp_path / "machine").packages(tensorflow=tensorflow, keras=keras)
        monkeypatch.setattr(runner, "Sources", machine.sources)
        (tmp_path / name).write_text(source, encoding="utf-8")
        code = main(["doctor", name, "--format", "json", *arguments])
        return json.loads(capsys.readouterr().out), code

    return run


def test_every_rule_has_an_example():
    """A new rule is not forgotten here."""
    assert {rule.code for rule in RULES} == set(EXAMPLES)


@pytest.mark.parametrize("code", EXAMPLES)
def test_example(code, doctor):
    """The message is that of the documentation; place, severity and corrected lines are exact."""
    case = EXAMPLES[code]
    report, _ = doctor(case.source, "--select", code, keras=case.keras, tensorflow=case.tensorflow)
    (finding,) = report["findings"]
    example = " ".join(find_check(CHECKS, code).section("Example").split())
    message = finding["message"]
    if code == "KD700":  # Python words it, each version its own way
        message, example = (re.sub(r"3\.\d+", "3", text.partition(": ")[0]) for text in (message, example))
    assert message == example
    assert finding["severity"] == case.severity
    assert finding["location"]["line"] == case.place[0]
    if code != "KD700":  # and each has its own idea of the column
        assert finding["location"]["column"] == case.place[1]
    assert finding["location"]["file"] == "train.py"
    assert tuple(finding["remedy"]["code"]) == case.code
    assert finding["remedy"]["text"].endswith(":" if case.code else ".")
    assert finding["evidence"]
    assert finding["numbers"]["line"] == case.place[0]
    assert finding["price"] is None or finding["price"]["basis"]


@pytest.mark.parametrize("code", [code for code in EXAMPLES if code != "KD700"])
@pytest.mark.parametrize("comment", ["# kerasdiag: ignore[{}]", "# kerasdiag: ignore", "# kerasdiag:ignore[KD999, {}]"])
def test_a_comment_silences_it(code, comment, doctor):
    """On the line of the finding; the statement says that something was ignored."""
    case = EXAMPLES[code]
    lines = case.source.splitlines()
    lines[case.place[0] - 1] += "  " + comment.format(code)
    report, _ = doctor("\n".join(lines), "--select", code, keras=case.keras, tensorflow=case.tensorflow)
    assert report["findings"] == []
    assert "1 finding ignored by a comment" in report["checks"][0]["statement"]


@pytest.mark.parametrize("code", ["KD701", "KD705", "KD711"])
def test_a_comment_for_another_code_does_not(code, doctor):
    """Only what is named is ignored."""
    lines = EXAMPLES[code].source.splitlines()
    lines[EXAMPLES[code].place[0] - 1] += "  # kerasdiag: ignore[KD999]"
    report, _ = doctor("\n".join(lines), "--select", code)
    assert len(report["findings"]) == 1


@pytest.mark.parametrize(
    "line",
    [
        "model.fit(train, workers=4)  # kerasdiag: ignore KD705 only",
        "model.fit(train, workers=4)  # kerasdiag: ignored files",
        "model.fit(train, workers=4, name='# kerasdiag: ignore')",
    ],
)
def test_what_looks_like_a_comment_that_silences(line, doctor):
    """Words after it, and texts, are no order to say nothing."""
    report, _ = doctor(EXAMPLES["KD701"].source.replace("model.fit(train, workers=4)", line), "--select", "KD701")
    assert len(report["findings"]) == 1


def test_a_comment_besides_another_one(doctor):
    """Linters share a line."""
    source = EXAMPLES["KD701"].source.rstrip() + "  # kerasdiag: ignore  # noqa\n"
    report, _ = doctor(source, "--select", "KD701")
    assert report["findings"] == []


def test_a_comment_on_any_line_of_the_statement(doctor):
    """Formatters break calls over lines; the comment may stand at the closing bracket."""
    source = EXAMPLES["KD701"].source.replace(
        "fit(train, workers=4)", "fit(\n    train,\n    workers=4,\n)  # kerasdiag: ignore[KD701]"
    )
    report, _ = doctor(source, "--select", "KD701")
    assert report["findings"] == []


@pytest.mark.parametrize("code", [code for code in EXAMPLES if code != "KD700"])
def test_the_same_in_a_notebook(code, doctor):
    """Below a cell of magics; the line is that of the cell."""
    case = EXAMPLES[code]
    cells = [
        {"cell_type": "markdown", "source": "# Training"},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!pip install tensorflow\n", "files = !ls"]},
        {"cell_type": "code", "source": case.source.splitlines(keepends=True)},
    ]
    report, _ = doctor(
        json.dumps({"cells": cells}), "--select", code, keras=case.keras, tensorflow=case.tensorflow, name="train.ipynb"
    )
    (finding,) = report["findings"]
    place = finding["location"]
    assert (place["cell"], place["line"], place["column"]) == (2, *case.place)


def test_exit_code_and_text(doctor, capsys, tmp_path):
    """An error of a script fails like any other; the text shows the place, unbroken in a narrow terminal too."""
    report, code = doctor(EXAMPLES["KD701"].source)
    assert code == 1
    assert report["facts"]["scripts"] == "train.py"
    folder = tmp_path / ("a_long_name_" * 8)
    folder.mkdir()
    (folder / "train.py").write_text(EXAMPLES["KD701"].source)
    assert main(["doctor", str(folder / "train.py"), "--select", "KD701"]) == 1
    assert f"{folder / 'train.py'}:7:7\n" in capsys.readouterr().out


def test_without_a_script_the_rules_are_skipped(doctor, capsys):
    """They say what is missing."""
    assert main(["doctor", "--format", "json", "--select", "KD705,KD716"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {check["statement"] for check in checks} == {"no script was named (kerasdiag doctor train.py)"}


@pytest.mark.parametrize("arguments", [["missing.py"], ["empty"]])
def test_wrong_scripts(arguments, tmp_path, monkeypatch, capsys):
    """A file that is not there, and a folder without scripts, are wrong usage."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["doctor", *arguments, "--select", "KD101"]) == 2
    assert arguments[0] in capsys.readouterr().err
