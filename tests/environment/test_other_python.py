"""Another Python from outside: real ones, those that do not start here, and nonsense."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerasdiag.environment.other_python import Asked, ask, find_other_python
from kerasdiag.errors import DoctorUsageError


def write(root, name, text=""):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def silent(executable):
    """An interpreter that does not start here."""


def test_a_real_environment(tmp_path):
    """A virtual environment, by its folder and by its interpreter; nothing of its packages is run."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    write(
        site, "evil.pth", f"import pathlib; pathlib.Path({str(tmp_path / 'was-run')!r}).touch()\nadded\nabsent\n# x\n"
    )
    (site / "added").mkdir()
    for name in ("env", "env/bin/python"):
        found = find_other_python(str(tmp_path / name))
        assert found.search_path[:2] == (str(site), str(site / "added"))
        assert found.interpreter.version == ".".join(map(str, sys.version_info[:3]))
        assert found.pip == f"{tmp_path / 'env/bin/python'} -m pip"
    assert not (tmp_path / "was-run").exists()
    assert len([folder for folder in found.search_path if folder.endswith("site-packages")]) == 1


def test_system_packages_where_they_are_let_in(tmp_path):
    """include-system-site-packages adds those of the base."""
    write(tmp_path, "base/lib/python3.9/site-packages/x")
    write(tmp_path, "env/lib/python3.9/site-packages/x")
    write(tmp_path, "env/bin/python")
    config = f"home = {tmp_path}/base/bin\nversion = 3.9.18\ninclude-system-site-packages = {{}}\n"
    for said, count in (("true", 2), ("false", 1)):
        write(tmp_path, "env/pyvenv.cfg", config.format(said))
        found = find_other_python(str(tmp_path / "env"), silent)
        assert len(found.search_path) == count
        assert found.interpreter.version == "3.9.18"


