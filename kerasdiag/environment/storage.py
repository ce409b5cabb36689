"""What kind of storage a path lies on: the evidence decides, and "unknown" is an answer."""

from __future__ import annotations

import ntpath
import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # ctypes.windll exists on Windows only

from kerasdiag.environment.block_devices import Disk, disk_of, find_device, slowest
from kerasdiag.environment.local_disks import disk_of_drive, disk_of_path
from kerasdiag.environment.mounts import Mount, mount_of, real_path
from kerasdiag.environment.storage_class import StorageClass

__all__ = ["StorageClass", "StorageFacts", "storage_of"]


@dataclass(frozen=True)
class StorageFacts:
    """What a path lies on.

    Attributes:
        storage_class: The kind of storage.
        mount_point: Where its file system is mounted; on Windows the drive. Empty where not found.
        file_system: Type of the file system, empty where not found.
        source: What is mounted: a device, a server; empty where not found.
        device: The kernel's name of the disk that decided, None where there is none.
        is_usb: Whether that disk hangs on USB.
        reason: The evidence in a few words, with the file it stands in.
        rotational: What that disk says about rotation, whether or not it is believed; None where it says nothing.
        usb_megabits_per_s: Speed of its USB link, None where there is none.
        is_card: Whether it is an SD card.
    """

    storage_class: StorageClass
    mount_point: str = ""
    file_system: str = ""
    source: str = ""
    device: str | None = None
    is_usb: bool = False
    reason: str = ""
    rotational: bool | None = None
    usb_megabits_per_s: float | None = None
    is_card: bool = False

    @property
    def is_seen(self) -> bool:
        """Whether anything is known about it."""
        return self.storage_class is not StorageClass.UNKNOWN or self.device is not None or bool(self.file_system)

    @property
    def is_windows_drive(self) -> bool:
        """Whether it is a drive of Windows, seen from Linux inside of it (WSL)."""
        if self.file_system == "virtiofs":  # WSL 2.1 and later, where it is switched on
            return self.source.startswith("drvfs")
        return self.file_system in ("9p", "drvfs") and re.match(r"([A-Za-z]:|drvfs)", self.source) is not None

    @property
    def is_google_drive(self) -> bool:
        """Whether it is Google Drive, mounted as Colab does it or by Google's own programs."""
        if not self.file_system.startswith("fuse"):
            return False  # of anything else, "drive" may be the name of a share
        return self.source == "drive" or self.file_system in ("fuse.drive", "fuse.drivefs")


