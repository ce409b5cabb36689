"""The command line: report, help, exit codes, errors in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from builders import make_profile

from kerasdiag import RunProfile, __version__
from kerasdiag.cli import main
from kerasdiag.diagnosis import diagnose
from kerasdiag.report.terminal import render


@pytest.fixture
def saved(tmp_path):
    """A profile in a file."""
    path = tmp_path / "run.kdprof.json"
    make_profile(0.08, 0.05, 120).save(path)
    return path


def test_report_prints_the_panel_of_the_run(saved, capsys):
    """The same panel as the training printed."""
    assert main(["report", str(saved)]) == 0
    assert capsys.readouterr().out == render(diagnose(RunProfile.load(saved)))


@pytest.mark.parametrize("name", ["out.txt", "out.json"])
def test_report_to_a_file(saved, tmp_path, name, capsys):
    """The extension is the format."""
    assert main(["report", str(saved), "-o", str(tmp_path / name)]) == 0
    assert "input-bound" in (tmp_path / name).read_text(encoding="utf-8")
    assert name in capsys.readouterr().err


BAD = {
    "missing": (["report", "absent.kdprof.json"], "no such file"),
    "foreign": (["report", "{foreign}"], "not a kerasdiag profile"),
    "truncated": (["report", "{truncated}"], "truncated"),
    "newer": (["report", "{newer}"], "newer kerasdiag"),
    "unknown format": (["report", "{saved}", "-o", "out.xml"], "extension .json, .txt"),
    "unwritable output": (["report", "{saved}", "-o", "{folder}/absent/out.txt"], "cannot be written"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(name, saved, tmp_path, capsys):
    """No traceback; what happened, what was expected."""
    text = saved.read_text()
    files = {"saved": saved, "folder": tmp_path}
    contents = {"foreign": '{"a": 1}', "truncated": text[:99], "newer": text.replace('profile": 1', 'profile": 7', 1)}
    for kind, content in contents.items():
        files[kind] = tmp_path / f"{kind}.json"
        files[kind].write_text(content)
    arguments, message = BAD[name]
    assert main([argument.format(**files) for argument in arguments]) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert message in heard.err
    assert len(heard.err.strip().splitlines()) == 1


def test_wrong_usage_is_exit_code_2(capsys):
    """argparse's own errors have the same code."""
    for arguments in (["report"], ["nonsense"], ["report", "a", "b"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_help_teaches(capsys):
    """Without a command, and with --help, the line to add is shown."""
    assert main([]) == 0
    assert "BottleneckProfiler" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["report", "--help"])
    assert caught.value.code == 0
    assert "kerasdiag report run.kdprof.json -o run.txt" in capsys.readouterr().out


def test_module_and_version():
    """python -m kerasdiag is the same command."""
    result = subprocess.run(
        [sys.executable, "-m", "kerasdiag", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == f"kerasdiag {__version__}\n"


def test_broken_pipe_is_silent(saved):
    """kerasdiag report ... | head ends without a traceback."""
    command = f"{sys.executable} -m kerasdiag report {saved} | head -n 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert result.stderr == ""


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_old_console(saved, encoding):
    """A Windows console with code page 1252 shows the panel in ASCII."""
    import os

    result = subprocess.run(
        [sys.executable, "-m", "kerasdiag", "report", str(saved)],
        capture_output=True, timeout=60, check=True, env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    text = result.stdout.decode(encoding)
    assert "kerasdiag: input-bound" in text
    assert "####" in text


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "def (", "import nothing_there", None])
def test_a_package_that_is_needed_and_broken_is_named(tmp_path, text):
    """One sentence with what to type, and no traceback of ours."""
    folder = tmp_path / "packaging"
    folder.mkdir()
    if text is None:  # as good as missing: it has no such part
        text = "raise ModuleNotFoundError(\"No module named 'packaging'\", name='packaging')"
    (folder / "__init__.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "kerasdiag", "doctor"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("kerasdiag: the package packaging, which it needs, is missing or broken (")
    assert done.stderr.endswith("-m pip install --force-reinstall packaging\n")
    assert len(done.stderr.splitlines()) == 1


def usage_error(capsys, *arguments):
    """What wrong usage prints: the usage, and the line below it."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    usage, _, error = heard.err.rstrip("\n").rpartition("\n")
    return usage, error


@pytest.mark.parametrize(
    ("arguments", "command", "stray"),
    [
        (["run", "--epochs", "3", "train.py"], "kerasdiag run", "--epochs"),
        (["report", "x.json", "extra"], "kerasdiag report", "extra"),
        (["explain", "KD101", "KD102"], "kerasdiag explain", "KD102"),
        (["doctor", "--foo"], "kerasdiag doctor", "--foo"),
        (["store", "info", "a", "b"], "kerasdiag store info", "b"),
        (["store", "--foo"], "kerasdiag store", "--foo"),
        (["--foo"], "kerasdiag", "--foo"),
    ],
)
def test_what_is_left_over_shows_the_usage_of_its_command(arguments, command, stray, capsys):
    """That of the whole command line says nothing about the mistake."""
    usage, error = usage_error(capsys, *arguments)
    assert usage.startswith(f"usage: {command} [")
    assert error.startswith(f"{command}: error: unrecognized arguments: {stray}")
    of_script = ". The script's own arguments come after the script: kerasdiag run train.py --epochs 3"
    assert error.endswith(of_script) is (command == "kerasdiag run")


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        (["reprot", "x.json"], ". Did you mean report?"),
        (["doctr"], ". Did you mean doctor?"),
        (["store", "infos"], ". Did you mean info?"),
        (["doctor", "--format", "jsn"], ". Did you mean json?"),
        (["autofix"], ". autofix is no command but Python: from kerasdiag import autofix"),
        (
            ["bottleneckprofiler"],
            ". BottleneckProfiler is no command but Python: from kerasdiag import BottleneckProfiler",
        ),
        (["xyzzy"], ""),
    ],
)
def test_what_a_misspelt_command_was_meant_to_be(arguments, guess, capsys):
    """After the list of all that there are; nothing where nothing is near."""
    _, error = usage_error(capsys, *arguments)
    assert "(choose from " in error
    assert error.partition(")")[2] == guess
