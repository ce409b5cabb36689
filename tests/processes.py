"""Other processes, watched from a test."""

from __future__ import annotations

import time
from pathlib import Path

import psutil


def wait_for(condition):
    """Wait half a minute at most."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_running(pid):
    """Whether there is such a process that is not dead already; nobody may have collected it yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def number_in(file: Path) -> int:
    """The number of a process that somebody wrote down there."""
    wait_for(lambda: file.exists() and file.read_text().strip())
    return int(file.read_text())
