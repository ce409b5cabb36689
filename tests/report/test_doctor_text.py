"""The doctor's report as text: golden files, every terminal it must survive."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from report.doctor_reports import DISK, REPORTS, make_report

from kerasdiag.findings import CheckResult, DoctorReport, Evidence, Finding, Provenance, Remedy, Severity, Status
from kerasdiag.report import doctor_github, doctor_json, doctor_markdown
from kerasdiag.report.console import stream_width
from kerasdiag.report.doctor_text import render, render_for


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", REPORTS)
def test_report(name, width, golden):
    """What a person sees, at two widths."""
    golden(f"doctor_{name}_{width}.txt", render(REPORTS[name], width=width))


def test_verbose(golden):
    """What every check saw, and how long it took."""
    golden("doctor_findings_verbose_80.txt", render(REPORTS["findings"], verbose=True))


@pytest.mark.parametrize("width", [20, 40, 60, 80])
@pytest.mark.parametrize("name", REPORTS)
def test_no_line_is_wider_than_the_terminal(name, width):
    """Nothing is cut off or runs over; no spaces hang at the end of a line."""
    for line in render(REPORTS[name], width=width).splitlines():
        assert len(line) <= max(40, width)
        assert line == line.rstrip()


class Stream(io.StringIO):
    """A text stream with a character set and a terminal of its own choice."""

    def __init__(self, encoding="utf-8", terminal=True):
        super().__init__()
        self._encoding = encoding
        self._terminal = terminal

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return self._terminal


def test_colours_only_where_they_are_wanted(monkeypatch):
    """On a terminal; not in a file, not with NO_COLOR."""
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in render_for(Stream(), REPORTS["findings"])
    assert "\x1b[" not in render_for(Stream(terminal=False), REPORTS["findings"])
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in render_for(Stream(), REPORTS["findings"])


def test_commands_are_not_broken():
    """They are there to be copied, however narrow the terminal."""
    line = f"rsync -a /data/{'a' * 60} /path/on/an/ssd/"
    finding = dataclasses.replace(DISK, remedy=Remedy("Copy them:", (line,), safe=True))
    report = make_report(CheckResult("KD301", "data-on-hard-disk", Status.WARN, "", (finding,)))
    assert f"\n      {line}\n" in render(report, width=40)


def test_what_a_terminal_would_obey(capsys):
    """A name of a file may colour, title or clear a terminal: it is shown as it is written."""
    name = "a\x1b[31mred\x1b]0;owned\x07\x9b2J\r.jpg"
    finding = Finding(
        "KD313", Severity.ERROR, f"{name} is broken.", (Evidence(name, Provenance.MEASURED),), Remedy("Do:", (name,))
    )
    report = make_report(CheckResult("KD313", "unfit-image-files", Status.ERROR, "", (finding,)))
    report = dataclasses.replace(report, facts={"data": name}, public_facts={"data": name})
    for text in (render(report), doctor_markdown.render(report), doctor_github.render(report)):
        assert not set("\x1b\x07\x9b\r") & set(text)
    assert "a\\x1b[31mred\\x1b]0;owned\\x07\\x9b2J\\x0d.jpg is broken." in " ".join(render(report, width=100).split())


def test_names_that_are_no_text_in_json():
    """Half of a character is refused by most readers."""
    report = dataclasses.replace(REPORTS["healthy"], facts={"data": "caf\udce9: 3 files"})
    text = doctor_json.render(report)
    assert json.loads(text)["facts"]["data"] == "caf\\udce9: 3 files"
    json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("500", 100), ("0", 80), ("wide", 80), ("", 80)])
def test_columns_that_the_user_names(monkeypatch, columns, width):
    """COLUMNS counts where nothing is a terminal, too."""
    monkeypatch.setenv("COLUMNS", columns)
    assert stream_width(Stream(terminal=False)) == width


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_a_console_cannot_show(encoding):
    """Names of files may hold anything; rich markup in them is text."""
    report = DoctorReport("0.1.0", "", (), {"data": "снимки[bold]: 3 files"})
    assert "??????[bold]: 3 files" in render_for(Stream(encoding), report)


@pytest.mark.parametrize("name", REPORTS)
def test_json_says_the_same(name):
    """Every message of the text stands in the JSON, in the same order."""
    report = REPORTS[name]
    read = json.loads(doctor_json.render(report))
    assert [finding["message"] for finding in read["findings"]] == [finding.message for finding in report.findings]
    assert read["complete"] is (name != "incomplete")
    words = " ".join(render(report).split())
    places = [words.index(finding["message"]) for finding in read["findings"]]
    assert places == sorted(places)
