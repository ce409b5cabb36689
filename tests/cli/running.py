"""Run a script under plain python and under ``kerasdiag run``, and compare what can be seen of both."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import kerasdiag

ROOT = str(Path(kerasdiag.__file__).parents[1])
TESTS = str(Path(__file__).parents[1])
PLAIN = [sys.executable]
RUN = [sys.executable, "-m", "kerasdiag", "run"]

# One line of ours and the empty line before it; a panel is a block of its own.
OUR_LINE = re.compile(r"\n?^\[kerasdiag\] .*\n?", flags=re.MULTILINE)
PANEL = re.compile(r"\n?^╭.*?^╰.*?$\n?", flags=re.MULTILINE | re.DOTALL)


def environment(**variables):
    """The variables of a test's scripts; None takes one away."""
    given = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, TESTS]), "PYTHONIOENCODING": "utf-8", **variables}
    if os.environ.get("KERASDIAG_TEST_ENVIRONMENT") == "tfkeras":
        given["TF_USE_LEGACY_KERAS"] = "1"
    return {name: value for name, value in given.items() if value is not None}


@contextlib.contextmanager
def default_signals():
    """Undo for a child what it would inherit from ``nohup`` and from a shell's ``&``: signals that are ignored.

    A signal that has a handler here, whichever, has none in a new program.
    """
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


def start(command, arguments, cwd, **variables):
    """Start plain python, or ``kerasdiag run``; its output can be read."""
    return subprocess.Popen(
        [*command, *map(str, arguments)], cwd=cwd, env=environment(**variables), text=True, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(command, arguments, cwd, **variables):
    """The same to its end: exit code, stdout, stderr."""
    process = start(command, arguments, cwd, **variables)
    try:
        output, errors = process.communicate(timeout=240)
    finally:
        process.kill()
    return process.returncode, output, errors


def said(errors):
    """What kerasdiag has said in lines of its own."""
    return [line[len("[kerasdiag] ") :] for line in errors.splitlines() if line.startswith("[kerasdiag] ")]


def panels(errors):
    """The panels as running text, without their frames."""
    return [" ".join(re.sub("[│╭╮╰╯─]", " ", panel).split()) for panel in PANEL.findall(errors)]


def without_ours(errors):
    """Stderr as the script alone wrote it."""
    return OUR_LINE.sub("", PANEL.sub("", errors))


def both(arguments, cwd, options=(), **variables):
    """Run plainly and with kerasdiag; return the second's (code, stdout, stderr) if the script's part is equal."""
    plain = run(PLAIN, arguments, cwd, **variables)
    code, output, errors = run([*RUN, *options], arguments, cwd, **variables)
    assert (code, output, without_ours(errors)) == plain
    return code, output, errors
