"""How many CPU cores this process may use: affinity and cgroup quota, not what the host has."""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores this process may use, at least 1.

    Args:
        root: Where ``/proc`` and ``/sys`` are found; tests pass a tree of their own.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows and macOS
        cores = os.cpu_count() or 1
    quota = cgroup_quota(root)
    # 2.5 cores of quota keep three threads busy most of the time, 2.0 only two.
    return max(1, min(cores, math.ceil(quota)) if quota is not None else cores)


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """Return the CPU limit of this process' cgroup in cores, or None where there is none.

    Reads cgroup v2 (``cpu.max``, the strictest of the group and its parents) and v1
    (``cpu.cfs_quota_us``).
    """
    limits = []
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        groups = ["0::/"]
    for line in groups:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base = root / "sys/fs/cgroup"
            folders = [base, *_descend(base, path)]
            limits += [_read_limit(folder / "cpu.max") for folder in folders]
        elif "cpu" in controllers.split(","):
            for name in (controllers, "cpu", "cpu,cpuacct"):
                base = root / "sys/fs/cgroup" / name
                limits += [_read_limit_v1(folder) for folder in [base, *_descend(base, path)]]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _descend(base: Path, path: str) -> list[Path]:
    folders = []
    for part in path.strip("/").split("/"):
        if part and part != "..":
            base = base / part
            folders.append(base)
    return folders


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
