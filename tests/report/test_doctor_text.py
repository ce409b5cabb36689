"""The doctor's report as text: golden files, every terminal it must survive."""

from __future__ import annotations

import io
import json

import pytest
from report.doctor_reports import REPORTS

from kerasdiag.findings import (
    DoctorReport,
)
from kerasdiag.report import doctor_json
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
