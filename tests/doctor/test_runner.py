"""The frame: crashes and hanging disks are results, facts are collected once, findings are sorted."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading

import pytest
from builders import make_profile, make_reads
from doctor.planted import PlantedMachine

from kerasdiag.doctor import collect, runner
from kerasdiag.doctor.background import Background
from kerasdiag.doctor.check import check, found, ok, skipped, unknown
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.collect import Facts, Request, Sources
from kerasdiag.doctor.runner import examine
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment.data_files import DataRequest
from kerasdiag.environment.tensorflow_probe import PROBE_S, ProbeFacts
from kerasdiag.errors import DoctorUsageError
from kerasdiag.findings import CheckResult, DoctorReport, Finding, Price, PriceUnit, Remedy, Severity, Status
from kerasdiag.report import doctor_text


def make_check(examine, code="KD901", **options):
    return check(code, f"planted-{code.lower()}", **options)(examine)


def crash(environment):
    raise RuntimeError("no such register")


FINE = make_check(lambda environment: ok(f"{environment.cores} cores"), "KD902")


@pytest.fixture
def machine(tmp_path):
    """A machine with a folder of photos."""
    machine = PlantedMachine(tmp_path).newest()
    machine.photos(rows=10)
    return machine


def by_code(report):
    return {result.code: result for result in report.results}


def test_a_crashed_check_is_a_result(machine):
    """It is named with its error, and the others go on."""
    results = by_code(examine([make_check(crash), FINE], sources=machine.sources()))
    assert (results["KD901"].status, results["KD901"].statement) == (Status.CRASHED, "RuntimeError: no such register")
    assert (results["KD902"].status, results["KD902"].statement) == (Status.OK, "8 cores")


def test_a_check_that_exits_is_a_result(machine):
    """SystemExit in a thread would vanish without a word."""
    report = examine([make_check(lambda environment: sys.exit(5))], sources=machine.sources())
    assert not report.complete
    assert report.results[0].statement == "SystemExit: 5"


def test_a_check_that_does_not_come_back_is_a_result(machine):
    """After its deadline it is given up, with what it was doing; the others are not held up."""
    release = threading.Event()
    try:
        hangs = make_check(lambda environment: ok(str(release.wait(60))))
        results = by_code(examine([hangs, FINE], sources=machine.sources(), timeout_s=2.0))
    finally:
        release.set()
    assert results["KD901"].status is Status.CRASHED
    assert results["KD901"].statement == "did not come back within 2 s; it was still at its own work"
    assert results["KD902"].status is Status.OK


def test_a_disk_that_hangs_holds_up_only_what_needs_it(machine):
    """A read that never returns costs the checks of the disk, not those of the packages."""
    release = threading.Event()

    def hang(files):
        release.wait(60)
        return make_reads()

    sources = Sources(machine.root, (), {}, hang)
    try:
        report = examine(CHECKS, Request(DataRequest("/data/photos")), sources, timeout_s=3.0)
    finally:
        release.set()
    crashed = [result for result in report.results if result.status is Status.CRASHED]
    of_disk = [
        result
        for result in crashed
        if {"reads", "throughput"} & {*find_check(CHECKS, result.code).uses, *find_check(CHECKS, result.code).needs}
    ]
    of_disk = [result for result in of_disk if result.code.startswith("KD3")]
    assert [result.code for result in of_disk] == [
        *("KD301", "KD302", "KD303", "KD304", "KD305", "KD306", "KD308", "KD310", "KD313", "KD314")
    ]
    assert {result.statement for result in of_disk} == {
        "did not come back within 3 s; it was still at reading files of the data"
    }
    assert by_code(report)["KD401"].status is Status.OK
    assert by_code(report)["KD101"].status is Status.SKIPPED  # what it would like to know is given up in time
    assert report.facts["data"].startswith("/data/photos: 300 files")
    assert not report.complete


def test_a_hanging_disk_does_not_hold_the_process():
    """The process ends although a thread of it never will."""
    script = """
