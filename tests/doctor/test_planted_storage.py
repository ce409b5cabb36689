"""Planted machines whose data lie in a slow place: through the command line, the first finding is the place."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from builders import make_data, make_environment, make_storage
from doctor.test_planted import PCI, doctor, first, is_example, nvme  # noqa: F401 - a fixture
from machines import ATA, USB

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment import data_files, local_disks, storage
from kerasdiag.environment.placeholders import count_placeholders
from kerasdiag.environment.storage import StorageClass
from kerasdiag.findings import Status

OK, INFO, WARN, ERROR, SKIPPED, NOT_TOLD, CRASHED = Status
ROOT = "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n"
CARD_READER = "platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block"


def with_card(root, kind="SD"):
    machine = nvme(root, mounts=f"{ROOT}2 1 179:1 / /data rw - ext4 /dev/mmcblk0p1 rw")
    return machine.disk("mmcblk0", "179:0", 0, CARD_READER, {"mmcblk0p1": "179:1"}, device__type=kind)


def place(finding):
    return finding["code"], finding["severity"]


@pytest.mark.parametrize("latency_s", [0.006, 0.004])
def test_an_sd_card(tmp_path, doctor, latency_s):  # noqa: F811
    """As slow as a hard disk or a little faster: the card is the cause, no contradiction and no mere number."""
    machine = with_card(tmp_path)
    machine.latency_s = latency_s
    report, _ = doctor(machine, "--data", machine.photos())
    assert place(first(report)) == ("KD310", "warn")
    assert not {"KD301", "KD302", "KD303"} & {finding["code"] for finding in report["findings"]}
    if latency_s == 0.006:
        assert is_example(first(report))


def test_an_sd_card_that_nobody_read(tmp_path, doctor):  # noqa: F811
    """What its interface carries at most is all that is known."""
    machine = with_card(tmp_path)
    finding = first(doctor(machine, "--data", machine.photos(), "--no-io")[0])
    assert finding["code"] == "KD310"
    assert finding["price"]["value"] == pytest.approx(155_096 * 100_000 / 104e6)


def test_soldered_memory_is_no_card(tmp_path, doctor):  # noqa: F811
    """Of the same driver."""
    machine = with_card(tmp_path, "MMC")
    report, _ = doctor(machine, "--data", machine.photos(), "--select", "KD310")
    assert report["checks"][0]["status"] == "ok"


REMOTE = {
    "KD305": ("/mnt/c", r"9p C:\134 rw,dirsync,aname=drvfs;path=C:\134;uid=1000", 0.0082),
    "KD306": ("/content/drive", "fuse drive rw,user_id=0,allow_other", 0.310),
    "KD304": ("/mnt/set", "fuse.gcsfuse my-bucket rw", 0.090),
}


@pytest.mark.parametrize("code", REMOTE)
def test_files_that_come_from_elsewhere(tmp_path, doctor, code):  # noqa: F811
    """A Windows drive under WSL, Google Drive in Colab, a bucket behind gcsfuse: each by its own name, and once."""
    folder, mounted, latency_s = REMOTE[code]
    machine = nvme(tmp_path, mounts=f"{ROOT}2 1 0:60 / {folder} rw,noatime - {mounted}")
    machine.latency_s = latency_s
    report, _ = doctor(machine, "--data", machine.photos(f"{folder[1:]}/photos"))
    assert place(first(report)) == (code, "warn")
    assert {finding["code"] for finding in report["findings"]} & set(REMOTE) == {code}
    assert is_example(first(report)) or code == "KD304"
    if code == "KD304":
        assert "(fuse.gcsfuse)" in first(report)["message"]
        assert first(report)["evidence"][0] == {"text": "mounted from my-bucket", "provenance": "declared"}


@pytest.mark.parametrize(
    ("file_system", "source", "is_windows", "is_google"),
    [
        ("9p", "C:\\", True, False),
        ("9p", "drvfs", True, False),
        ("drvfs", "D:", True, False),
        ("virtiofs", "drvfsa2", True, False),
        ("virtiofs", "share", False, False),
        ("9p", "hostshare", False, False),  # QEMU
        ("9p", "none", False, False),
        ("fuse", "drive", False, True),
        ("fuse.drivefs", "drivefs", False, True),
        ("virtiofs", "drive", False, False),  # a share of that name
        ("9p", "drive", False, False),
        ("ext4", "/dev/sda1", False, False),
    ],
)
def test_what_is_a_drive_of_whom(file_system, source, is_windows, is_google):
    """Other systems use the same file systems."""
    storage = make_storage(StorageClass.NETWORK, file_system=file_system, source=source)
    assert (storage.is_windows_drive, storage.is_google_drive) == (is_windows, is_google)


def test_a_storage_that_cannot_be_looked_at(tmp_path, doctor):  # noqa: F811
    """Nobody knows then whether it is a drive of Windows or of Google."""
    machine = nvme(tmp_path)
    data = machine.photos()
    (tmp_path / "proc/self/mountinfo").unlink()
    report, _ = doctor(machine, "--data", data, "--select", "KD3")
    told = {one["code"]: one["status"] for one in report["checks"]}
    assert {told[code] for code in ("KD304", "KD305", "KD306", "KD308", "KD310")} == {"unknown"}


def test_lvm_on_a_hard_disk_and_an_ssd(tmp_path, doctor):  # noqa: F811
    """The slower one of two decides."""
    machine = nvme(tmp_path, mounts=f"{ROOT}2 1 253:0 / /data rw - xfs /dev/mapper/vg-data rw")
    machine.disk("sda", "8:0", 0, ATA.format(1), {"sda1": "8:1"}).disk(
        "sdb", "8:16", 1, ATA.format(2), {"sdb1": "8:17"}
    )
    machine.disk("dm-0", "253:0", 1, slaves=["sda1", "sdb1"], dm__uuid="LVM-abc")
    machine.latency_s = 0.011
    finding = first(doctor(machine, "--data", machine.photos())[0])
    assert place(finding) == ("KD301", "warn")
    assert "the hard disk sdb" in finding["message"]


def test_an_overlay_in_a_container(tmp_path, doctor):  # noqa: F811
    """Docker on a hard disk: its layers lie where it keeps the container's /etc/hostname."""
    machine = nvme(tmp_path, mounts="""
        1 0 0:40 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/var/lib/docker/overlay2/ab/diff,workdir=/w
        2 1 8:1 /var/lib/docker/containers/0f/hostname /etc/hostname rw - ext4 /dev/sda1 rw
    """)  # fmt: skip
    machine.disk("sda", "8:0", 1, ATA.format(1), {"sda1": "8:1"}).write(".dockerenv", "").write("etc/hostname", "0f\n")
    machine.latency_s = 0.011
    finding = first(doctor(machine, "--data", machine.photos())[0])
    assert place(finding) == ("KD301", "warn")
    assert "the hard disk sda" in finding["message"]
    assert "is an overlay" in " ".join(fact["text"] for fact in finding["evidence"])


