"""kerasdiag doctor and explain: what is printed, exit codes, errors in one sentence."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time

import pytest
from builders import make_profile
from doctor.planted import PlantedMachine
from machines import ATA

from kerasdiag.cli import main
from kerasdiag.doctor import checks, runner
from kerasdiag.doctor.check import check, ok
from kerasdiag.environment import data_files


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose data lie on a hard disk, seen by the command."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(data_files, "LISTING_S", 60.0)
    machine = PlantedMachine(tmp_path / "machine", "1 0 8:16 / / rw - ext4 /dev/sdb rw").newest()
    machine.disk("sdb", "8:16", 1, ATA.format(2)).photos(num_bytes=10**9)
    machine.latency_s = 0.0124
    monkeypatch.setattr(runner, "Sources", machine.sources)
    return machine


DATA = ["--data", "/data/photos"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (DATA, 0),  # a warning
        ([*DATA, "--fail-on", "warn"], 1),
        ([*DATA, "--fail-on", "never"], 0),
        ([*DATA, "--fail-on", "warn", "--ignore", "KD3"], 0),
        ([*DATA, "--fail-on", "warn", "--select", "KD301"], 1),
        ([*DATA, "--profile", "{profile}"], 1),  # an error
        ([*DATA, "--profile", "{profile}", "--fail-on", "never"], 0),
        ([*DATA, "--strict"], 0),
    ],
)
def test_exit_codes(machine, tmp_path, arguments, code, capsys):
    """1 from the severity on that --fail-on names; warnings alone do not fail."""
    profile = tmp_path / "run.kdprof.json"
    make_profile(0.4, 0.05).save(profile)
    assert main(["doctor", *(argument.format(profile=profile) for argument in arguments)]) == code
    assert "kerasdiag doctor:" in capsys.readouterr().out


def crash(environment):
    raise RuntimeError("no such register")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--strict"], 3),
        (["--strict", "--fail-on", "never"], 3),
        ([*DATA, "--strict", "--fail-on", "warn"], 1),
    ],
)
def test_a_crash_is_shown_and_fails_when_strict(machine, monkeypatch, capsys, arguments, code):
    """Incomplete is 3, unless there are findings: they are worse."""
    monkeypatch.setattr(checks, "CHECKS", (*checks.CHECKS, check("KD901", "planted-crash")(crash)))
    assert main(["doctor", *arguments]) == code
    out = capsys.readouterr().out
    assert "not every check came to an end" in out
    assert "crashed KD901: RuntimeError: no such register" in " ".join(out.split())


def test_a_check_that_hangs_is_given_up(machine, monkeypatch, capsys):
    """--timeout says when; JSON says that the report is not complete."""
    release = threading.Event()
    hangs = check("KD901", "planted-hang")(lambda environment: ok(str(release.wait(60))))
    monkeypatch.setattr(checks, "CHECKS", (hangs,))
    try:
        assert main(["doctor", "--timeout", "0.2", "--strict", "--format", "json"]) == 3
    finally:
        release.set()
    report = json.loads(capsys.readouterr().out)
    assert report["complete"] is False
    assert report["checks"][0]["status"] == "crashed"
    assert "within 0.2 s" in report["checks"][0]["statement"]


def test_json_schema(machine, capsys):
    """The fields that scripts rely on; raise SCHEMA_VERSION when one of them changes its meaning."""
    assert main(["doctor", *DATA, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema_version"] == 1
    assert set(report) == {
        "schema_version", "kerasdiag_version", "created_at", "complete", "facts", "epoch_s", "findings", "checks"
    }  # fmt: skip
    assert set(report["checks"][0]) == {"code", "name", "status", "statement", "findings", "duration_s"}
    assert {finding_key for finding in report["findings"] for finding_key in finding} == {
        "code", "severity", "message", "numbers", "evidence", "price", "remedy", "references", "location"
    }  # fmt: skip
    first = report["findings"][0]
    assert set(first["price"]) == {"value", "unit", "basis"}
    assert set(first["remedy"]) == {"text", "code", "safe"}
    assert {fact["provenance"] for fact in first["evidence"]} == {"declared", "measured"}
    assert [result["code"] for result in report["checks"]] == [one.code for one in checks.CHECKS if not one.is_opt_in]
    assert sum(result["findings"] for result in report["checks"]) == len(report["findings"])


BAD = {
    "no such data": (["--data", "/absent"], "no such folder or file"),
    "empty argument": (["--data", ""], "--data is empty"),
    "no such column": (["--data", "/data/photos/train.csv", "--x-col", "path"], "no column 'path'; its columns are: filename, class"),
    "other folder": (["--data", "/data/photos/train.csv", "--directory", "/srv"], "--directory names the folder"),
    "column without data": (["--x-col", "path"], "belong to --data"),
    "folder of a folder": (["--data", "/data/photos", "--directory", "/data"], "/data/photos is a folder"),
    "size without data": (["--target-size", "224x224"], "belong to --data DIR|CSV"),
    "augmentation without data": (["--augmentation", "none"], "belong to --data DIR|CSV"),
    "unknown code": (["--select", "KD999"], "There is no check KD999"),
    "unknown code to ignore": (["--ignore", "KD101,nonsense"], "There is no check nonsense"),
    "nothing left": (["--select", "KD4", "--ignore", "KD4"], "No check is left"),
    "missing profile": (["--profile", "absent.kdprof.json"], "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_wrong_usage_is_one_sentence_and_exit_code_2(machine, capsys, name):
    """What happened, and what to type instead."""
    arguments, message = BAD[name]
    assert main(["doctor", *arguments]) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert message in heard.err
    assert len(heard.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [["--timeout", "0"], ["--timeout", "nan"], ["--timeout", "soon"], ["--fail-on", "info"], ["--format", "xml"],
     ["--target-size", "0x10"], ["--target-size", "5000"], ["--target-size", "1x2x3"], ["--target-size", "big"],
     ["--augmentation", "mixup"]],
)  # fmt: skip
def test_argparse_refuses_the_rest(arguments, capsys):
    """Numbers and words that an option does not know."""
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *arguments])
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_list(capsys):
    """Every check with what it needs; --select narrows it."""
    assert main(["doctor", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["CODE", *(one.code for one in checks.CHECKS)]
    assert main(["doctor", "--list", "--select", "KD401"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_selections_add_up(capsys):
    """An option may be given twice."""
    selected = ["--select", "KD101", "--select", "KD301,KD302,KD401", "--ignore", "KD302", "--ignore", "KD308"]
    assert main(["doctor", "--list", *selected]) == 0
    listed = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in listed] == ["KD101", "KD301", "KD401"]


def test_explain(capsys):
    """The page of a check; another code is one sentence and exit code 2."""
    assert main(["explain", "kd301"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("KD301 data-on-hard-disk\n")
    assert "When to ignore\n  If all of the data fit" in out
    assert main(["explain", "KD9"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kerasdiag: There is nothing by the name KD9. ")
    assert " Checks: KD101, " in error


def test_help_teaches(capsys):
    """The examples come first."""
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    out = capsys.readouterr().out
    assert "kerasdiag doctor --data photos/ --profile run.kdprof.json" in out
    assert out.index("--data train.csv") < out.index("give up on a check")
    assert max(map(len, out.splitlines())) <= 112


def test_on_this_machine(tmp_path):
    """For real: a folder of files, in a process of its own, with nothing faked and nothing left behind."""
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(os.urandom(50_000))
    command = [sys.executable, "-m", "kerasdiag", "doctor", "--data", str(tmp_path), "--format", "json"]
    before = sorted(tmp_path.iterdir())
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    report = json.loads(result.stdout)
    assert (result.stderr, report["complete"]) == ("", True)
    assert "20 files, 1 MB" in report["facts"]["data"]
    assert sorted(tmp_path.iterdir()) == before


def test_files_of_the_current_directory_are_not_run(tmp_path):
    """``python -m`` would take a json.py of the user for Python's own, and the probe a tensorflow.py for the package."""
    for name in ("json", "tensorflow", "numpy", "csv"):
        (tmp_path / f"{name}.py").write_text(f"open('ran-{name}', 'w')\nraise SystemExit(5)")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"x")
    command = [sys.executable, "-m", "kerasdiag", "doctor", "--data", "photos", "--select", "KD113,KD313"]
    path = os.pathsep.join(filter(None, sys.path))
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=120, check=False
    )
    assert result.returncode in (0, 1)
    assert sorted(file.name for file in tmp_path.iterdir() if file.name.startswith("ran-")) == []


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_old_console(tmp_path, encoding):
    """Names that the console cannot show do not end the report."""
    folder = tmp_path / "снимки"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    result = subprocess.run(
        [sys.executable, "-m", "kerasdiag", "doctor", "--data", str(folder)],
        capture_output=True, timeout=60, check=False, env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert "kerasdiag doctor:" in result.stdout.decode(encoding)
    assert "??????" in result.stdout.decode(encoding)


@pytest.mark.parametrize(("size", "said"), [("300x200", "300x200"), ("96", "96x96")])
def test_what_is_measured_is_what_was_asked(machine, capsys, size, said):
    """Height first; one number is both. What was said is not assumed."""
    asked = []
    measure = machine.measure_throughput
    machine.measure_throughput = lambda sample, work: asked.append(work) or measure(sample, work)
    assert main(["doctor", *DATA, "--target-size", size, "--augmentation", "none", "--format", "json"]) == 0
    assert "assumed" not in json.loads(capsys.readouterr().out)["facts"]
    assert (f"{asked[0].target_size[0]}x{asked[0].target_size[1]}", asked[0].steps) == (said, ())


def test_without_stderr(machine, monkeypatch, capsys):
    """A process that was started with ``2>&-`` has none; the report is what matters."""
    monkeypatch.setattr(runner, "_TELL_AFTER_S", 0.0)
    measure = machine.measure_throughput
    machine.measure_throughput = lambda sample, work: time.sleep(0.5) or measure(sample, work)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["doctor", *DATA]) == 0
    assert "kerasdiag doctor" in capsys.readouterr().out


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_takes_long_is_told_on_a_terminal(machine, monkeypatch, capsys, is_terminal):
    """After a second, on stderr, and gone at the end; a log file gets nothing."""
    monkeypatch.setattr(runner, "_TELL_AFTER_S", 0.0)
    monkeypatch.setattr(runner, "_TELL_EVERY_S", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    is_told = threading.Event()
    measure = machine.measure_throughput

    def take_long(sample, work):
        is_told.wait(0.5)
        return measure(sample, work)

    machine.measure_throughput = take_long
    assert main(["doctor", *DATA]) == 0
    heard = capsys.readouterr().err
    assert ("making batches of some images ..." in heard) is is_terminal
    assert heard.rpartition("\r")[2] == ""