import time
from kerasdiag.doctor import collect
from kerasdiag.doctor.background import Background
task = Background(lambda: time.sleep(3600), "hangs")
print(task.wait(time.monotonic() + 0.1), task.is_done)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == "False False\n"


def test_facts_whose_collection_crashes(machine):
    """Every check that needs them says so; the others go on."""

    def fail(files):
        raise OSError("the disk is on fire")

    sources = Sources(machine.root, (), {}, fail)
    results = by_code(examine(CHECKS, Request(DataRequest("/data/photos")), sources))
    assert results["KD302"].status is Status.CRASHED
    assert results["KD302"].statement == "OSError: the disk is on fire"
    assert results["KD401"].status is Status.OK


def test_what_was_not_given_is_skipped_with_the_option_that_gives_it(machine):
    """No data, no reads: the reason names --data and --no-io."""
    results = by_code(examine(CHECKS, sources=machine.sources()))
    assert results["KD301"].status is Status.SKIPPED
    assert "--data" in results["KD301"].statement
    results = by_code(examine(CHECKS, Request(DataRequest("/data/photos"), reads_files=False), machine.sources()))
    assert (results["KD302"].status, "--no-io" in results["KD302"].statement) == (Status.SKIPPED, True)


def test_no_file_is_read_unless_a_check_needs_it(machine):
    """--select KD101 and --no-io leave the disk alone."""
    read = []
    sources = Sources(machine.root, (), {}, lambda files: read.append(files) or make_reads())
    request = Request(DataRequest("/data/photos"))
    examine([one for one in CHECKS if one.code == "KD101"], request, sources)
    examine(CHECKS, Request(DataRequest("/data/photos"), reads_files=False), sources)
    assert not read
    examine(CHECKS, request, sources)
    assert len(read) == 1  # once, for all checks


def test_facts_are_collected_once(machine):
    """Checks share what was found; nobody lists a million files five times."""
    facts = Facts(Request(DataRequest("/data/photos")), machine.sources(), {"data", "reads", "packages"})
    first, second = facts.environment(["data", "reads"]), facts.environment(["data", "packages"])
    assert first.data is second.data
    assert (first.packages, second.reads) == (None, None)  # nobody sees what it did not ask for


def test_wrong_data_are_the_user_s_error_whatever_is_selected(machine):
    """It is no crash of a check."""
    for checks in (CHECKS, [FINE]):
        with pytest.raises(DoctorUsageError, match="no such folder"):
            examine(checks, Request(DataRequest("/data/absent")), machine.sources())


def test_wrong_data_that_are_noticed_late(machine, monkeypatch):
    """A check that needs no data is done before the listing finds out that there are none."""
    is_examined = threading.Event()

    def fail(request, root):
        is_examined.wait(60)
        raise DoctorUsageError("no such folder")

    monkeypatch.setattr(collect, "find_data", fail)
    quick = make_check(lambda environment: is_examined.set() or ok("fine"))
    with pytest.raises(DoctorUsageError, match="no such folder"):
        examine([quick], Request(DataRequest("/data/photos")), machine.sources())


def test_facts_in_words(machine, tmp_path):
    """The head of a report says what was looked at."""
    profile = make_profile(0.01, 0.1)
    facts = examine(CHECKS, Request(DataRequest("/data/photos"), profile), machine.sources()).facts
    assert facts["packages"] == "tensorflow 2.21.0, keras 3.15.1"
    assert facts["cores"] == "8 of 8"
    assert facts["memory"] == "8.2 GB available"
    assert facts["data"] == "/data/photos: 300 files, about 30 MB"
    assert facts["profile"] == "of 2026-11-23T10:00:00+00:00 on workstation"
    assert examine([FINE], sources=Sources(tmp_path, (), {})).facts["packages"] == "neither TensorFlow nor Keras"


@pytest.mark.parametrize(("answer", "status"), [(ok("x"), "ok"), (skipped("x"), "skipped"), (unknown("x"), "unknown")])
def test_answers(answer, status):
    """Three ways to find nothing, each with its reason."""
    assert (str(answer.status), answer.statement, answer.findings) == (status, "x", ())


def make_finding(severity, price=None, code="KD1"):
    return Finding(code, severity, "Something.", price=price)