# --- ten machines on which nothing is wrong


def plain(machine):
    return machine


def luks(machine):
    return machine.disk("dm-0", "253:0", 0, slaves=["nvme0n1"], dm__uuid="CRYPT-LUKS2-1")


def sata(machine):
    return machine.disk("sda", "8:0", 0, ATA.format(1), {"sda1": "8:1"})


def usb_3(machine):
    machine.disk("sdb", "8:16", 0, USB, {"sdb1": "8:17"})
    return machine.write("sys/devices/pci0000:00/0000:00:14.0/usb2/2-3/speed", "10000\n")


def virtual(machine):
    return machine.disk("vda", "254:0", 1, "pci0000:00/0000:00:04.0/virtio1/block", {"vda1": "254:1"})


def raid(machine):
    machine.disk("nvme1n1", "259:5", 0, PCI.replace("3d", "3e").replace("nvme0", "nvme1"), device__transport="pcie")
    return machine.disk("md0", "9:0", 0, slaves=["nvme0n1", "nvme1n1"])


def in_docker(machine):
    return machine.write(".dockerenv", "").write("sys/fs/cgroup/job/cpu.max", "800000 100000\n")


def desktop(machine):
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "intel_pstate\n")
    return machine.write("proc/4711/comm", "clamd\n").write("proc/4711/cmdline", "/usr/sbin/clamd\0")


def busy_but_sound(machine):
    machine.write("proc/pressure/cpu", "some avg10=12.00 avg60=9.00 avg300=5.00 total=1\n")
    return machine.write("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")


def in_memory(machine):
    return machine


