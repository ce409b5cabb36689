"""The pages of ``kerasdiag explain`` fit the terminal, whatever width they were written in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kerasdiag.cli import main
from kerasdiag.cli.wrapping import wrap_page
from kerasdiag.diagnosis.explanations import EXPLANATIONS
from kerasdiag.diagnosis.verdict import Verdict
from kerasdiag.doctor.checks import CHECKS

NAMES = [*map(str, Verdict), *EXPLANATIONS, *(check.code for check in CHECKS)]


def page_of(capsys, name):
    assert main(["explain", name]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 100])
def test_every_page_fits(width, monkeypatch, capsys):
    """No line is longer, but for a single word that is; texts stand under their titles."""
    monkeypatch.setenv("COLUMNS", str(width))
    for name in NAMES:
        page = page_of(capsys, name)
        for line in page.splitlines():
            assert len(line) <= width or len(line.split()) == 1, (name, line)
        assert "\n\n" in page
        assert not any(line != line.rstrip() for line in page.splitlines())


@pytest.mark.parametrize("name", ["input-bound", "slowest-stage", "KD101"])
def test_the_words_are_the_same_at_any_width(name, monkeypatch, capsys):
    """And narrow pages have more lines."""
    pages = []
    for width in (60, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        pages.append(page_of(capsys, name))
    narrow, wide = pages
    assert narrow.split() == wide.split()
    assert len(narrow.splitlines()) > len(wide.splitlines())


def test_without_a_terminal_it_is_80_columns_of_plain_text():
    """As the doctor prints into a pipe."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "kerasdiag", "explain", "KD715"]
    result = subprocess.run(
        command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=60, check=True
    )
    assert 70 < max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout


def test_wrapping_keeps_what_an_author_set_apart():
    """Empty lines, indentation, and words too long for a line."""
    path = "/a/very/long/path/to/copy/whole"
    text = f"Title\n\nHead\n  one two\n  four-five six\n    indented\n  {path} end\n\n\nlast"
    assert wrap_page(text, 16) == (
        f"Title\n\nHead\n  one two\n  four-five six\n    indented\n  {path}\n  end\n\n\nlast"
    )