@pytest.mark.parametrize(
    ("system", "environ", "folder"),
    [
        ("linux", {}, ".local/lib/python3.9/site-packages"),
        ("darwin", {}, "Library/Python/3.9/lib/python/site-packages"),
        ("linux", {"PYTHONUSERBASE": "base"}, "base/lib/python3.9/site-packages"),
        ("linux", {"PYTHONNOUSERSITE": "1"}, None),
        ("win32", {}, None),
    ],
)
def test_packages_of_the_user(tmp_path, monkeypatch, system, environ, folder):
    """Those of pip install --user come first, but not in a virtual environment, nor of a Python that does not start."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in environ.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    for place in (".local/lib/python3.9", "Library/Python/3.9/lib/python", "base/lib/python3.9"):
        write(tmp_path, f"{place}/site-packages/x")
    write(tmp_path, "usr/lib/python3.9/site-packages/x")
    executable = str(write(tmp_path, "usr/bin/python3.9"))

    def answering(path):
        return Asked("3.9.18", system, "cpython", str(tmp_path / "usr"), executable)

    own = str(tmp_path / "usr/lib/python3.9/site-packages")
    assert find_other_python(executable, answering).search_path == ((str(tmp_path / folder), own) if folder else (own,))
    assert find_other_python(executable, silent).search_path == (own,)
    write(tmp_path, "usr/pyvenv.cfg", "version = 3.9.18\n")
    assert find_other_python(executable, answering).search_path == (own,)


@pytest.mark.parametrize(
    ("files", "named", "version", "system", "folder"),
    [
        (["Scripts/python.exe", "Lib/site-packages/x", ("pyvenv.cfg", "version_info = 3.10.11.final.0")], "", "3.10.11", "win32", "Lib/site-packages"),
        (["Scripts/python.exe", "Lib/site-packages/x", ("pyvenv.cfg", "version = 3.8.1")], "Scripts/python.exe", "3.8.1", "win32", "Lib/site-packages"),
        (["python.exe", "Scripts/pip.exe", "Lib/site-packages/x", "conda-meta/python-3.7.16-h5.json"], "", "3.7.16", "win32", "Lib/site-packages"),
        (["bin/python", "lib/python3.6/site-packages/x", "conda-meta/python-3.6.13-0.json"], "", "3.6.13", None, "lib/python3.6/site-packages"),
        (["bin/python2.7", "lib/python2.7/site-packages/x"], "bin/python2.7", "2.7", None, "lib/python2.7/site-packages"),
        (["lib/python3.11/site-packages/x"], "", "3.11", None, "lib/python3.11/site-packages"),  # copied without bin
        (["lib/pypy3.9/site-packages/x", "bin/pypy3"], "bin/pypy3", None, None, "lib/pypy3.9/site-packages"),
    ],
)  # fmt: skip
def test_recorded_trees(tmp_path, files, named, version, system, folder):
    """Windows, conda and old ones, none of which starts here: their layout says where the packages lie."""
    for file in files:
        write(tmp_path / "env", *([file] if isinstance(file, str) else file))
    found = find_other_python(str(tmp_path / "env" / named), silent)
    assert found.search_path == (str(tmp_path / "env" / folder),)
    assert (found.interpreter.version, found.interpreter.system) == (version, system)


def test_two_versions_below_one_prefix(tmp_path):
    """Below /usr only the folders of the version that answered count; Debian's python3 is anybody's."""
    for name in ("lib/python3.11/site-packages", "lib/python3.9/site-packages", "lib/python3/dist-packages"):
        write(tmp_path, f"{name}/x")
    write(tmp_path, "bin/python3.11")
    answer = Asked("3.11.7", "linux", "cpython", str(tmp_path), str(tmp_path / "bin/python3.11"))
    found = find_other_python(str(tmp_path / "bin/python3.11"), lambda executable: answer)
    assert found.search_path == (
        str(tmp_path / "lib/python3.11/site-packages"),
        str(tmp_path / "lib/python3/dist-packages"),
    )


def test_a_launcher_stands_elsewhere(tmp_path):
    """What pyenv's launcher starts says where it lives."""
    write(tmp_path, "versions/3.7.16/lib/python3.7/site-packages/x")
    write(tmp_path, "shims/python3.7")
    prefix = tmp_path / "versions/3.7.16"
    found = find_other_python(
        str(tmp_path / "shims/python3.7"),
        lambda _: Asked("3.7.16", "linux", "cpython", str(prefix), str(prefix / "bin/python")),
    )
    assert found.search_path == (str(prefix / "lib/python3.7/site-packages"),)


@pytest.mark.parametrize("script", ["exit 1", "echo no", "printf 'a\\nb\\nc\\nd\\ne'", "kill -9 $$"])
def test_an_interpreter_that_does_not_answer(tmp_path, script):
    """It is as good as one that does not start."""
    path = write(tmp_path, "python", f"#!/bin/sh\n{script}\n")
    os.chmod(path, 0o755)
    assert ask(path) is None
    assert ask(tmp_path / "absent") is None


@pytest.mark.parametrize("named", ["absent", "notes.txt", "empty", "bin/ls"])
def test_what_is_no_python(tmp_path, named):
    """One sentence; a program that is no Python by its name is not started."""
    write(tmp_path, "notes.txt")
    write(tmp_path, "empty/x")
    os.chmod(write(tmp_path, "bin/ls", f"#!/bin/sh\ntouch {tmp_path}/was-run\n"), 0o755)
    with pytest.raises(DoctorUsageError, match="--python"):
        find_other_python(str(tmp_path / named))
    assert not (tmp_path / "was-run").exists()


def test_this_interpreter_from_outside():
    """What is found from outside is what it imports from."""
    found = find_other_python(sys.executable)
    assert found.interpreter.version == ".".join(map(str, sys.version_info[:3]))
    inside = {os.path.realpath(folder) for folder in sys.path if folder.endswith("site-packages")}
    assert {os.path.realpath(folder) for folder in found.search_path if Path(folder).name == "site-packages"} <= inside
