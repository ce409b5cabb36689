"""The kernels read and write inside their arrays only: pages without any rights lie directly beside them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("guard_pages.py")


def run_script(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("side", ["end", "begin"])
def test_no_kernel_leaves_its_arrays(side):
    """Each fill mode, order, dtype, colour and chain, from memory and by pread, on shapes down to one pixel."""
    result = run_script(side)
    assert result.returncode == 0, f"{result.returncode}: {result.stderr}"
    assert result.stdout == f"{9 * 4 * 3 * 3 * 4} batches\n"


@pytest.mark.parametrize("how", ["out without its padding", "image without its padding", "one value before the image"])
def test_an_overrun_is_seen(how):
    """Arrays that are shorter than documented end the process, so the test above would see it."""
    result = run_script("overrun", how)
    assert result.returncode in (-signal.SIGSEGV, -signal.SIGBUS), result.stdout + result.stderr
