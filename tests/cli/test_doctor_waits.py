"""kerasdiag doctor where something hangs: how long it takes, what is given up, and that the rest is told."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import threading
import time

import pytest
from doctor.planted import PlantedMachine
from machines import ATA
from processes import is_running, number_in

from kerasdiag.cli import main
from kerasdiag.doctor import checks, collect, runner
from kerasdiag.doctor.check import check, ok
from kerasdiag.environment import data_files
from kerasdiag.environment.tensorflow_probe import ProbeFacts

DATA = ["--data", "/data/photos"]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a hard disk, whose report must come within 2 s, and within 4 s more where TensorFlow is asked."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(data_files, "LISTING_S", 60.0)
    monkeypatch.setattr(runner, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(runner, "PROBE_S", 4.0)
    monkeypatch.setattr(collect, "_QUIET_AFTER_S", 0.3)
    machine = PlantedMachine(tmp_path / "machine", "1 0 8:16 / / rw - ext4 /dev/sdb rw").newest()
    machine.disk("sdb", "8:16", 1, ATA.format(2)).photos(rows=1000, num_bytes=10**9)
    machine.latency_s = 0.0124
    monkeypatch.setattr(runner, "Sources", machine.sources)
    return machine


@pytest.fixture
def doctor(capsys):
    """Run the command; returns its report by code, the whole of it, its exit code and how long it took."""

    def run(*arguments):
        begin = time.monotonic()
        code = main(["doctor", "--format", "json", *arguments])
        took_s = time.monotonic() - begin
        report = json.loads(capsys.readouterr().out)
        return {one["code"]: one for one in report["checks"]}, report, code, took_s

    return run


@pytest.fixture
def hang():
    """A function that hangs until the test is over."""
    release = threading.Event()
    yield lambda *_: release.wait(60)
    release.set()


def test_cold_reads_need_no_probe(machine, doctor):
    """--no-probe is about TensorFlow: the files of the data are read all the same."""
    results, report, *_ = doctor(*DATA, "--no-probe")
    assert results["KD301"]["status"] == "warn"
    assert results["KD302"]["status"] == "ok"
    assert "--no-io" not in json.dumps(report)
    assert results["KD113"]["statement"] == "TensorFlow was not started (--no-probe)"


@pytest.mark.parametrize("options", [[], ["--no-probe"]])
def test_each_check_has_a_limit_of_its_own(machine, doctor, monkeypatch, hang, options):
    """A check that does not ask TensorFlow is given up in its own time, whether or not others may take longer."""
    hangs = check("KD901", "planted-hang")(lambda environment: ok(str(hang())))
    asks = check("KD902", "planted-question", needs=("gpus",), uses=("tensorflow",))(lambda environment: ok("fine"))
    monkeypatch.setattr(checks, "CHECKS", (hangs, asks))
    results, _, _, took_s = doctor(*options)
    assert results["KD901"]["statement"] == "did not come back within 2 s; it was still at its own work"
    assert results["KD902"]["status"] == "ok"
    assert took_s < 3.5


def test_without_a_probe_nobody_waits_for_one(machine, doctor, monkeypatch, hang):
    """What would ask TensorFlow has no more time than the rest where it is not started."""
    asks = check("KD902", "planted-question", uses=("tensorflow",))(lambda environment: ok(str(hang())))
    monkeypatch.setattr(checks, "CHECKS", (asks,))
    results, _, _, took_s = doctor("--no-probe")
    assert "within 2 s" in results["KD902"]["statement"]
    assert took_s < 3.5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_among_the_images(tmp_path, doctor):
    """Opening it waits for a writer; nothing else may wait for that."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "1.jpg").write_bytes(b"no image")
    results, *_ = doctor("--no-probe", "--select", "KD309,KD313,KD314", "--data", str(tmp_path))
    assert results["KD309"]["status"] in ("ok", "unknown")
    assert (results["KD313"]["status"], results["KD314"]["status"]) == ("error", "unknown")


def test_a_driver_that_hangs(machine, doctor, monkeypatch, hang):
    """It costs what it says about GPUs; all else is measured beside it, and the head says so."""
    sources = machine.sources()
    monkeypatch.setattr(runner, "Sources", lambda: dataclasses.replace(sources, ask_gpus=hang))
    results, report, *_ = doctor(*DATA)
    crashed = {code for code, one in results.items() if one["status"] == "crashed"}
    assert crashed == {code for code in results if code.startswith("KD2")} | {"KD404", "KD501"}
    assert results["KD301"]["status"] == "warn"
    assert results["KD113"]["status"] == "ok"
    assert "asking the NVIDIA driver" in report["facts"]["meanwhile"]


def test_a_disk_that_hangs_leaves_tensorflow_alone(machine, doctor, monkeypatch, hang):
    """What is asked after the reads is asked nevertheless, in time of its own; what reads files says why it did not."""
    sources = machine.sources()
    monkeypatch.setattr(runner, "Sources", lambda: dataclasses.replace(sources, measure_reads=hang))
    results, report, *_ = doctor(*DATA, "--select", "KD113,KD302,KD309")
    assert results["KD113"]["status"] == "ok"
    assert results["KD302"]["status"] == "crashed"
    assert results["KD309"]["statement"].endswith("the doctor was still at reading files of the data")
    assert report["complete"] is False


def test_an_answer_that_had_no_time_is_no_end(machine, doctor):
    """It is unknown for lack of time: the report is not complete, and --strict says so."""
    machine.probed = ProbeFacts(not_asked="no time was left for it; --timeout gives more", lacks_time=True)
    results, report, code, _ = doctor("--select", "KD113,KD401", "--strict")
    assert (results["KD113"]["status"], report["complete"], code) == ("unknown", False, 3)
    machine.probed = ProbeFacts(not_asked="no process could be started for it")
    _, report, code, _ = doctor("--select", "KD113,KD401", "--strict")
    assert (report["complete"], code) == (True, 0)


@pytest.mark.parametrize("wrong", [["--data", "/absent"], ["absent.py"], ["-r", "/absent.txt"]])
def test_wrong_usage_is_told_at_once(machine, capsys, monkeypatch, hang, wrong):
    """Nobody waits for TensorFlow to hear that a name was misspelt."""
    hangs = check("KD901", "planted-hang")(lambda environment: ok(str(hang())))
    monkeypatch.setattr(checks, "CHECKS", (hangs,))
    begin = time.monotonic()
    assert main(["doctor", *wrong]) == 2
    assert time.monotonic() - begin < 1.5
    assert "absent" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a shell script as an interpreter")
def test_another_python_that_does_not_answer(tmp_path):
    """It is named in the head in place of this one, and does not outlive the doctor."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/pid\nwait\n")
    python.chmod(0o755)
    command = [sys.executable, "-m", "kerasdiag", "doctor", "--timeout", "2", "--format", "json", "--fail-on", "never"]
    result = subprocess.run(
        [*command, "--python", str(tmp_path / "env")], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2  # nothing in it tells what it is
    assert "neither an interpreter that starts" in result.stderr
    assert not is_running(number_in(tmp_path / "pid"))


def test_packages_that_are_not_known_yet(machine, doctor, monkeypatch, hang):
    """The head does not show this interpreter in place of the one that was asked for."""
    monkeypatch.setattr(collect, "find_other_python", hang)
    _, report, *_ = doctor("--python", "/somewhere/else", "--select", "KD401,KD101")
    assert report["facts"]["looked at"] == "/somewhere/else, of which nothing is known yet"
    assert "python" not in report["facts"]
