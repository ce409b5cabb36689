"""Disks of Windows and macOS, from answers of their own tools in the form that their documentation gives."""

from __future__ import annotations

import json
import plistlib
import subprocess
import sys

import pytest

from kerasdiag.environment import local_disks, storage
from kerasdiag.environment.storage import StorageClass, storage_of

UNKNOWN, SSD, NVME, ROTATING, NETWORK = (
    StorageClass.UNKNOWN, StorageClass.SSD, StorageClass.NVME, StorageClass.ROTATING, StorageClass.NETWORK,
)  # fmt: skip


@pytest.fixture
def system(monkeypatch):
    """Be this system, whose programs print this; returns the commands that were given."""
    commands = []

    def become(name, **answers):
        def run(command):
            commands.append(command)
            return answers.get(command[0], "")

        monkeypatch.setattr(storage.platform, "system", lambda: name)
        monkeypatch.setattr(storage, "_drive_type", lambda drive: 3)
        monkeypatch.setattr(local_disks, "_run", run)
        return commands

    return become


def physical_disk(media, bus, name="WDC WD40EFRX"):
    return json.dumps({"DeviceId": "1", "FriendlyName": name, "MediaType": media, "BusType": bus})


@pytest.mark.parametrize(
    ("media", "bus", "storage_class", "is_usb", "is_card"),
    [
        (3, 11, ROTATING, False, False),
        (3, 7, ROTATING, True, False),
        (4, 11, SSD, False, False),
        (4, 17, NVME, False, False),
        (0, 17, NVME, False, False),
        (0, 7, UNKNOWN, True, False),
        (0, 12, SSD, False, True),
        (3, 9, NETWORK, False, False),
        (3, 14, UNKNOWN, False, False),
        (0, 11, UNKNOWN, False, False),
    ],
)
def test_windows(system, media, bus, storage_class, is_usb, is_card):
    """Numbers of MSFT_PhysicalDisk."""
    commands = system("Windows", powershell=physical_disk(media, bus))
    facts = storage_of(r"D:\photos\cats")
    assert (facts.storage_class, facts.is_usb, facts.is_card) == (storage_class, is_usb, is_card)
    assert (facts.device, facts.mount_point) == ("WDC WD40EFRX", "D:")
    assert facts.reason == f"MSFT_PhysicalDisk of WDC WD40EFRX: MediaType {media}, BusType {bus}"
    assert "-DriveLetter D " in commands[0][-1]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "null",
        "{}",
        '[{"MediaType": 3}, {"MediaType": 4}]',
        "Get-Partition: denied",
        '{"MediaType": null, "BusType": 7}',
    ],
)
def test_windows_does_not_tell(system, said):
    """Storage Spaces have several disks; a user without rights gets an error."""
    system("Windows", powershell=said)
    facts = storage_of(r"D:\photos")
    assert (facts.storage_class, facts.reason) == (UNKNOWN, "Windows does not tell which disk D: lies on")


def test_nothing_but_a_letter_reaches_the_shell(system):
    """A path cannot bring a command along."""
    commands = system("Windows", powershell=physical_disk(3, 11))
    assert local_disks.disk_of_drive("1") is None
    assert local_disks.disk_of_drive("C;rm") is None
    assert local_disks.disk_of_drive("") is None
    assert commands == []


DF = "Filesystem   512-blocks      Used Available Capacity  Mounted on\n{source}   976490568 451024112 480000000    49%    {point}\n"


def mac(system, **said):
    answer = plistlib.dumps({"DeviceIdentifier": "disk3s5", "FilesystemType": "apfs", **said}).decode()
    return system("Darwin", df=DF.format(source="/dev/disk3s5", point="/System/Volumes/Data"), diskutil=answer)


@pytest.mark.parametrize(
    ("said", "storage_class", "is_usb", "is_card"),
    [
        ({"SolidState": True, "BusProtocol": "Apple Fabric", "Internal": True}, NVME, False, False),
        ({"SolidState": True, "BusProtocol": "PCI-Express"}, NVME, False, False),
        ({"SolidState": True, "BusProtocol": "SATA"}, SSD, False, False),
        ({"SolidState": False, "BusProtocol": "SATA"}, ROTATING, False, False),
        ({"SolidState": False, "BusProtocol": "USB"}, UNKNOWN, True, False),
        ({"SolidState": True, "BusProtocol": "USB"}, SSD, True, False),
        ({"SolidState": False, "BusProtocol": "Secure Digital"}, SSD, False, True),
        ({"SolidState": False, "BusProtocol": "Disk Image"}, UNKNOWN, False, False),
        ({"BusProtocol": "SATA"}, UNKNOWN, False, False),
        ({}, UNKNOWN, False, False),
    ],
)
def test_macos(system, said, storage_class, is_usb, is_card):
    """Sticks say that they are no solid state; a disk image says what it is made of by default."""
    commands = mac(system, ParentWholeDisk="disk0", **said)
    facts = storage_of("/absent/photos")  # the root is looked at, which exists everywhere
    assert (facts.storage_class, facts.is_usb, facts.is_card) == (storage_class, is_usb, is_card)
    assert (facts.device, facts.file_system, facts.source) == ("disk0", "apfs", "/dev/disk3s5")
    assert commands == [("df", "-P", "/"), ("diskutil", "info", "-plist", "/dev/disk3s5")]


@pytest.mark.parametrize("source", ["//me@nas/my sets", "nas:/export/sets"])
def test_macos_over_the_network(system, source):
    """Of SMB and NFS; diskutil knows disks only."""
    commands = system("Darwin", df=DF.format(source=source, point="/Volumes/my sets"))
    facts = storage_of("/")
    assert (facts.storage_class, facts.source, facts.device) == (NETWORK, source, None)
    assert len(commands) == 1


@pytest.mark.parametrize(
    "answers",
    [{}, {"df": "no such thing"}, {"df": DF.format(source="/dev/disk1", point="/"), "diskutil": "Could not find"}],
)
def test_macos_does_not_tell(system, answers):
    """No program, or no answer."""
    system("Darwin", **answers)
    facts = storage_of("/")
    assert (facts.storage_class, facts.reason) == (UNKNOWN, "neither df nor diskutil tells what / lies on")


def test_programs(monkeypatch):
    """What one prints is the answer; one that fails, hangs or is not there gives none."""
    local_disks._run.cache_clear()
    assert local_disks._run((sys.executable, "-c", "print('said')")).strip() == "said"
    assert local_disks._run((sys.executable, "-c", "print('said'); raise SystemExit(1)")) == ""
    assert local_disks._run(("/absent/program",)) == ""
    monkeypatch.setattr(local_disks, "_TIMEOUT_S", 0.2)
    assert local_disks._run((sys.executable, "-c", "import time; time.sleep(60)")) == ""


def test_a_program_is_asked_once(monkeypatch):
    """Sixteen files of a sample lie on one drive."""
    calls = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **options: calls.append(command) or real(command, **options))
    local_disks._run.cache_clear()
    for _ in range(3):
        local_disks._run((sys.executable, "-c", "print(1)"))
    assert len(calls) == 1
