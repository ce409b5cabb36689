"""Which operating system this is, and what it runs in."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SystemFacts:
    """The operating system.

    Attributes:
        name: ``"Linux"``, ``"Windows"``, ``"Darwin"``.
        machine: Processor, such as ``"x86_64"``.
        is_wsl: Whether it is Linux inside of Windows.
        is_container: Whether it is a container, as far as it shows.
        is_translated: Whether this Python is made for another processor and translated (Rosetta); None if unknown.
    """

    name: str = "Linux"
    machine: str = "x86_64"
    is_wsl: bool = False
    is_container: bool = False
    is_translated: bool | None = False


def find_system(root: Path = Path("/")) -> SystemFacts:
    """Look at the system; never raises.

    Args:
        root: Where ``/proc`` is found.
    """
    release = _read(root / "proc/sys/kernel/osrelease").lower()
    marks = (root / ".dockerenv", root / "run/.containerenv")
    return SystemFacts(
        name=platform.system(),
        machine=platform.machine(),
        is_wsl="microsoft" in release,
        is_container=any(os.path.exists(mark) for mark in marks) or "kubepods" in _read(root / "proc/self/cgroup"),
        is_translated=_is_translated() if platform.system() == "Darwin" else False,
    )


def _is_translated() -> bool | None:
    """Ask macOS about this process: ``sysctl.proc_translated`` is 1 under Rosetta."""
    import ctypes

    try:
        library = ctypes.CDLL(None)
        value, size = ctypes.c_int(0), ctypes.c_size_t(4)
        failed = library.sysctlbyname(b"sysctl.proc_translated", ctypes.byref(value), ctypes.byref(size), None, 0)
    except (OSError, AttributeError):
        return None
    return None if failed else bool(value.value)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
