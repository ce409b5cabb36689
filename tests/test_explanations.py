"""Every finding that a run can have is explained, and found by the names that people type."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kerasdiag.diagnosis
from kerasdiag.cli import main
from kerasdiag.diagnosis.explanations import EXPLANATIONS
from kerasdiag.diagnosis.verdict import Verdict
from kerasdiag.doctor.checks import CHECKS

_MAKERS = ("Finding", "_Fault")


def codes_in_source():
    """The first argument of each finding that the diagnosis makes, where it is written down."""
    for file in Path(kerasdiag.diagnosis.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MAKERS:
                code = next((each.value for each in node.keywords if each.arg == "code"), None)
                code = node.args[0] if node.args else code
                if isinstance(code, ast.Constant):
                    yield code.value


def test_every_finding_is_explained():
    """Read from the source, so that a new finding is not forgotten."""
    codes = set(codes_in_source())
    assert {"throttled", "slowest-stage", "gpu-shared", "rescaled-twice", "one-class", "remark"} <= codes
    assert codes - EXPLANATIONS.keys() == set()


def test_names_are_clear():
    """A finding has no name of a verdict."""
    assert not EXPLANATIONS.keys() & {str(verdict) for verdict in Verdict}


@pytest.mark.parametrize("code", [*EXPLANATIONS, *map(str, Verdict)])
def test_a_page_for_each(code, capsys):
    """What it means and what to do; each part a sentence."""
    assert main(["explain", code]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{code}\n")
    for title in ("What it means", "What to do"):
        assert out.partition(f"\n{title}\n  ")[2].partition("\n\n")[0].rstrip().endswith((".", ").", ")"))


@pytest.mark.parametrize("name", ["input_bound", "INPUT_BOUND", "Input-Bound", " input bound "])
def test_names_as_people_type_them(name, capsys):
    """Underscores, spaces, capitals."""
    assert main(["explain", name]) == 0
    assert capsys.readouterr().out.startswith("input-bound\n")


def test_a_name_of_two_things(capsys):
    """A finding of a run and a check of the doctor about the same fault are both told."""
    assert main(["explain", "rescaled_twice"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("rescaled-twice\n  A finding of a run.")
    assert "\n\nKD715 rescaled-twice\n" in out


@pytest.mark.parametrize(
    ("name", "near"), [("input-bond", "input-bound"), ("hidden_waits", "hidden-wait"), ("kd17", "KD7"), ("unfit_worker", "unfit-workers")]
)  # fmt: skip
def test_what_is_near_comes_first(name, near, capsys):
    """Then all names, by what they name."""
    assert main(["explain", name]) == 2
    error = capsys.readouterr().err
    assert near in error.partition("\n")[0].partition("Did you mean ")[2]
    verdicts, findings, checks = (
        error.index(each) for each in ("\n  Verdicts: input-bound, ", "\n  Findings of a run: ", "\n  Checks: KD1")
    )
    assert verdicts < findings < checks
    assert all(check.code in error for check in CHECKS)


def test_nothing_is_near(capsys):
    """No guess is better than a wild one."""
    assert main(["explain", "xyzzy"]) == 2
    assert "There is nothing by the name xyzzy. There are:\n  Verdicts: " in capsys.readouterr().err
