"""What the machine did to this process from one moment to another: throttling, stolen time, pressure, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional  # Python 3.9 evaluates these annotations, see profile_json

from kerasdiag.environment.cgroups import groups_of
from kerasdiag.environment.memory import memory_limit
from kerasdiag.environment.pressure import Counters, share_between, throttled_between

RESOURCES = ("cpu", "io", "memory")


@dataclass(frozen=True)
class MachineWindow:
    """What the machine did between two moments. What the system does not tell is None.

    Attributes:
        seconds: How long it was watched.
        throttled_fraction: Share of the periods of a CPU quota in which this process' group was stopped (0-1).
        steal_fraction: Share of the machine's CPU time that its hypervisor gave to others (0-1).
        stalled_fractions: ``"cpu"``, ``"io"``, ``"memory"`` -> share of the time in which some task waited for it (pressure
            stall information; of this process' group where that has it, else of the machine).
        peak_memory_bytes: Most memory that the process held at once, None where it was not more than before.
        memory_limit_bytes: What it may hold, None without a limit below the machine's memory.
    """

    seconds: float
    throttled_fraction: Optional[float] = None
    steal_fraction: Optional[float] = None
    stalled_fractions: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: Optional[int] = None
    memory_limit_bytes: Optional[int] = None


class WindowWatch:
    """Reads the counters at its begin and at each look; never raises.

    Args:
        root: Where ``/proc`` and ``/sys`` are found; tests pass a tree of their own.
        clock: Seconds, monotonic.
    """

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._begin_s = clock()
        self._before = Counters(root)
        self._stalls = _stall_totals(root)
        self._peak_before = _peak_bytes()
        self._most = 0

    def look(self) -> MachineWindow:
        """Return what happened since the begin."""
        seconds = max(1e-9, self._clock() - self._begin_s)
        after = Counters(self._root)
        stalls = _stall_totals(self._root)
        stalled = {
            name: min(1.0, max(0.0, (stalls[name] - before) / 1e6 / seconds))
            for name, before in self._stalls.items()
            if name in stalls
        }
        return MachineWindow(
            round(seconds, 6),
            throttled_between(self._before.throttled, after.throttled),
            share_between(self._before.cpu, after.cpu),
            stalled,
            self._peak(),
            memory_limit(self._root).limit_bytes,
        )

    def _peak(self) -> int | None:
        """The process' peak is that of its life; it lies in the window if it grew."""
        peak = _peak_bytes()
        if peak and self._peak_before and peak > self._peak_before:
            return peak
        self._most = max(self._most, _resident_bytes())
        return self._most or None


def _stall_totals(root: Path) -> dict[str, int]:
    """Microseconds in which some task waited for each resource; of our own group if it has them."""
    totals: dict[str, int] = {}
    groups = groups_of("cpu", root)
    for name in RESOURCES:
        places = [group.folder / f"{name}.pressure" for group in reversed(groups)] + [root / "proc/pressure" / name]
        total = next((found for found in map(_some_total, places) if found is not None), None)
        if total is not None:
            totals[name] = total
    return totals


def _some_total(file: Path) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        kind, _, rest = line.partition(" ")
        value = dict(pair.partition("=")[::2] for pair in rest.split()).get("total", "")
        if kind == "some" and value.isascii() and value.isdigit():
            return int(value)
    return None


def _peak_bytes() -> int:
    try:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) * (1 if sys.platform == "darwin" else 1024)
    except (ImportError, OSError, ValueError):  # Windows has no such module
        return 0


def _resident_bytes() -> int:
    try:
        import psutil  # here, so that `import kerasdiag` stays fast

        return int(psutil.Process().memory_info().rss)
    except Exception:
        return 0
