"""The doctor's report as text: golden files, every terminal it must survive."""

from __future__ import annotations

import io
import json

import pytest

from kerasdiag.findings import (
    CheckResult,
    DoctorReport,
    Evidence,
    Finding,
    Price,
    PriceUnit,
    Provenance,
    Remedy,
    Severity,
    Status,
)
from kerasdiag.report import doctor_json
from kerasdiag.report.doctor_text import render, render_for

DISK = Finding(
    "KD301",
    Severity.WARN,
    "The data lie on the hard disk sdb: a file that is not in memory takes 12 ms.",
    (
        Evidence("/sys/block/sdb/queue/rotational is 1", Provenance.DECLARED),
        Evidence("64 cold reads of 100 kB, one at a time: 12 ms in the median, 19 ms in 9 of 10 cases", Provenance.MEASURED),
    ),
    Remedy("Copy the data to a local SSD or NVMe disk and train from there:", ("rsync -a /data/photos /ssd/",), safe=True),
    {"cold_read_p50_s": 0.0124},
    Price(1923.2, PriceUnit.SECONDS_PER_EPOCH, "12 ms for each cold read, one at a time, 155,096 images"),
)  # fmt: skip
WORKERS = Finding(
    "KD702",
    Severity.ERROR,
    "1 worker prepared the batches on 8 cores, and 61.5 % of the training time was waiting for them.",
    (Evidence("the input had workers=1", Provenance.DECLARED),),
    Remedy("fit of keras 3.15.1 takes no workers; the generator has the attribute:", ("train_generator.workers = 3",)),
    {"workers": 1},
    Price(61.5, PriceUnit.PERCENT, "at most, if 3 workers were 3 times as fast"),
)
CORES = Finding("KD401", Severity.INFO, "This process may use 2 of 64 cores (by its affinity).", price=Price.unknown("nobody measured it"))  # fmt: skip
FACTS = {"python": "3.12.1 on Linux x86_64", "packages": "tensorflow 2.21.0, keras 3.15.1", "cores": "2 of 64"}


def make_report(*results):
    return DoctorReport("0.1.0", "2026-11-23T10:00:00+00:00", results, FACTS)


FINE = CheckResult("KD101", "quadratic-file-list", Status.OK, "keras-preprocessing is not installed", (), 0.012)
REPORTS = {
    "healthy": make_report(FINE, CheckResult("KD401", "cores-out-of-reach", Status.OK, "all 8 cores can be used")),
    "findings": make_report(
        FINE,
        CheckResult("KD301", "data-on-hard-disk", Status.WARN, "", (DISK,), 0.9),
        CheckResult("KD302", "disk-contradicts-itself", Status.UNKNOWN, "no cold read to compare with: the kernel does not say whether a file is in memory"),
        CheckResult("KD401", "cores-out-of-reach", Status.INFO, "", (CORES,)),
        CheckResult("KD702", "unfit-workers", Status.ERROR, "", (WORKERS,)),
    ),
    "incomplete": make_report(
        CheckResult("KD301", "data-on-hard-disk", Status.CRASHED, "did not come back within 10 s; it was still at reading files of the data"),
        CheckResult("KD302", "disk-contradicts-itself", Status.CRASHED, "did not come back within 10 s; it was still at reading files of the data"),
        CheckResult("KD702", "unfit-workers", Status.SKIPPED, "no profile of a training was given (--profile FILE)"),
    ),
}  # fmt: skip


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
