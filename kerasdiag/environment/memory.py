"""How much memory this process may still take: the host's and every cgroup's around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kerasdiag.environment.cgroups import Group, groups_of


@dataclass(frozen=True)
class MemoryLimit:
    """Memory of this process at one moment. Available and total are 0 where the system does not say.

    Attributes:
        available_bytes: What the process may still take before the host swaps or a cgroup kills it. Page
            cache that nobody used lately counts as free; swap does not count.
        limit_bytes: The strictest limit of its cgroup and the parents, None without one below the host's memory.
        total_bytes: Memory of the host (in a virtual machine: of that).
    """

    available_bytes: int
    limit_bytes: int | None
    total_bytes: int


class _Files(NamedTuple):
    limits: tuple[str, ...]
    usage: str
    reclaimable: str  # key in memory.stat: page cache that goes before anybody is killed


# At memory.high the kernel slows a group to a crawl: as little use as being killed at memory.max.
_FILES = {
    1: _Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    2: _Files(("memory.max", "memory.high"), "memory.current", "inactive_file"),
}


def memory_limit(root: Path = Path("/")) -> MemoryLimit:
    """Return what this process may still take of the host's memory.

    Args:
        root: Where ``/proc`` and ``/sys`` are found; tests pass a tree of their own. Without
            ``/proc/meminfo`` (macOS, Windows) psutil is asked.
    """
    total, available = _host_memory(root)
    limits = []
    for group in groups_of("memory", root):
        limit = _group_limit(group)
        if limit is None or limit >= total:  # cgroup v1 writes 2**63 rounded to pages for "no limit"
            continue
        limits.append(limit)
        available = min(available, limit - _group_usage(group))
    return MemoryLimit(max(0, available), min(limits, default=None), total)


def _host_memory(root: Path) -> tuple[int, int]:
    """Total and available bytes."""
    lines = _read(root / "proc/meminfo").replace(":", " ").splitlines()
    sizes = {name: value * 1024 for name, value in map(_pair, lines) if value is not None}
    if "MemTotal" in sizes:
        # Kernels before 3.14 do not estimate what is available.
        free = sum(sizes.get(name, 0) for name in ("MemFree", "Buffers", "Cached"))
        return sizes["MemTotal"], sizes.get("MemAvailable", free)
    try:
        import psutil  # here, so that `import kerasdiag` stays fast

        memory = psutil.virtual_memory()
        return int(memory.total), int(memory.available)
    except Exception:
        return 0, 0


def _group_limit(group: Group) -> int | None:
    values = [_number(_read(group.folder / name)) for name in _FILES[group.version].limits]
    return min((value for value in values if value is not None), default=None)


def _group_usage(group: Group) -> int:
    """What the group holds and would not give back without harm."""
    files = _FILES[group.version]
    statistics = dict(map(_pair, _read(group.folder / "memory.stat").splitlines()))
    usage = _number(_read(group.folder / files.usage)) or 0
    return max(0, usage - (statistics.get(files.reclaimable) or 0))


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""


def _pair(line: str) -> tuple[str, int | None]:
    name, _, value = line.partition(" ")
    return name, _number(value)


def _number(text: str) -> int | None:
    word = next(iter(text.split()), "")
    return int(word) if word.isascii() and word.isdigit() else None  # "max" is no limit
