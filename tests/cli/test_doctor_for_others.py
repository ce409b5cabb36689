"""kerasdiag doctor --format markdown: what names the user, the machine, servers and data does not get into an issue."""

from __future__ import annotations

import dataclasses
import platform
import re

import pytest
from builders import make_census, make_profile
from doctor.fake_nvml import Nvml
from doctor.planted import PlantedMachine

from kerasdiag.cli import main
from kerasdiag.doctor import runner
from kerasdiag.environment import data_files
from kerasdiag.environment.tensorflow_probe import ProbeFacts
from kerasdiag.environment.throughput.facts import ImageFile

PCI = "pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0"


@pytest.fixture
def for_others(tmp_path, monkeypatch, capsys):
    """Write the report of a machine with this mount under its data; returns it."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(data_files, "LISTING_S", 60.0)

    runs = 0

    def run(*arguments, mounted="ext4 /dev/nvme0n1", number="259:0", point="/mnt/clinic", folder="set", change=None):
        mounts = f"1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n2 1 {number} / {point} rw - {mounted} rw"
        nonlocal runs
        runs += 1
        machine = PlantedMachine(tmp_path / f"machine{runs}", mounts=mounts).newest()
        machine.disk("nvme0n1", "259:0", 0, PCI, device__transport="pcie")
        machine.latency_s = 0.02
        machine.photos(f"{point[1:]}/{folder}", rows=1000)
        if change:
            change(machine)
        monkeypatch.setattr(runner, "Sources", machine.sources)
        data = [] if "--data" in arguments else ["--data", f"{point}/{folder}"]
        main(["doctor", "--format", "markdown", "--fail-on", "never", *data, *map(str, arguments)])
        return capsys.readouterr().out

    return run


MOUNTED = (
    "fuse.gcsfuse company-bucket",
    "tmpfs company-tmp",
    "nfs4 [2001:db8::5]:/photos",
    "ceph 10.0.0.1,10.0.0.2:6789:/vol",
    "lustre 10.1.1.1@tcp0:/fs",
    "fuse.sshfs bob@nas.corp:/x",
    "fuse.rclone gdrive:company",
    "fuse s3://company/x",
    "fuse.hdfs hdfs://nn01:8020",
    "davfs https://files.corp.example/dav",
    "cifs //bob@nas/share",
    "fuse.own-thing company",
    "zfs tank/company",
)
PRIVATE = re.compile(r"company|2001:|10\.\d|:/vol|tcp0|:/fs|bob|\bnas\b|corp|gdrive|s3:|nn01|tank|clinic|/mnt")


@pytest.mark.parametrize("mounted", MOUNTED)
@pytest.mark.parametrize("options", [[], ["--no-io"]])
def test_what_is_mounted_from_where(for_others, mounted, options):
    """Its kind is told, not whose it is, nor where."""
    said = for_others(*options, mounted=mounted, number="0:60")
    assert mounted.split()[0] in said
    assert PRIVATE.findall(said) == []


def test_a_disk_is_named(for_others):
    """What is called so on every machine says nothing about this one."""
    assert "| storage | nvme (nvme0n1, ext4) |" in for_others()


@pytest.mark.parametrize("data", ["/mnt/clinic/set", "/mnt/clinic/set/list.csv"])
def test_files_and_folders_of_the_data(for_others, data):
    """Neither those that are broken, nor the folder to copy, nor a file that a list names and that is gone."""

    def change(machine):
        bad = [ImageFile(f"/mnt/clinic/set/patient_{kind}.jpg", 17, problem=kind) for kind in ("empty", "truncated")]
        turned = ImageFile("/mnt/clinic/set/patient_7.jpg", 9, "JPEG", "CMYK", 9, 9, is_rotated=True)
        machine.throughput = {"census": (*make_census(folder="/mnt/clinic/set"), *bad, turned)}
        machine.write("mnt/clinic/set/list.csv", "filename\n0.jpg\n1.jpg\npatient_8.jpg\n")

    said = for_others("--data", data, mounted="nfs4 nas:/sets", number="0:60", change=change)
    assert "patient" not in said
    assert PRIVATE.findall(said) == []
    assert "rsync -a <data> /path/on/an/ssd/" in said
    assert "left out, for it may name what is yours" in said
    assert ("1 of 3 files tried does not exist" in said) is data.endswith(".csv")


def test_an_everyday_word_as_the_folder_of_the_data(for_others, tmp_path, monkeypatch):
    """The word stands in half of all sentences, and is replaced in none."""
    monkeypatch.chdir(tmp_path)
    folder = str(tmp_path / "images")
    said = for_others("--data", "images", change=lambda machine: machine.photos(folder[1:], rows=10))
    assert "images/s with" in said
    assert said.count("<data>") == said.count("rsync -a <data> /path/on/an/ssd/")
    assert folder not in said


def test_the_machine_of_a_profile(for_others, tmp_path):
    """Its name is nobody's business, however long or short it is."""
    for host in ("gpunode17.clinic.example", "vm"):
        profile = tmp_path / "run.kdprof.json"
        dataclasses.replace(make_profile(0.01, 0.1), host=host).save(profile)
        said = for_others("--profile", profile)
        assert "| profile | of 2026-11-23T10:00:00+00:00 |" in said
        assert not re.search(rf"\b{host}\b", said)


def test_what_tensorflow_printed(for_others):
    """It names the host where CUDA fails, and folders where a module is missing."""

    def change(machine):
        lines = ("hostname: gpunode17", 'File "/mnt/clinic/venv/x.py"', "ImportError: no module")
        machine.probed = ProbeFacts(failure="ImportError: no module", output=lines)

    said = for_others(change=change)
    assert "cannot be imported: ImportError: no module." in said
    assert "gpunode17" not in said
    assert PRIVATE.findall(said) == []


def test_values_that_may_be_paths(for_others):
    """Of a variable whose value is a file of the user's only the name is told."""

    def change(machine):
        machine.environ["CUDA_INJECTION64_PATH"] = "/srv/company/lib.so"
        machine.nvml = Nvml({})

    said = for_others("--select", "KD501", change=change)
    assert "CUDA\\_INJECTION64\\_PATH loads a profiler" in said
    assert "company" not in said
