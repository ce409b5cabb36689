"""What Windows and macOS say about the disk under a path: their own tools are asked, nothing is changed."""

from __future__ import annotations

import functools
import json
import plistlib
import re
import subprocess
from typing import Any  # answers of other programs

from kerasdiag.environment.block_devices import Disk
from kerasdiag.environment.storage_class import StorageClass

_TIMEOUT_S = 10.0  # PowerShell takes 1 to 3 s to start

# MSFT_PhysicalDisk (learn.microsoft.com/windows-hardware/drivers/storage/msft-physicaldisk).
_MEDIA = {3: StorageClass.ROTATING, 4: StorageClass.SSD, 5: StorageClass.NVME}  # hard disk, SSD, storage class memory
_USB, _ISCSI, _SD, _NVME = 7, 9, 12, 17
_VIRTUAL = (14, 15, 16)  # virtual, a file, Storage Spaces
# A partition knows the number of its disk. By CIM the kinds are numbers; Get-PhysicalDisk would translate them.
_QUESTION = (
    "$number = (Get-Partition -DriveLetter {letter} -ErrorAction Stop).DiskNumber; "
    "Get-CimInstance -Namespace root/microsoft/windows/storage -ClassName MSFT_PhysicalDisk -ErrorAction Stop | "
    "Where-Object DeviceId -eq $number | Select-Object DeviceId,FriendlyName,MediaType,BusType | ConvertTo-Json -Compress"
)


def disk_of_drive(letter: str) -> Disk | None:
    """Return the disk under a drive of Windows, None where it does not say. Never raises.

    Args:
        letter: ``"C"``.
    """
    if len(letter) != 1 or not (letter.isascii() and letter.isalpha()):
        return None
    try:
        said: Any = json.loads(
            _run(("powershell", "-NoProfile", "-NonInteractive", "-Command", _QUESTION.format(letter=letter)))
        )
        return _of_physical_disk(said)
    except (ValueError, TypeError, KeyError):  # several disks, none, or no answer
        return None


def _of_physical_disk(said: dict[str, Any]) -> Disk:
    bus, media = int(said["BusType"]), int(said["MediaType"])
    name = str(said.get("FriendlyName") or f"disk {said['DeviceId']}")
    storage_class = _MEDIA.get(media, StorageClass.UNKNOWN)
    if bus == _ISCSI:
        storage_class = StorageClass.NETWORK
    elif bus in _VIRTUAL:
        storage_class = StorageClass.UNKNOWN
    elif bus == _NVME:
        storage_class = StorageClass.NVME
    elif bus == _SD:
        storage_class = StorageClass.SSD
    return Disk(
        storage_class,
        name,
        is_usb=bus == _USB,
        reason=f"MSFT_PhysicalDisk of {name}: MediaType {media}, BusType {bus}",
        is_card=bus == _SD,
    )


def disk_of_path(path: str) -> tuple[str, str, Disk] | None:
    """Return what is mounted, its file system and its disk under a path on macOS, None where it does not say.

    Args:
        path: An existing one.
    """
    lines = _run(("df", "-P", path)).splitlines()
    # Sources and mount points may hold spaces: blocks, used, available and capacity stand between them.
    columns = re.fullmatch(r"(.+?)\s+\d+\s+\d+\s+\d+\s+\d+%\s+(.+)", lines[1]) if len(lines) == 2 else None
    if columns is None:
        return None
    source = columns[1]
    if source.startswith("//") or ":/" in source:
        return (
            source,
            "",
            Disk(StorageClass.NETWORK, "", is_usb=False, reason="df: what is mounted there is a server's"),
        )
    try:
        said: Any = plistlib.loads(_run(("diskutil", "info", "-plist", source)).encode())
        return source, str(said.get("FilesystemType", "")), _of_diskutil(said)
    except (plistlib.InvalidFileException, ValueError, TypeError, KeyError, AttributeError):
        return None


def _of_diskutil(said: dict[str, Any]) -> Disk:
    name, bus = str(said.get("ParentWholeDisk") or said["DeviceIdentifier"]), str(said.get("BusProtocol", ""))
    is_solid, is_usb = said.get("SolidState"), bus == "USB"
    storage_class = StorageClass.UNKNOWN
    if bus == "Secure Digital":
        storage_class = StorageClass.SSD
    elif bus == "Disk Image":
        pass
    elif is_solid is True:
        storage_class = StorageClass.NVME if bus in ("PCI-Express", "Apple Fabric") else StorageClass.SSD
    elif is_solid is False and not is_usb:  # sticks say so, too
        storage_class = StorageClass.ROTATING
    solid = "does not say whether it is solid state"
    if is_solid is not None:
        solid = "is solid state" if is_solid else "is not solid state"
    return Disk(
        storage_class,
        name,
        is_usb=is_usb,
        reason=f"diskutil: {name} {solid}, on {bus or 'an unknown bus'}",
        rotational=None if is_solid is None else not is_solid,
        is_card=bus == "Secure Digital",
    )


@functools.lru_cache(maxsize=32)
def _run(command: tuple[str, ...]) -> str:
    """Return what a program prints; empty if it fails or does not come back."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")
