"""How many CPU cores this process may use: affinity and cgroup quota, not what the host has."""

from __future__ import annotations

import math
import os
from pathlib import Path

from kerasdiag.environment.cgroups import groups_of


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores this process may use, at least 1.

    Args:
        root: Where ``/proc`` and ``/sys`` are found; tests pass a tree of their own.
    """
    cores = affinity_cores(root) or visible_cores(root) or 1
    quota = cgroup_quota(root)
    # 2.5 cores of quota keep three threads busy most of the time, 2.0 only two.
    return max(1, min(cores, math.ceil(quota)) if quota is not None else cores)


def affinity_cores(root: Path = Path("/")) -> int | None:
    """Return the number of cores this process is bound to, or None where the system does not say.

    The running system is asked itself; a tree of its own says it in ``/proc/self/status``.
    """
    listed = [] if root == Path("/") else _read_lines(root / "proc/self/status")
    for line in listed:
        name, _, cores = line.partition(":")
        if name == "Cpus_allowed_list":
            # The list may name cores that are switched off.
            allowed = _parse_list(cores)
            bound = len(allowed & (_online(root) or allowed))
            if bound:
                return bound
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on Windows and macOS
        return None


def visible_cores(root: Path = Path("/")) -> int | None:
    """Return the number of cores the machine shows to everybody, whatever this process may use of them."""
    return (len(_online(root)) if root != Path("/") else 0) or os.cpu_count()


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """Return the CPU limit of this process' cgroup in cores, or None where there is none.

    Reads cgroup v2 (``cpu.max``, the strictest of the group and its parents) and v1
    (``cpu.cfs_quota_us``).
    """
    limits = [
        _read_limit(group.folder / "cpu.max") if group.version == 2 else _read_limit_v1(group.folder)
        for group in groups_of("cpu", root)
    ]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _read_limit(file: Path) -> float | None:
    try:
        quota, period = file.read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_limit_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _online(root: Path) -> set[int]:
    return _parse_list("".join(_read_lines(root / "sys/devices/system/cpu/online")))


def _parse_list(text: str) -> set[int]:
    """Cores of a list of the kernel, such as ``0-3,8``; what makes no sense is left out."""
    cores: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            cores.update(range(int(first), int(last or first) + 1))
    return cores


def _read_lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, ValueError):
        return []
