"""Security scanners that look at each file before it may be opened, and how long an open takes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_OPENS = 64
MAX_S = 0.5
MIN_OPENS = 8

# Name of the process, in small letters -> product. Only those that can hold up an open.
PRODUCTS = {
    "wdavdaemon": "Microsoft Defender for Endpoint",
    "msmpeng.exe": "Microsoft Defender",
    "falcon-sensor": "CrowdStrike Falcon",
    "falcon-sensor-bpf": "CrowdStrike Falcon",
    "csfalconservice.exe": "CrowdStrike Falcon",
    "clamonacc": "ClamAV on-access scanning",
    "ds_agent": "Trend Micro Deep Security",
    "ds_am": "Trend Micro Deep Security",
    "elastic-endpoint": "Elastic Defend",
    "elastic-endpoint.exe": "Elastic Defend",
    "kesl": "Kaspersky Endpoint Security",
    "avp.exe": "Kaspersky Endpoint Security",
    "sentinelone-agent": "SentinelOne",
    "sentinelagent.exe": "SentinelOne",
    "sophosfs": "Sophos",
    "savscand": "Sophos",
    "sophosfilescanner.exe": "Sophos",
    "mfetpd": "Trellix Endpoint Security",
    "mcshield.exe": "Trellix Endpoint Security",
    "cbdaemon": "Carbon Black",
    "repmgr.exe": "Carbon Black",
    "ccsvchst.exe": "Symantec Endpoint Protection",
    "avastsvc.exe": "Avast",
    "avgsvc.exe": "AVG",
    "bdservicehost.exe": "Bitdefender",
    "ekrn.exe": "ESET",
    "esets_daemon": "ESET",
}
_KERNEL_NAME_LENGTH = 15  # of /proc/PID/comm


@dataclass(frozen=True)
class ScannerFacts:
    """What runs, and what it costs.

    Attributes:
        products: Product -> name of its process.
        open_s: Seconds that opening and closing files of the data took, whose content is in memory.
        is_listed: Whether the processes of the machine could be listed.
        not_measured: Why there are no opens; empty where there are enough.
        lacks_time: Whether that is for lack of time.
    """

    products: dict[str, str]
    open_s: tuple[float, ...] = ()
    is_listed: bool = True
    not_measured: str = ""
    lacks_time: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether there are enough opens to speak of."""
        return len(self.open_s) >= MIN_OPENS

    @property
    def median_open_s(self) -> float:
        """Median of the opens; only where they were measured."""
        return sorted(self.open_s)[len(self.open_s) // 2]


def process_names(root: Path = Path("/")) -> list[str] | None:
    """Return the names of all processes, None where they cannot be listed.

    In a container these are its own: a scanner of the host does not show.

    Args:
        root: Where ``/proc`` is found.
    """
    try:
        folders = [entry for entry in (root / "proc").iterdir() if entry.name.isdigit()]
    except OSError:
        folders = []
    if folders:
        return [name for name in (_read(folder / "comm") for folder in folders) if name]
    if root != Path("/"):
        return []
    try:
        import psutil

        return [process.info["name"] for process in psutil.process_iter(["name"]) if process.info["name"]]
    except Exception:
        return None


def find_scanners(
    files: Sequence[str],
    root: Path = Path("/"),
    list_processes: Callable[[Path], list[str] | None] = process_names,
    clock: Callable[[], float] = time.perf_counter,
) -> ScannerFacts:
    """Look for scanners, and open files of the data twice: the second time nothing but opening is left to do.

    Args:
        files: Files of the data; empty: none may be read.
        root: Where ``/proc`` is found.
        list_processes: Returns the names of all processes.
        clock: Seconds.
    """
    names = list_processes(root)
    found = {}
    for name in names or ():
        for process, product in PRODUCTS.items():
            if name.lower() in (process, process[:_KERNEL_NAME_LENGTH]):
                found[product] = name
    opens = _time_opens(files, clock)
    few = f"only {len(opens)} files could be opened" if files else "no file was opened"
    why = "" if len(opens) >= MIN_OPENS else few
    return ScannerFacts(found, opens, bool(names), why)  # this process at least has a name


def _time_opens(files: Sequence[str], clock: Callable[[], float]) -> tuple[float, ...]:
    took = []
    end = clock() + MAX_S
    for name in files[:MAX_OPENS]:
        if clock() > end:
            break
        try:
            _open(name)
            begin = clock()
            _open(name)
            took.append(clock() - begin)
        except OSError:
            continue
    return tuple(took)


def _open(name: str) -> None:
    """Open a file and read of it; a pipe would wait for somebody to write."""
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise OSError("no regular file")
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.read(descriptor, 1)
    finally:
        os.close(descriptor)


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except (OSError, ValueError):
        return ""
