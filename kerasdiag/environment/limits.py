"""Limits and settings of the system that a training may run into."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LimitFacts:
    """What is set. None where the system does not tell, or has no such limit.

    Attributes:
        shared_memory_bytes: Size of ``/dev/shm``.
        governor: How the kernel chooses the CPU's clock, such as ``"powersave"``.
        governor_driver: The driver that does it; of some, ``powersave`` is the normal choice.
        on_battery: Whether the machine runs on its battery.
    """

    shared_memory_bytes: int | None = None
    governor: str | None = None
    governor_driver: str | None = None
    on_battery: bool | None = None


def find_limits(root: Path = Path("/")) -> LimitFacts:
    """Look at limits; never raises.

    Args:
        root: Where ``/proc``, ``/sys`` and ``/dev`` are found.
    """
    policy = root / "sys/devices/system/cpu/cpu0/cpufreq"
    return LimitFacts(
        shared_memory_bytes=_size_of(root / "dev/shm"),
        governor=_read(policy / "scaling_governor") or None,
        governor_driver=_read(policy / "scaling_driver") or None,
        on_battery=_on_battery(root),
    )


def _size_of(folder: Path) -> int | None:
    try:
        found = os.statvfs(folder)
    except (OSError, AttributeError):  # no such folder; Windows
        return None
    return found.f_frsize * found.f_blocks


def _on_battery(root: Path) -> bool | None:
    """Whether every supply from outside is off; None where none is listed (desktops, servers)."""
    folder = root / "sys/class/power_supply"
    try:
        # A mouse has a battery, too; its scope is a device.
        own = [one for one in folder.iterdir() if _read(one / "scope") != "Device"]
        supplies = [(_read(one / "type"), _read(one / "online")) for one in own]
    except OSError:
        return None
    mains = [online for kind, online in supplies if kind in ("Mains", "USB")]
    has_battery = any(kind == "Battery" for kind, _ in supplies)
    return all(online == "0" for online in mains) if mains and has_battery else None


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
