"""What kind of disk a block device is, read from ``/sys`` (Linux).

``queue/rotational`` alone is wrong on most virtual machines and on many USB devices
(kubevirt/kubevirtci#666, GuillaumeGomez/sysinfo#1197): it counts only where a real disk says it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kerasdiag.environment.storage_class import FROM_SLOWEST, StorageClass


class Disk(NamedTuple):
    """Kind of a disk and how that is known.

    Attributes:
        storage_class: The kind.
        name: The kernel's name, such as ``sda``.
        is_usb: Whether it hangs on USB.
        reason: The evidence in a few words.
        rotational: What ``queue/rotational`` says, whether or not it is believed; None where it says nothing.
        usb_megabits_per_s: Speed of the USB link, 480 for USB 2; None where there is none.
        is_card: Whether it is an SD card in a reader of its own; on USB that does not show.
    """

    storage_class: StorageClass
    name: str
    is_usb: bool
    reason: str
    rotational: bool | None = None
    usb_megabits_per_s: float | None = None
    is_card: bool = False


# Devices whose name already says what they are.
_BY_NAME = (
    (r"z?ram\d+", StorageClass.MEMORY, "{name} is memory"),
    (r"[nr]bd\d+", StorageClass.NETWORK, "{name} is a network block device"),
    (r"sr\d+", StorageClass.ROTATING, "{name} is an optical drive"),
    (r"loop\d+", StorageClass.UNKNOWN, "{name} is a file used as a disk"),
)
# A virtual disk says about rotation what its driver writes by default, not what lies below.
_VIRTUAL_NAME = r"(vd[a-z]+|xvd[a-z]+\d*)"
_VIRTUAL_BUS = r"(virtio\d+|vbd-\d+|VMBUS:.*)"  # a folder on the device's way through /sys/devices
_VIRTUAL_MODEL = r"QEMU|VBOX|VMware|Virtual|PersistentDisk"
# Volumes behind a network that appear as local NVMe disks: AWS EBS, Google and Azure disks.
_NETWORK_VOLUME = r"Amazon Elastic Block Store|nvme_card-pd|MSFT NVMe Accelerator"
_DEEPEST_STACK = 8  # file system on LUKS on LVM on RAID on a partition is 4


def find_device(number: str, source: str, root: Path) -> list[Path]:
    """Return the folders in ``/sys`` of the devices under a mount; empty where none is found.

    Args:
        number: ``major:minor`` of the mount. With major 0 (btrfs) /sys does not know it; then the source counts.
        source: Source of the mount, ``/dev/...``; several by colon (bcachefs).
        root: Where ``/sys`` and ``/dev`` are found.
    """
    numbered = root / "sys/dev/block" / number
    if os.path.isdir(numbered):
        return [_real(numbered)]
    found = [_named(part, root) for part in source.split(":") if part.startswith("/dev/")]
    devices = [device for device in found if device is not None]
    if len(devices) == 1:
        # btrfs names one of its devices as the source and lists all of them.
        for folder in (root / "sys/fs/btrfs").glob(f"*/devices/{devices[0].name}"):
            return sorted(_real(sibling) for sibling in folder.parent.iterdir())
    return devices


def slowest(disks: Iterable[Disk]) -> Disk:
    """Return the disk that decides how fast single reads from all of them are."""
    return min(disks, key=lambda disk: FROM_SLOWEST.index(disk.storage_class))


def disk_of(device: Path, root: Path, depth: int = 0) -> Disk:
    """Return the disk under a device: partitions go to their disk, RAID, LVM and LUKS to the slowest below."""
    if (device / "partition").exists():
        device = device.parent
    name = device.name
    below = sorted((device / "slaves").iterdir()) if os.path.isdir(device / "slaves") else []
    if below and depth < _DEEPEST_STACK:
        disk = slowest([disk_of(_real(slave), root, depth + 1) for slave in below])
        encrypted = ", encrypted," if _read(device / "dm/uuid").startswith("CRYPT-") else ""
        return disk._replace(reason=f"{disk.reason}; {name}{encrypted} lies on it")
    way = device.relative_to(os.path.realpath(root)).parts
    is_usb = any(re.fullmatch(r"usb\d+", part) for part in way)
    storage_class, reason = _judge(device, way, is_usb, root)
    rotational = {"0": False, "1": True}.get(_read(device / "queue/rotational"))
    # The same driver serves eMMC, memory that is soldered in.
    is_card = name.startswith("mmcblk") and _read(device / "device/type") == "SD"
    return Disk(storage_class, name, is_usb, reason, rotational, _usb_speed(device) if is_usb else None, is_card)


def _judge(device: Path, way: tuple[str, ...], is_usb: bool, root: Path) -> tuple[StorageClass, str]:
    name = device.name
    for pattern, storage_class, reason in _BY_NAME:
        if re.fullmatch(pattern, name):
            return storage_class, reason.format(name=name)
    if any(re.fullmatch(r"session\d+", part) for part in way):
        return StorageClass.NETWORK, f"{name} is reached through iSCSI"
    files = [device / "device/transport", *(device / "device").glob("nvme*/transport")]
    transport = next((text for text in map(_read, files) if text in ("tcp", "rdma", "fc")), None)
    if transport:
        return StorageClass.NETWORK, f"{name} is NVMe over {transport}"
    rotational = _read(device / "queue/rotational")
    said = f"/sys/block/{name}/queue/rotational is {rotational or 'not readable'}"
    virtual = _why_virtual(device, way)
    if virtual:
        return StorageClass.UNKNOWN, f"{name} is a virtual disk ({virtual}); that {said} proves nothing"
    if rotational == "0":
        return (StorageClass.NVME if name.startswith("nvme") else StorageClass.SSD), said
    if rotational != "1":
        return StorageClass.UNKNOWN, said
    if _has_hypervisor(root):
        return StorageClass.UNKNOWN, f"{said}, which proves nothing in a virtual machine (/proc/cpuinfo: hypervisor)"
    if is_usb and _read(device / "removable") == "1":
        return StorageClass.UNKNOWN, f"{said}, but USB sticks and card readers often say so falsely"
    return StorageClass.ROTATING, said


def _why_virtual(device: Path, way: tuple[str, ...]) -> str | None:
    if re.fullmatch(_VIRTUAL_NAME, device.name):
        return "by its name"
    bus = next((part for part in way if re.fullmatch(_VIRTUAL_BUS, part)), None)
    if bus:
        return f"on {bus}"
    model = f"{_read(device / 'device/vendor')} {_read(device / 'device/model')}".strip()
    return f"model {model}" if re.search(f"{_VIRTUAL_MODEL}|{_NETWORK_VOLUME}", model) else None


def _usb_speed(device: Path) -> float | None:
    """Speed that the USB device nearest to a disk has negotiated; ports look like ``2-3`` and ``2-3.1``."""
    for folder in device.parents:
        if re.fullmatch(r"\d+-\d+(\.\d+)*", folder.name):
            try:
                return float(_read(folder / "speed"))
            except ValueError:
                return None
    return None


def _has_hypervisor(root: Path) -> bool:
    try:
        with open(root / "proc/cpuinfo", "rb") as file:
            return b" hypervisor" in file.read(16384)  # the first core's flags
    except OSError:
        return False


def _named(source: str, root: Path) -> Path | None:
    """Folder in /sys of ``/dev/...``, whether or not that node exists here (containers have few)."""
    node = os.path.realpath(root / source.lstrip("/"))
    for name in (os.path.basename(node), os.path.basename(source)):
        for folder in ("sys/class/block", "sys/block"):
            if os.path.isdir(root / folder / name):
                return _real(root / folder / name)
    for name_file in (root / "sys/block").glob("dm-*/dm/name"):
        if source == f"/dev/mapper/{_read(name_file)}":
            return _real(name_file.parent.parent)
    return None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