_NETWORK = (StorageClass.NETWORK, "reads go through a network")
_OBJECTS = (StorageClass.NETWORK, "each file is fetched from a remote store")
_HOST = (StorageClass.UNKNOWN, "a folder of the host, whose disk is not visible here")
_POOL = (StorageClass.UNKNOWN, "its disks are not listed in /sys")
_IN_MEMORY = (StorageClass.MEMORY, "it lives in memory")
# File systems that say more than a device would; without "fuse." in front, in small letters.
_FILE_SYSTEMS = {
    **dict.fromkeys(("tmpfs", "ramfs", "rootfs", "devtmpfs"), _IN_MEMORY),
    **dict.fromkeys(("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "afpfs", "coda"), _NETWORK),
    **dict.fromkeys(("lustre", "gpfs", "beegfs", "fhgfs", "ceph", "ceph-fuse", "panfs", "pvfs2", "wekafs"), _NETWORK),
    **dict.fromkeys(("glusterfs", "orangefs", "moosefs", "mfs", "sshfs", "davfs", "davfs2", "curlftpfs"), _NETWORK),
    **dict.fromkeys(("gcsfuse", "s3fs", "mountpoint-s3", "goofys", "rclone", "juicefs", "blobfuse"), _OBJECTS),
    **dict.fromkeys(("blobfuse2", "drive", "drivefs", "google-drive-ocamlfuse", "onedriver", "hdfs"), _OBJECTS),
    # Each read is a message to another system: QEMU, gVisor, and Windows drives under WSL.
    **dict.fromkeys(("9p", "drvfs"), (StorageClass.NETWORK, "each read is answered by another system")),
    **dict.fromkeys(("virtiofs", "vboxsf", "vmhgfs", "vmhgfs-fuse", "prl_fs", "fakeowner", "grpcfuse", "osxfs"), _HOST),
    "zfs": _POOL,
}  # fmt: skip


def storage_of(path: str | os.PathLike[str], root: Path = Path("/")) -> StorageFacts:
    """Return what kind of storage a path lies on; it need not exist. Never raises.

    Args:
        path: A file or folder; a relative one belongs to the current directory.
        root: Where ``/proc`` and ``/sys`` are found, and ``path`` itself; tests pass a tree of their own.
    """
    system = platform.system()
    try:
        if system == "Windows":
            return _on_windows(ntpath.abspath(os.fspath(path)), _drive_type)
        if system == "Darwin":
            return _on_macos(os.path.abspath(path))
        if system != "Linux":
            return StorageFacts(StorageClass.UNKNOWN, reason="not looked at on this platform")
        real = real_path(path, root)
        mount = mount_of(real, root)
        if mount is None:
            return StorageFacts(StorageClass.UNKNOWN, reason=f"/proc/self/mountinfo has no mount for {real}")
        return _of_mount(mount, root)
    except Exception as error:
        return StorageFacts(StorageClass.UNKNOWN, reason=f"could not be looked at: {type(error).__name__}: {error}")


def _of_mount(mount: Mount, root: Path) -> StorageFacts:
    facts = StorageFacts(StorageClass.UNKNOWN, mount.point, mount.file_system, mount.source)
    if mount.file_system == "overlay":
        return _of_overlay(mount, facts, root)
    name = mount.file_system.lower()
    name = mount.source if name == "fuse" else name.removeprefix("fuse.")
    known = _FILE_SYSTEMS["drvfs"] if facts.is_windows_drive else _FILE_SYSTEMS.get(name)
    if known is None and mount.file_system.startswith("fuse") and "://" in mount.source:
        known = _NETWORK
    if known is not None:
        reason = f"/proc/self/mountinfo: {mount.point} is {mount.file_system}, {known[1]}"
        return replace(facts, storage_class=known[0], reason=reason)
    devices = find_device(mount.device_number, mount.source, root)
    if not devices:
        where = f"{mount.point} ({mount.device_number}, {mount.file_system})"
        return replace(facts, reason=f"/sys shows no block device for {where}")
    return _of_disk(facts, slowest([disk_of(device, root) for device in devices]))


def _of_disk(facts: StorageFacts, disk: Disk) -> StorageFacts:
    return replace(
        facts,
        storage_class=disk.storage_class,
        device=disk.name or None,
        is_usb=disk.is_usb,
        reason=disk.reason,
        rotational=disk.rotational,
        usb_megabits_per_s=disk.usb_megabits_per_s,
        is_card=disk.is_card,
    )


def _of_overlay(mount: Mount, facts: StorageFacts, root: Path) -> StorageFacts:
    """What is written to an overlay goes to its upper layer, which a container mostly cannot see."""
    upper = mount.option("upperdir") or ""
    below = None
    note = ""
    if upper.startswith("/") and os.path.isdir(root / upper.lstrip("/")):
        below = mount_of(real_path(upper, root), root)
        note = f"{mount.point} is an overlay on {upper}"
    if below is None or below.file_system == "overlay":
        below = _beside_docker_layers(upper, root)
        note = f"{mount.point} is an overlay; Docker keeps its layers beside /etc/hostname"
    if below is None:
        return replace(facts, reason=f"{mount.point} is an overlay whose upper layer is not visible here")
    found = _of_mount(below, root)
    return replace(
        found,
        mount_point=facts.mount_point,
        file_system=facts.file_system,
        source=facts.source,
        reason=f"{note}: {found.reason}",
    )


def _beside_docker_layers(upper: str, root: Path) -> Mount | None:
    """Docker mounts /etc/hostname from ``<data>/containers/<id>/hostname``; layers are ``<data>/overlay2/...``.

    The mount shows the data folder as the file system sees it: ``/docker`` where a disk is mounted at
    ``/var/lib``.
    """
    mount = mount_of("/etc/hostname", root)
    data, separator, _ = upper.partition("/overlay2/")
    if mount is None or not separator:
        return None
    seen, separator, _ = mount.root.partition("/containers/")
    return mount if separator and data.endswith(seen) else None


_DRIVE_REMOTE, _DRIVE_RAMDISK = 4, 6  # GetDriveTypeW of the Windows API


def _on_windows(path: str, drive_type: Callable[[str], int]) -> StorageFacts:
    drive = ntpath.splitdrive(path)[0]
    if drive.startswith(("\\\\?\\", "\\\\.\\")):  # the prefixes of long paths and of devices
        drive = ntpath.splitdrive(path[4:])[0] if path[5:6] == ":" else "\\\\" + path[8:].partition("\\")[0]
    if drive.startswith("\\\\"):
        return StorageFacts(StorageClass.NETWORK, drive, reason=f"{drive} is a network share")
    kind = drive_type(drive + "\\") if drive else 0
    if kind == _DRIVE_REMOTE:
        return StorageFacts(StorageClass.NETWORK, drive, reason=f"GetDriveType calls {drive} a network drive")
    if kind == _DRIVE_RAMDISK:
        return StorageFacts(StorageClass.MEMORY, drive, reason=f"GetDriveType calls {drive} a RAM disk")
    disk = disk_of_drive(drive[:1])
    if disk is None:
        return StorageFacts(StorageClass.UNKNOWN, drive, reason=f"Windows does not tell which disk {drive} lies on")
    return _of_disk(StorageFacts(StorageClass.UNKNOWN, drive), disk)


def _on_macos(path: str) -> StorageFacts:
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    found = disk_of_path(path)
    if found is None:
        return StorageFacts(StorageClass.UNKNOWN, reason=f"neither df nor diskutil tells what {path} lies on")
    source, file_system, disk = found
    return _of_disk(StorageFacts(StorageClass.UNKNOWN, file_system=file_system, source=source), disk)


def _drive_type(drive: str) -> int:
    import ctypes

    api: Any = ctypes
    return int(api.windll.kernel32.GetDriveTypeW(drive))
