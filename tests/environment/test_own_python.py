"""How a shell calls this Python and its pip."""

from __future__ import annotations

import os
import shlex
import sys

import pytest

from kerasdiag.environment.own_python import own_pip, own_python


@pytest.mark.skipif(os.name != "posix", reason="programs without suffixes")
def test_the_pip_on_the_path_may_be_another_one(tmp_path, monkeypatch):
    """Only where it lies beside this Python, pip is its pip."""
    other, own = tmp_path / "other" / "bin", tmp_path / "own env" / "bin"
    for folder in (other, own):
        folder.mkdir(parents=True)
        for name in ("python", "pip"):
            (folder / name).write_text("#!/bin/sh\n")
            (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setenv("PATH", f"{own}:{other}")
    assert (own_python(), own_pip()) == ("python", "pip")
    monkeypatch.setenv("PATH", f"{other}:{own}")
    quoted = shlex.quote(str(own / "python"))
    assert (own_python(), own_pip()) == (quoted, f"{quoted} -m pip")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_pip() == f"{quoted} -m pip"
    monkeypatch.setattr(sys, "executable", "")  # an embedded Python does not know
    assert (own_python(), own_pip()) == ("python", "pip")