def seconds(value):
    return Price(value, PriceUnit.SECONDS_PER_EPOCH, "measured")


def test_the_worst_finding_is_the_status():
    """Of several findings."""
    assert found(make_finding(Severity.INFO), make_finding(Severity.ERROR)).status is Status.ERROR


@pytest.mark.parametrize(
    ("epoch_s", "order"),
    [
        (100.0, ["dear", "share", "cheap", "unpriced"]),  # 40 % of 100 s
        (1000.0, ["share", "dear", "cheap", "unpriced"]),
        (None, ["share", "dear", "cheap", "unpriced"]),
    ],
)
def test_order_of_findings(epoch_s, order):
    """Severity, then price in seconds, shares by the length of the epoch; without a price last."""
    findings = (
        make_finding(Severity.WARN, Price.unknown("who knows"), "unpriced"),
        make_finding(Severity.WARN, seconds(5.0), "cheap"),
        make_finding(Severity.INFO, seconds(9999.0), "note"),
        make_finding(Severity.WARN, Price(40.0, PriceUnit.PERCENT, "measured"), "share"),
        make_finding(Severity.WARN, seconds(50.0), "dear"),
        make_finding(Severity.ERROR, None, "error"),
    )
    result = CheckResult("KD1", "planted", Status.WARN, "", findings)
    report = DoctorReport("0.1.0", "", (result,), epoch_s=epoch_s)
    assert [finding.code for finding in report.findings] == ["error", *order, "note"]


def test_background_keeps_the_error():
    """Whoever asks for the result gets it; whoever does not is not disturbed."""

    def fail():
        raise KeyError("gone")

    task = Background(fail, "fails")
    assert task.wait()
    with pytest.raises(KeyError, match="gone"):
        task.result()
    assert Background(lambda: 7, "works").result() == 7


def test_tensorflow_has_time_of_its_own(machine):
    """What asks TensorFlow is given up later than the rest, and the probe before its check; --timeout holds for all."""
    given = []
    sources = dataclasses.replace(
        machine.sources(), probe=lambda libraries, timeout_s: given.append(timeout_s) or ProbeFacts(version="2.21.0")
    )
    asks = make_check(lambda environment: ok(environment.tensorflow.version), needs=("tensorflow", "packages"))
    assert examine([asks], sources=sources).results[0].statement == "2.21.0"
    examine([asks], sources=sources, timeout_s=5.0)
    assert PROBE_S <= given[0] < PROBE_S + runner.TIMEOUT_S
    assert 0 < given[1] <= 4.5


def test_a_probe_comes_after_all_that_is_timed(machine):
    """TensorFlow starts threads on every core."""
    order = []

    def note(name, value):
        order.append(name)
        return value

    sources = dataclasses.replace(
        machine.sources(),
        measure_reads=lambda files: note("reads", make_reads()),
        measure_throughput=lambda sample, work: note("throughput", machine.measure_throughput(sample, work)),
        probe=lambda libraries, timeout_s: note("probe", ProbeFacts(version="2.21.0")),
    )
    examine(CHECKS, Request(DataRequest("/data/photos")), sources)
    assert order == ["reads", "throughput", "probe"]


def test_notes_that_ask_for_nothing_come_last():
    """What somebody can mend is at the head, and the last line sends there."""
    idle = Finding("KD302", Severity.INFO, "vda says that it rotates.")
    note = Finding("KD704", Severity.INFO, "It reads through a generator.", remedy=Remedy("Measure."))
    grave = Finding("KD999", Severity.WARN, "Nobody knows a remedy.")
    results = tuple(CheckResult(one.code, "name", Status.INFO, findings=(one,)) for one in (idle, note, grave))
    report = DoctorReport("0.1.0", "2026-11-23T10:00:00+00:00", results)
    assert [finding.code for finding in report.findings] == ["KD999", "KD704", "KD302"]
    assert doctor_text.render(dataclasses.replace(report, results=results[:2])).endswith("explain KD704 tells more.\n")
    assert "tells more" not in doctor_text.render(dataclasses.replace(report, results=results[:1]))
