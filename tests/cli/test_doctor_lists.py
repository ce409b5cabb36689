"""kerasdiag doctor -r: what lists leave open is unknown, and what is no list is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kerasdiag.cli import main


@pytest.fixture
def doctor(tmp_path, capsys):
    """Look at lists with one check; returns its status, what it says, and its remedy."""

    def run(code, **files):
        named = []
        for name, text in files.items():
            path = tmp_path / name.replace("_", ".")
            path.write_text(text)
            named += ["-r", str(path)]
        assert main(["doctor", *named, "--select", code, "--format", "json", "--fail-on", "never"]) == 0
        report = json.loads(capsys.readouterr().out)
        (check,) = report["checks"]
        findings = report["findings"]
        return check["status"], findings[0]["message"] if findings else check["statement"], findings

    return run


@pytest.mark.parametrize("code", ["KD101", "KD102"])
@pytest.mark.parametrize(
    "tensorflow", ['tensorflow==2.0.0 ; sys_platform == "win32"', 'tensorflow==2.0.0 ; platform_machine == "aarch64"']
)
def test_a_tensorflow_for_a_system_that_nobody_stated(doctor, code, tensorflow):
    """Whether the old package is run hangs on it: it cannot go."""
    status, said, _ = doctor(code, requirements_txt=f"keras-preprocessing==1.0.9\n{tensorflow}\n")
    assert status == "unknown"
    assert "which is not stated" in said


def test_the_same_where_the_system_is_stated(doctor):
    """A Dockerfile is of Linux."""
    lists = {"Dockerfile": "FROM python:3.7", "requirements_txt": 'keras-preprocessing==1.0.9\ntensorflow==2.0.0 ; sys_platform == "linux"\n'}  # fmt: skip
    assert doctor("KD101", **lists)[0] == "warn"


def test_an_old_package_alone(doctor):
    """What pip brings beside it is not stated."""
    status, said, _ = doctor("KD101", requirements_txt="keras-preprocessing==1.0.9\n")
    assert (status, said) == ("unknown", "which tensorflow is not stated in requirements.txt")


@pytest.mark.parametrize(
    ("lists", "status"),
    [
        ({"requirements_txt": "tensorflow==2.15.1\ntensorflow-cpu==2.15.1\n"}, "warn"),
        ({"requirements_txt": "tensorflow==2.15.1\ntensorflow-cpu\n"}, "unknown"),
        ({"requirements_txt": 'tensorflow==2.15.1 ; sys_platform=="darwin"\ntensorflow-cpu==2.15.1 ; sys_platform=="linux"\n'}, "unknown"),
        ({"poetry_lock": '[[package]]\nname = "tensorflow"\nversion = "2.15.1"\n\n[[package]]\nname = "tensorflow-cpu"\nversion = "2.15.1"\n'}, "unknown"),
        ({"Dockerfile": 'FROM python:3.11\nRUN pip install "tensorflow==2.15.1;sys_platform==\'darwin\'" tensorflow-cpu==2.15.1'}, "ok"),
    ],
)  # fmt: skip
def test_several_tensorflows(doctor, lists, status):
    """They are a finding where all of them are installed, not where each may be for another system."""
    assert doctor("KD106", **lists)[0] == status


def test_a_list_on_stdin():
    """It can be read only once."""
    command = [sys.executable, "-m", "kerasdiag", "doctor", "-r", "/dev/stdin", "--select", "KD101", "--format", "json"]
    result = subprocess.run(
        command, input="keras-preprocessing==1.0.9\ntensorflow==2.0.0\n", capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    report = json.loads(result.stdout)
    assert report["findings"][0]["severity"] == "warn"
    assert report["facts"]["looked at"] == "/dev/stdin, not this interpreter"


@pytest.mark.parametrize(
    ("name", "edited"),
    [("poetry_lock", "pyproject.toml (then lock anew)"), ("Pipfile_lock", "Pipfile (then lock anew)"), ("requirements_txt", "requirements.txt")],
)  # fmt: skip
def test_nobody_edits_a_lock(doctor, name, edited):
    """The advice is for the file that somebody writes."""
    versions = {"tensorflow": "2.0.0", "keras-preprocessing": "1.0.9"}
    text = "".join(f"{one}=={version}\n" for one, version in versions.items())
    if name == "poetry_lock":
        text = "".join(f'[[package]]\nname = "{one}"\nversion = "{version}"\n\n' for one, version in versions.items())
    if name == "Pipfile_lock":
        text = json.dumps({"default": {one: {"version": f"=={version}"} for one, version in versions.items()}})
    _, _, (finding,) = doctor("KD101", **{name: text})
    assert finding["remedy"]["text"].endswith(f", in {edited}:")
    inert = text.replace("2.0.0", "2.10.1")
    _, _, (finding,) = doctor("KD101", **{name: inert})
    assert finding["remedy"]["text"] == f"It can go: take keras-preprocessing out of {edited}."


def test_what_is_no_list(tmp_path, capsys):
    """One sentence and exit code 2, not a report in which nothing was found."""
    for name, text in {"Pipfile.lock": "not json {", "poetry.lock": "garbage", "environment.yml": "\x01\x02"}.items():
        (tmp_path / name).write_text(text)
        assert main(["doctor", "-r", str(tmp_path / name)]) == 2
        heard = capsys.readouterr()
        assert (heard.out, heard.err.count("\n")) == ("", 1)
        assert name in heard.err


@pytest.mark.parametrize("name", ["Dockerfile2", "docker.txt"])
@pytest.mark.parametrize(
    "lines", ["RUN pip install tensorflow==2.0.0\n", "RUN pip install \\\n  numpy\ntensorflow==2.0.0\n"]
)
def test_a_dockerfile_of_another_name(tmp_path, capsys, name, lines):
    """It is not read as requirements, though a line of it might be one; the names of Dockerfiles are told."""
    (tmp_path / name).write_text(f"# syntax=docker/dockerfile:1\nARG TAG=3.7\nFROM python:${{TAG}} AS base\n{lines}")
    assert main(["doctor", "-r", str(tmp_path / name), "--select", "KD101"]) == 2
    said = capsys.readouterr().err.rstrip()
    assert said.endswith("recognised by their names: Dockerfile, Dockerfile.gpu, gpu.Dockerfile.")


def test_a_package_that_is_called_from(tmp_path, capsys):
    """Only what names an image is a line of a Dockerfile."""
    (tmp_path / "requirements.txt").write_text("from==1.0\nkeras-preprocessing==1.0.9\n")
    assert main(["doctor", "-r", str(tmp_path / "requirements.txt"), "--select", "KD101"]) == 0
    assert "Dockerfile" not in capsys.readouterr().out
