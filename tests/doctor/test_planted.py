"""Planted machines through the command line: the first finding is the cause, with its number."""

from __future__ import annotations

import json
import platform

import pytest
from builders import make_census, make_input, make_profile
from doctor.planted import OWN_CODE, SUBCLASSED, PlantedMachine
from machines import ATA, USB

from kerasdiag.cli import main
from kerasdiag.doctor import runner
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment import data_files
from kerasdiag.environment.throughput.facts import ImageFile

PCI = "pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0"
TWO_DISKS = """
    1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw
    2 1 8:17 / /data rw - ext4 /dev/sdb1 rw
"""


@pytest.fixture(autouse=True)
def _linux(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(data_files, "LISTING_S", 60.0)  # a busy machine must not cut the list short


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Run the command on a planted machine; returns its report and exit code."""

    def run(machine, *arguments):
        monkeypatch.setattr(runner, "Sources", machine.sources)
        code = main(["doctor", "--format", "json", *map(str, arguments)])
        return json.loads(capsys.readouterr().out), code

    return run


def nvme(root, tensorflow="tensorflow", **facts):
    machine = PlantedMachine(root, **facts).newest(tensorflow)
    return machine.disk("nvme0n1", "259:0", 0, PCI, device__transport="pcie")


def first(report):
    assert report["complete"], report["checks"]
    return report["findings"][0]


def is_example(finding):
    """Whether the documentation shows just this message as its example; so it cannot drift."""
    example = " ".join(find_check(CHECKS, finding["code"]).section("Example").split())
    return finding["message"] == example


def severities(report):
    return {finding["severity"] for finding in report["findings"]}


def test_hard_disk(tmp_path, doctor):
    """The data lie on a hard disk, 12.4 ms for each of 155,096 files: half an hour an epoch."""
    machine = nvme(tmp_path, mounts=TWO_DISKS)
    machine.disk("sdb", "8:16", 1, ATA.format(2), {"sdb1": "8:17"})
    machine.latency_s = 0.0124
    report, code = doctor(machine, "--data", machine.photos())
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD301", "warn", 0)
    assert finding["numbers"]["cold_read_p50_s"] == 0.0124
    assert finding["price"]["value"] == pytest.approx(155_096 * 0.0124)
    assert finding["price"]["unit"] == "seconds-per-epoch"
    assert finding["message"] == "The data lie on the hard disk sdb: a file that is not in memory takes 12 ms."
    assert is_example(finding)
    declared, measured = finding["evidence"][:2]
    assert declared == {"text": "/sys/block/sdb/queue/rotational is 1", "provenance": "declared"}
    assert measured["provenance"] == "measured"


def test_usb_2(tmp_path, doctor):
    """A solid-state disk in a USB 2 port: 40 MB/s."""
    machine = nvme(tmp_path, mounts=TWO_DISKS)
    machine.disk("sdb", "8:16", 0, USB, {"sdb1": "8:17"})
    machine.write("sys/devices/pci0000:00/0000:00:14.0/usb2/2-3/speed", "480\n")
    machine.write("sys/devices/pci0000:00/0000:00:14.0/usb2/speed", "480\n")
    machine.latency_s = 0.003
    report, _ = doctor(machine, "--data", machine.photos())
    finding = first(report)
    assert (finding["code"], finding["severity"]) == ("KD308", "warn")
    assert finding["numbers"]["usb_megabits_per_s"] == 480
    assert "480 Mb/s, which gives 40 MB/s at most" in finding["message"]
    assert finding["price"]["value"] == pytest.approx(155_096 * 0.0025)  # the rest of 3 ms is the disk's


def test_usb_2_not_measured(tmp_path, doctor):
    """A stick without reads: the link is all that is known."""
    machine = nvme(tmp_path, mounts=TWO_DISKS)
    machine.disk("sdb", "8:16", 1, USB, {"sdb1": "8:17"}, removable="1")  # a stick, which says that it rotates
    machine.write("sys/devices/pci0000:00/0000:00:14.0/usb2/2-3/speed", "480\n")
    finding = first(doctor(machine, "--data", machine.photos(), "--no-io")[0])
    assert finding["code"] == "KD308"
    assert finding["price"]["value"] == pytest.approx(155_096 * 0.0025)
    assert is_example(finding)


def test_nvme_is_healthy(tmp_path, doctor):
    """A sound machine whose training computes has nothing to report, not even a note."""
    machine = nvme(tmp_path)
    make_profile(0.0005, 0.2, training_input=make_input(workers=4)).save(tmp_path / "run.kdprof.json")
    report, code = doctor(
        machine, "--data", machine.photos(), "--profile", tmp_path / "run.kdprof.json", "--fail-on", "warn"
    )
    assert (report["findings"], code, report["complete"]) == ([], 0, True)
    assert {check["status"] for check in report["checks"]} <= {
        "ok",
        "skipped",
        "unknown",
    }  # of a tree of files not everything is known


@pytest.mark.parametrize("with_data", [True, False])
def test_a_healthy_machine_without_a_profile_has_no_warning(tmp_path, doctor, with_data):
    """The note where this Keras takes its workers is all."""
    machine = nvme(tmp_path)
    report, code = doctor(machine, *(["--data", machine.photos()] if with_data else []), "--fail-on", "warn")
    assert severities(report) == {"info"}
    assert [finding["code"] for finding in report["findings"]] == ["KD702"]
    assert code == 0


def test_nfs(tmp_path, doctor):
    """The data come over the network, 4.1 ms each."""
    machine = nvme(tmp_path, mounts="""
        1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw
        2 1 0:50 / /data rw - nfs4 nas:/sets rw
    """)  # fmt: skip
    machine.latency_s = 0.0041
    finding = first(doctor(machine, "--data", machine.photos())[0])
    assert (finding["code"], finding["severity"]) == ("KD304", "warn")
    assert finding["numbers"]["cold_read_p50_s"] == 0.0041
    assert is_example(finding)


def test_virtual_disk(tmp_path, doctor):
    """A virtual disk says that it rotates and reads like flash: a note, and no warning of a hard disk."""
    machine = PlantedMachine(tmp_path, "1 0 254:0 / / rw - ext4 /dev/vda rw").newest()
    machine.disk("vda", "254:0", 1, "pci0000:00/virtio1/block")
    machine.latency_s = 0.00027
    report, _ = doctor(machine, "--data", machine.photos())
    assert first(report)["code"] == "KD702"  # a note that asks for nothing comes last
    finding = report["findings"][-1]
    assert (finding["code"], finding["severity"]) == ("KD302", "info")
    assert finding["numbers"]["cold_read_p50_s"] == 0.00027
    assert is_example(finding)
    assert severities(report) == {"info"}


def test_slow_virtual_disk(tmp_path, doctor):
    """A virtual disk that reads like a hard disk is one, whatever it says."""
    machine = PlantedMachine(tmp_path, "1 0 254:0 / / rw - ext4 /dev/vda rw").newest()
    machine.disk("vda", "254:0", 0, "pci0000:00/virtio1/block")
    machine.latency_s = 0.011
    finding = first(doctor(machine, "--data", machine.photos())[0])
    assert (finding["code"], finding["severity"]) == ("KD301", "warn")
    assert "a disk as slow as a hard disk, vda" in finding["message"]


def test_keras_preprocessing_reached(tmp_path, doctor):
    """TensorFlow 2.0 runs the slow code: 160 ms for each batch, 774 s an epoch."""
    machine = PlantedMachine(tmp_path).disk("nvme0n1", "259:0", 0, PCI)
    machine.packages(tensorflow="2.0.0", Keras_Preprocessing="1.0.9")
    machine.write("site/tensorflow_core/python/keras/preprocessing/image.py", SUBCLASSED)
    report, code = doctor(machine, "--data", machine.photos(), "--fail-on", "warn")
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD101", "warn", 1)
    assert finding["numbers"]["num_files"] == 155_096
    assert is_example(finding)
    assert finding["numbers"]["batch_s"] == pytest.approx(0.160, abs=0.001)
    assert finding["price"]["value"] == pytest.approx(774, abs=1)
    assert finding["remedy"]["code"] == ['pip install "keras-preprocessing==1.1.2"']
    assert finding["remedy"]["safe"] is False


def test_keras_preprocessing_inert(tmp_path, doctor):
    """Beside TensorFlow 2.15 the old package only lies about."""
    machine = PlantedMachine(tmp_path).disk("nvme0n1", "259:0", 0, PCI)
    machine.packages(tensorflow_cpu="2.15.1", keras="2.15.0", Keras_Preprocessing="1.0.9").python("3.11.7")
    machine.write("site/keras/src/preprocessing/image.py", OWN_CODE)
    report, _ = doctor(machine, "--data", machine.photos())
    finding = first(report)
    assert (finding["code"], finding["severity"], finding["price"]) == ("KD101", "info", None)
    assert "ImageDataGenerator of keras 2.15.0 has its own code" in finding["message"]
    assert severities(report) == {"info"}


def test_single_worker_on_keras_3(tmp_path, doctor):
    """From a saved profile: one worker on 8 cores, and 61.5 % of the time waiting for it."""
    path = tmp_path / "run.kdprof.json"
    make_profile(0.08, 0.05).save(path)
    report, code = doctor(nvme(tmp_path), "--profile", path)
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD702", "error", 1)
    assert finding["numbers"]["wait_fraction"] == pytest.approx(0.08 / 0.13)
    assert finding["price"]["value"] == pytest.approx(57 * 0.08)
    assert is_example(finding)
    assert finding["remedy"]["code"][0] == "train_generator.workers = 3"
    assert report["epoch_s"] == pytest.approx(57 * 0.13)


def test_quota_of_2_of_64_cores(tmp_path, doctor):
    """TensorFlow starts threads for 64 cores and may use 2."""
    machine = nvme(tmp_path, cores=64)
    machine.write("sys/fs/cgroup/job/cpu.max", "200000 100000\n")
    report, code = doctor(machine, "--fail-on", "warn")
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD401", "warn", 1)
    assert finding["numbers"] == {"cores": 2, "visible_cores": 64, "tensorflow_threads": 64}
    assert is_example(finding)
    assert finding["price"]["value"] is None
    assert finding["price"]["basis"]


def test_the_most_expensive_comes_first(tmp_path, doctor):
    """A hard disk in a USB 2 case under the slow package: sorted by what each costs."""
    machine = PlantedMachine(tmp_path, TWO_DISKS).disk("sdb", "8:16", 1, USB, {"sdb1": "8:17"})
    machine.write("sys/devices/pci0000:00/0000:00:14.0/usb2/2-3/speed", "480\n")
    machine.packages(tensorflow="2.0.0", Keras_Preprocessing="1.0.9")
    machine.write("site/tensorflow_core/python/keras/preprocessing/image.py", SUBCLASSED)
    machine.latency_s = 0.0124
    report, _ = doctor(machine, "--data", machine.photos())
    assert [finding["code"] for finding in report["findings"]] == ["KD301", "KD101", "KD308", "KD102", "KD112", "KD702"]
    prices = [finding["price"]["value"] for finding in report["findings"][:3]]
    assert prices == sorted(prices, reverse=True)


def test_preparation_is_slower_than_the_training(tmp_path, doctor):
    """8 cores make 200 images a second of images that take 40 ms each, and the training could take 640."""
    machine = nvme(tmp_path)
    machine.throughput = {"stages_s": (0.0001, 0.0015, 0.0001, 0.0378, 0.0005)}
    make_profile(0.11, 0.05, training_input=make_input(workers=8)).save(tmp_path / "run.kdprof.json")
    report, code = doctor(machine, "--data", machine.photos(), "--profile", tmp_path / "run.kdprof.json")
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD314", "error", 1)
    assert is_example(finding)
    assert finding["price"]["value"] == pytest.approx(57 * 0.11)
    assert report["facts"]["input"].startswith("at most 200 images/s with 8 workers; limited by augmentation")
    assert report["facts"]["assumed"].startswith("256x256 pixels (Keras' default")


def test_the_disk_is_slower_than_the_training(tmp_path, doctor):
    """300 files a second by any number of threads, where the training could take 640."""
    machine = nvme(tmp_path)
    machine.latency_s = 0.0049
    machine.throughput = {"reads": [(2, 280), (4, 300)]}
    make_profile(0.057, 0.05, training_input=make_input(workers=8)).save(tmp_path / "run.kdprof.json")
    report, code = doctor(machine, "--data", machine.photos(), "--profile", tmp_path / "run.kdprof.json")
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD303", "error", 1)
    assert is_example(finding)
    assert [one["code"] for one in report["findings"]] == ["KD303"]  # nothing is told twice


def test_photos_that_are_too_large(tmp_path, doctor):
    """Decoding 2,000x1,500 pixels for 256x256 takes 150 ms an image, of 158."""
    machine = nvme(tmp_path)
    machine.throughput = {
        "stages_s": (0.0001, 0.1499, 0.0001, 0.0075, 0.0005),
        "census": make_census(size=(2000, 1540)),
    }
    report, _ = doctor(machine, "--data", machine.photos())
    finding = first(report)
    assert (finding["code"], finding["severity"]) == ("KD313", "warn")
    assert is_example(finding)
    assert finding["price"]["value"] == pytest.approx(155_096 * 0.15 / 8 * (1 - 1 / 47), rel=0.01)
    assert report["facts"]["input"].endswith("limited by decoding; more workers do not help")


def test_files_that_end_a_training(tmp_path, doctor):
    """A corrupt file is the worst finding, whatever it costs."""
    machine = nvme(tmp_path)
    bad = ImageFile("/data/photos/300.jpg", 17, problem="no image that Pillow knows")
    machine.throughput = {"census": (*make_census(), bad)}
    report, code = doctor(machine, "--data", machine.photos())
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD313", "error", 1)
    assert "1 of 129 files tried cannot be loaded: no image that Pillow knows." in finding["message"]


@pytest.mark.parametrize("options", [[], ["--no-io"]])
def test_links_that_lead_nowhere(tmp_path, doctor, options):
    """flow_from_directory lists them, and its training ends at the first: worse than any file that is slow."""
    machine = nvme(tmp_path)
    machine.photos(count=20)
    (tmp_path / "data/photos/gone.jpg").symlink_to(tmp_path / "data/other/gone.jpg")
    report, code = doctor(machine, "--data", "/data/photos", *options)
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD313", "error", 1)
    assert finding["message"].startswith("1 of 21 files tried does not exist: links that lead nowhere.")
    assert finding["evidence"][-1]["text"].endswith("/data/photos/gone.jpg")


def test_rows_whose_file_is_missing(tmp_path, doctor):
    """flow_from_dataframe leaves them out: the training runs, on fewer images than the list has."""
    machine = nvme(tmp_path)
    machine.photos(count=20)
    machine.write("data/photos/train.csv", "filename\n" + "".join(f"{number}.jpg\n" for number in range(80)))
    report, code = doctor(machine, "--data", "/data/photos/train.csv", "--fail-on", "warn")
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD313", "warn", 1)
    assert finding["message"].startswith("60 of 80 files tried do not exist. flow_from_dataframe leaves their rows out")


def test_no_io_measures_nothing(tmp_path, doctor):
    """Neither reads nor images are looked at, and the report says so."""
    machine = nvme(tmp_path)
    machine.measure_throughput = None  # would crash
    report, _ = doctor(machine, "--data", machine.photos(), "--no-io")
    assert report["complete"]
    assert {one["code"]: one["status"] for one in report["checks"] if one["code"] in ("KD303", "KD313", "KD314")} == {
        "KD303": "skipped", "KD313": "skipped", "KD314": "skipped"
    }  # fmt: skip
    assert "input" not in report["facts"]
