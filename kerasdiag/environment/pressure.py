"""What slows this process down from outside, watched for a moment: quotas, other machines, memory and disks that wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kerasdiag.environment.cgroups import groups_of

WATCH_S = 0.5  # five periods of a CPU quota; shares below 1 % are noise


@dataclass(frozen=True)
class PressureFacts:
    """Counters of the kernel, as shares of the time watched. What the system does not tell is None.

    Attributes:
        watched_s: How long it was watched.
        throttled: Share of the periods of a CPU quota in which the group was stopped, of the group that was most.
        throttled_ever: The same since the group was made.
        steal: Share of the machine's CPU time that its hypervisor gave to others.
        stalled: ``"cpu"``, ``"memory"`` -> share of the last 10 s in which some task waited for it.
        swapped_pages: Pages moved to or from the swap while watched.
        oom_kills: Processes of the group that were killed for memory since it was made.
    """

    watched_s: float = 0.0
    throttled: float | None = None
    throttled_ever: float | None = None
    steal: float | None = None
    stalled: dict[str, float] = field(default_factory=dict)
    swapped_pages: int | None = None
    oom_kills: int | None = None


def watch_pressure(root: Path = Path("/"), sleep: Callable[[float], object] = time.sleep) -> PressureFacts:
    """Read the counters twice. Never raises.

    Args:
        root: Where ``/proc`` and ``/sys`` are found.
        sleep: Waits between the two readings; tests change the files in it.
    """
    begin, before = time.monotonic(), Counters(root)
    sleep(WATCH_S)
    after = Counters(root)
    return PressureFacts(
        watched_s=time.monotonic() - begin,
        throttled=throttled_between(before.throttled, after.throttled),
        throttled_ever=throttled_between(dict.fromkeys(after.throttled, (0, 0)), after.throttled),
        steal=share_between(before.cpu, after.cpu),
        stalled=_stalled(root),
        swapped_pages=None if None in (before.swapped, after.swapped) else after.swapped - before.swapped,  # type: ignore[operator]
        oom_kills=_oom_kills(root),
    )


class Counters:
    """Numbers that only grow: (what counts, out of how much), None where the system does not tell.

    Attributes:
        throttled: Folder of each group with a CPU quota -> periods in which it was stopped, and periods.
        cpu: Ticks of the processor that its hypervisor gave to others.
        swapped: Pages moved to or from the swap, a plain number.

    Args:
        root: Where ``/proc`` and ``/sys`` are found.
    """

    def __init__(self, root: Path) -> None:
        self.throttled = _throttled(root)
        self.cpu = _steal(root)
        self.swapped = _swapped(root)


def share_between(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return which share of what passed between two readings counts, None where nothing passed or nobody tells."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return min(1.0, max(0.0, (after[0] - before[0]) / (after[1] - before[1])))


def throttled_between(before: Mapping[Path, tuple[int, int]], after: Mapping[Path, tuple[int, int]]) -> float | None:
    """Return the share of its periods in which the group that was stopped most was stopped between two readings.

    Args:
        before: What ``Counters.throttled`` was.
        after: What it is.
    """
    # Each group by its own readings: which of them is the strictest may change meanwhile.
    shares = (share_between(before.get(folder), reading) for folder, reading in after.items())
    return max((share for share in shares if share is not None), default=None)


def _throttled(root: Path) -> dict[Path, tuple[int, int]]:
    found = {}
    for group in groups_of("cpu", root):
        values = _pairs(_read(group.folder / "cpu.stat"))
        if "nr_periods" in values:
            found[group.folder] = values.get("nr_throttled", 0), values["nr_periods"]
    return found


def _steal(root: Path) -> tuple[int, int] | None:
    """Stolen and all ticks of ``/proc/stat``: user nice system idle iowait irq softirq steal; guests are in user."""
    first = _read(root / "proc/stat").partition("\n")[0].split()
    ticks = [int(word) for word in first[1:9] if word.isascii() and word.isdigit()]
    return (ticks[7], sum(ticks)) if first[:1] == ["cpu"] and len(ticks) == 8 else None


def _swapped(root: Path) -> int | None:
    values = _pairs(_read(root / "proc/vmstat"))
    return values["pswpin"] + values["pswpout"] if {"pswpin", "pswpout"} <= values.keys() else None


def _oom_kills(root: Path) -> int | None:
    kills = [
        values["oom_kill"]
        for group in groups_of("memory", root)
        for values in [_pairs(_read(group.folder / "memory.events"))]
        if "oom_kill" in values  # the root of a machine has no such file, that of a container's own namespace has
    ]
    # A parent counts its children's, too: the innermost is ours.
    return kills[-1] if kills else None


def _stalled(root: Path) -> dict[str, float]:
    """``some avg10`` of pressure stall information (docs.kernel.org/accounting/psi.html), of the machine."""
    shares = {}
    for resource in ("cpu", "memory"):
        for line in _read(root / "proc/pressure" / resource).splitlines():
            kind, _, rest = line.partition(" ")
            value = dict(pair.partition("=")[::2] for pair in rest.split()).get("avg10", "")
            if kind == "some" and value.isascii() and value.replace(".", "", 1).isdigit():
                shares[resource] = min(1.0, float(value) / 100)
    return shares


def _pairs(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isascii() and pair[1].isdigit()}


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
