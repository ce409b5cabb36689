"""The doctor's report as Markdown and as GitHub's annotations, and what is taken out of a text for others."""

from __future__ import annotations

import dataclasses
import getpass
import os
import platform

import pytest
from report.doctor_reports import REPORTS, make_report

from kerasdiag.findings import CheckResult, Evidence, Finding, Location, Provenance, Remedy, Severity, Status
from kerasdiag.report import doctor_github, doctor_markdown
from kerasdiag.report.doctor_text import render
from kerasdiag.report.redaction import LEFT_OUT, own_names, redact, replace_names

LINE = Finding(
    "KD701",
    Severity.ERROR,
    "fit of Keras 3 takes no workers: a *TypeError*, 100 % sure.",
    (Evidence("keras 3.15.1 is installed\nhere", Provenance.DECLARED),),
    Remedy("Set them on the generator:", ("train.workers = 4", "text = '```'")),
    location=Location("src/train, v2.py", 12, 5),
)
IN_CELL = dataclasses.replace(LINE, location=Location("train.ipynb", 2, 1, cell=4))
SCRIPT = make_report(CheckResult("KD701", "worker-arguments-in-fit", Status.ERROR, "", (LINE, IN_CELL)))


@pytest.mark.parametrize("name", REPORTS)
def test_markdown(name, golden):
    """What stands in an issue."""
    golden(f"doctor_{name}.md", doctor_markdown.render(REPORTS[name]))


@pytest.mark.parametrize("name", REPORTS)
def test_github(name, golden):
    """One command for each finding and each crash."""
    golden(f"doctor_{name}.github.txt", doctor_github.render(REPORTS[name]))


def test_markdown_shows_signs_as_they_are():
    """No message becomes markup, no code leaves its fence."""
    lines = doctor_markdown.render(SCRIPT).splitlines()
    assert "**error KD701 worker-arguments-in-fit** at `src/train, v2.py:12:5`: fit of Keras 3 takes no workers: a \\*TypeError\\*, 100 % sure." in lines  # fmt: skip
    assert "- declared: keras 3.15.1 is installed here" in lines
    start = lines.index("  ````")
    assert lines[start : start + 4] == ["  ````", "  train.workers = 4", "  text = '```'", "  ````"]


def test_github_places():
    """A line of a script is annotated there; a notebook has cells, whose lines are none of the file."""
    lines = doctor_github.render(SCRIPT).splitlines()
    said = "fit of Keras 3 takes no workers: a *TypeError*, 100 %25 sure.%0ASet them on the generator:%0Atrain.workers = 4%0Atext = '```'"
    assert lines[1] == f"::error file=src/train%2C v2.py,line=12,col=5,title=KD701 worker-arguments-in-fit::{said}"
    assert lines[2] == f"::error file=train.ipynb,title=KD701 worker-arguments-in-fit::train.ipynb:cell 4:2:1: {said}"


def test_the_terminal_shows_places():
    """So that an editor can jump there."""
    assert "\nsrc/train, v2.py:12:5\nerror KD701 worker-arguments-in-fit\n" in render(SCRIPT, width=100)


def test_own_names(monkeypatch):
    """Home, host and user; nothing so short or common that it would be found everywhere."""
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    monkeypatch.setattr(platform, "node", lambda: "ws")
    assert own_names() == {"/home/ada": "~"}


NAMES = {
    "/data/faces": "<data>",
    "/data": "<mount>",
    "/home/ada": "~",
    "ada": "<user>",
    "workstation": "<host>",
    "nas:/sets": "<source>",
}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("/data/faces/bob/1.jpg is broken, so is /data/faces/2.jpg.", "<data> is broken, so is <data>"),
        ("/home/ada/venv/lib/keras", "~/venv/lib/keras"),
        ("/data/faces: 200 files", "<data>: 200 files"),
        ("adamant surfaces of ada on workstation-2", "adamant surfaces of <user> on <host>-2"),
        ("/data is nfs4, mounted from nas:/sets", "<mount> is nfs4, mounted from <source>"),
        ("at most 1.6 images/s", "at most 1.6 images/s"),
        ("https://keras.io/api", "https://keras.io/api"),
        ("train.py:12:5", "train.py:12:5"),
    ],
)
def test_redact(text, redacted):
    """Whole words and paths; addresses of the web and lines of scripts stay."""
    assert replace_names(text, NAMES) == redacted


def test_redact_a_report():
    """Every text of it, and nothing else: statuses and numbers stay what they are."""
    finding = Finding(
        "KD301", Severity.WARN, "ada", (Evidence("on ada", Provenance.MEASURED),), Remedy("do", ("cp ada",)), {"ada": 1}
    )
    report = redact(make_report(CheckResult("KD301", "disk", Status.WARN, "", (finding,))), NAMES)
    assert report.findings[0].severity is Severity.WARN
    assert report.results[0].status is Status.WARN
    assert (report.findings[0].message, report.findings[0].evidence[0].text) == ("<user>", "on <user>")
    assert report.findings[0].remedy.code == ("cp <user>",)
    assert report.findings[0].numbers == {"ada": 1}


def test_the_names_of_this_machine():
    """Whoever runs the tests is not named either."""
    home = os.path.expanduser("~")
    assert replace_names(f"{home}/x", own_names()) == "~/x"


def test_private_evidence_is_left_out():
    """Once for each finding and kind of evidence, with a word that it was there; the head is the one for others."""
    private = [Evidence(f"scan_{number}.jpg", Provenance.MEASURED, is_private=True) for number in range(3)]
    said = Evidence("3 of 9 files", Provenance.MEASURED)
    finding = Finding("KD313", Severity.ERROR, "3 of 9 cannot be loaded.", (said, *private))
    report = make_report(CheckResult("KD313", "unfit-image-files", Status.ERROR, "", (finding,)))
    report = dataclasses.replace(report, public_facts={"data": "9 files"}, private={"/ward/7": "<data>"})
    redacted = redact(report, {})
    assert redacted.findings[0].evidence == (said, Evidence(LEFT_OUT, Provenance.MEASURED))
    assert (redacted.facts, redacted.private) == ({"data": "9 files"}, {})
    assert "scan_" in render(report)
