"""kerasdiag where its output goes nowhere, its packages are broken, or somebody has had enough of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from importlib import metadata

import pytest

from kerasdiag.cli import main
from kerasdiag.cli.waiting_line import WaitingLine

COMMAND = [sys.executable, "-m", "kerasdiag"]
QUICK = [*COMMAND, "doctor", "--no-config", "--no-probe", "--select", "KD401"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="a shell and its signals")


def shell(line, **options):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False, **options)


@POSIX
@pytest.mark.parametrize("format_", ["text", "json", "markdown", "github"])
def test_without_stdout(format_):
    """``>&-``: the exit code is what is left."""
    result = shell(f"{' '.join(QUICK)} --format {format_} >&-")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
@pytest.mark.parametrize("arguments", ["doctor --no-probe --select KD401", "explain KD101", "doctor --list"])
def test_a_full_disk(arguments):
    """One line and exit code 2, no traceback."""
    result = shell(f"{' '.join(COMMAND)} {arguments} > /dev/full")
    assert result.returncode == 2
    assert result.stderr == "kerasdiag: the output cannot be written: No space left on device.\n"


@POSIX
def test_ctrl_c(tmp_path):
    """One line, and the process ends as one that Ctrl-C ends, so that a shell's loop ends with it."""
    (tmp_path / "tensorflow.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    process = subprocess.Popen(
        [*COMMAND, "doctor", "--select", "KD113"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 30
    while not (tmp_path / "begun").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (-signal.SIGINT, "")
    assert errors == "kerasdiag: stopped.\n"


def test_a_broken_rich(tmp_path):
    """Only the text needs it: one line says what to install, and the other formats are there."""
    (tmp_path / "rich.py").write_text("raise ImportError('broken on purpose')")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environ = {**os.environ, "PYTHONPATH": path}
    result = subprocess.run(QUICK, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert (
        "kerasdiag: the text needs rich, which cannot be imported here (ImportError: broken on purpose)"
        in result.stderr
    )
    assert result.stderr.count("\n") == 1
    for format_ in ("json", "markdown", "github"):
        result = subprocess.run(
            [*QUICK, "--format", format_], env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")


@POSIX
def test_what_to_type_is_for_this_python(tmp_path):
    """The one on PATH may be another, or none; and the TensorFlow to install is the one that is installed."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('broken on purpose')")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [*COMMAND, "doctor", "--no-config", "--select", "KD113", "--format", "json"]
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path, "PATH": "/absent"}, capture_output=True, timeout=60, check=False
    )
    finding = json.loads(result.stdout)["findings"][0]
    python = shlex.quote(sys.executable)
    installed = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in metadata.distributions()}
    name = "tensorflow" if "tensorflow" in installed else "tensorflow-cpu"
    assert finding["remedy"]["code"] == [
        f'{python} -c "import tensorflow"',
        f'{python} -m venv new && new/bin/pip install "{name}=={installed[name]}"',
    ]


@POSIX
@pytest.mark.parametrize(("options", "code"), [("", 0), ("--data photos", 2)])
def test_a_current_directory_that_was_deleted(tmp_path, options, code):
    """The machine is still there; relative names lead nowhere."""
    command = f"{sys.executable} -m kerasdiag doctor --no-probe --select KD401 {options}"
    (tmp_path / "gone").mkdir()
    path = os.pathsep.join(filter(None, sys.path))
    result = shell(f"rmdir ../gone; {command}", cwd=tmp_path / "gone", env={**os.environ, "PYTHONPATH": path})
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    if code:
        assert result.stderr == "kerasdiag: photos: the current directory does not exist any more.\n"


def test_names_that_a_terminal_would_obey(tmp_path, capsys):
    """Not in messages of wrong usage either."""
    (tmp_path / "train.csv").write_text("path\x1b[31m,class\n1.jpg,x\n")
    assert main(["doctor", "--data", str(tmp_path / "a\x1b[31m")]) == 2
    assert "a\\x1b[31m: no such folder or file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--timeout", "abc"], "argument --timeout: must be a number of seconds above 0. Received: 'abc'"),
        (["--target-size", "abc"], "argument --target-size: must be HEIGHTxWIDTH in pixels, from 1x1 to 4096x4096"),
        (["--select", ""], "argument --select: must be codes, such as KD101,KD3. Received: ''"),
        (["--ignore", ","], "argument --ignore: must be codes"),
        (["-r", ""], "argument -r/--requirement: is empty."),
        (["--python", ""], "argument --python: is empty."),
        (["--data", "x", "--x-col", ""], "argument --x-col: is empty."),
    ],
)
def test_values_that_an_option_does_not_take(arguments, said, capsys):
    """What was expected, in words; an empty one is a variable that is not set, and never stands for "all"."""
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *arguments])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_column_of_a_folder(tmp_path, capsys):
    """It means nothing there, and is not passed over in silence."""
    assert main(["doctor", "--data", str(tmp_path), "--x-col", "path", "--select", "KD401"]) == 2
    assert "--x-col belongs to a CSV file" in capsys.readouterr().err


class Terminal:
    """A terminal of so many columns that keeps what is written."""

    encoding, errors = "utf-8", "strict"

    def __init__(self):
        self.written = ""

    def isatty(self):
        return True

    def fileno(self):
        return 7

    def flush(self):
        """Nothing waits."""

    def write(self, text):
        self.written += text


def test_the_waiting_line_is_one_line(monkeypatch):
    """What would go on in a second line could not be taken away again."""
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((40, 24)))
    terminal = Terminal()
    line = WaitingLine(terminal)
    line.tell("reading files of the data and making batches of some images")
    line.tell("listing the data")
    line.clear()
    shown = terminal.written.split("\r")
    assert shown[1] == "reading files of the data and making ba"
    assert max(map(len, shown)) == 39
    assert shown[-1] == ""
    assert "\n" not in terminal.written