HEALTHY = [
    (plain, ""),
    (luks, "2 1 253:0 / /data rw - ext4 /dev/dm-0 rw"),
    (sata, "2 1 8:1 / /data rw - ext4 /dev/sda1 rw"),
    (usb_3, "2 1 8:17 / /data rw - exfat /dev/sdb1 rw"),
    (virtual, "2 1 254:1 / /data rw - ext4 /dev/vda1 rw"),
    (raid, "2 1 9:0 / /data rw - xfs /dev/md0 rw"),
    (in_docker, ""),
    (desktop, ""),
    (busy_but_sound, ""),
    (in_memory, "2 1 0:33 / /data rw - tmpfs tmpfs rw"),
]


@pytest.mark.parametrize(("make", "mount"), HEALTHY, ids=[make.__name__ for make, _ in HEALTHY])
def test_healthy_machines(tmp_path, doctor, make, mount):  # noqa: F811
    """No warning, and every check came to an answer."""
    machine = make(nvme(tmp_path, mounts=ROOT + mount))
    machine.latency_s = 0.0003
    report, code = doctor(machine, "--data", machine.photos(), "--fail-on", "warn", "--strict")
    assert [one for one in report["findings"] if one["severity"] != "info"] == []
    assert (code, report["complete"]) == (0, True)


# --- KD307


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"st_file_attributes": 0x400000}, 1),
        ({"st_file_attributes": 0x1000}, 1),
        ({"st_file_attributes": 0x20}, 0),
        ({"st_flags": 0x40000000}, 1),
        ({"st_flags": 0x20}, 0),
        ({}, None),
    ],
)
def test_what_says_that_a_file_is_in_the_cloud(fields, expected):
    """Attributes of Windows, flags of macOS; Linux has neither."""
    assert count_placeholders(["a.jpg"], lambda name: SimpleNamespace(**fields)) == expected


def test_files_that_cannot_be_looked_at(tmp_path):
    """They are no placeholders, and nobody knows about the others then."""
    assert count_placeholders([os.fspath(tmp_path / "absent")]) is None
    assert count_placeholders([]) is None


def test_files_in_the_cloud(tmp_path, doctor, monkeypatch):  # noqa: F811
    """Half of them: an error, whatever else is slow."""
    machine = nvme(tmp_path)
    monkeypatch.setattr(data_files, "count_placeholders", lambda files: len(files) // 2)
    machine.photos()
    finding = first(doctor(machine, "--data", "/data/photos")[0])
    assert place(finding) == ("KD307", "error")
    assert is_example(finding)


@pytest.mark.parametrize(("placeholders", "status"), [(None, SKIPPED), (0, OK), (1, ERROR)])
def test_one_file_is_enough(placeholders, status):
    """A training reads all of them."""
    environment = make_environment(data=make_data(placeholders=placeholders))
    assert find_check(CHECKS, "KD307").examine(environment).status is status


# --- Windows and macOS


@pytest.mark.parametrize(
    ("system", "path", "answers", "code", "words"),
    [
        (
            "Windows",
            "D:\\photos",
            {"powershell": '{"DeviceId":"1","FriendlyName":"ST4000DM004","MediaType":3,"BusType":11}'},
            "KD301",
            "the hard disk ST4000DM004",
        ),
        (
            "Windows",
            "E:\\photos",
            {"powershell": '{"DeviceId":"2","FriendlyName":"SDXC Card","MediaType":0,"BusType":12}'},
            "KD310",
            "the SD card SDXC Card",
        ),
        (
            "Darwin",
            "/",
            {
                "df": "Filesystem 512-blocks Used Available Capacity Mounted on\n//me@nas/sets 9 4 5 45% /Volumes/sets\n",
            },
            "KD304",
            "over the network: a file",
        ),
    ],
)
def test_other_systems(tmp_path, doctor, monkeypatch, system, path, answers, code, words):  # noqa: F811
    """What their tools say leads to the same findings; the rest of the machine is that of Linux."""
    machine = nvme(tmp_path)
    monkeypatch.setattr(local_disks, "_run", lambda command: answers.get(command[0], ""))
    monkeypatch.setattr(storage, "_drive_type", lambda drive: 3)
    data, real = machine.photos(), storage.storage_of
    monkeypatch.setattr(storage.platform, "system", lambda: system)
    monkeypatch.setattr(data_files, "storage_of", lambda name, root: real(path))
    machine.latency_s = 0.011
    finding = first(doctor(machine, "--data", data, "--ignore", "KD702")[0])
    assert place(finding) == (code, "warn")
    assert words in finding["message"]
