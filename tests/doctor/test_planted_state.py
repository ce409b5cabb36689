"""Planted machines whose fault is what they do just now: scanners, quotas, memory, a full disk."""

from __future__ import annotations

import os

import pytest
from builders import make_data, make_environment, make_gpus, make_input, make_profile, make_storage
from doctor.fake_nvml import Nvml
from doctor.test_planted import doctor, first, is_example, nvme  # noqa: F401 - a fixture

from kerasdiag.doctor import collect
from kerasdiag.doctor.checks.cache_disk import STORE_FILES, full_cache_disk
from kerasdiag.doctor.checks.limits import little_shared_memory, slowed_processor
from kerasdiag.doctor.checks.scanners import SLOW_OPEN_S, scanned_reads
from kerasdiag.doctor.checks.stalls import THROTTLED_AT_LEAST, short_of_memory, stopped_for_others
from kerasdiag.doctor.checks.variables import slowing_variables
from kerasdiag.environment import limits, scanners
from kerasdiag.environment.cache_target import CacheFacts
from kerasdiag.environment.limits import LimitFacts
from kerasdiag.environment.pressure import PressureFacts
from kerasdiag.environment.scanners import ScannerFacts
from kerasdiag.environment.storage import StorageClass
from kerasdiag.environment.system import SystemFacts
from kerasdiag.environment.tensorflow_probe import ProbeFacts
from kerasdiag.findings import Status
from kerasdiag.repair.conversion.job import SHARDS_WANTED

OK, INFO, WARN, ERROR, SKIPPED, NOT_TOLD, CRASHED = Status
DEFENDER = {"Microsoft Defender for Endpoint": "wdavdaemon"}


def look(check, **facts):
    answer = check.examine(make_environment(**facts))
    assert answer.statement or answer.findings
    return answer


# --- KD309


def test_an_active_scanner(tmp_path, doctor, monkeypatch):  # noqa: F811
    """Its process is known, and each open of a file in memory takes as long as only a scanner makes it."""
    machine = nvme(tmp_path).write("proc/4711/comm", "wdavdaemon\n")
    monkeypatch.setattr(scanners, "_time_opens", lambda files, clock: (0.0012,) * len(files))
    finding = first(doctor(machine, "--data", machine.photos())[0])
    assert (finding["code"], finding["severity"]) == ("KD309", "warn")
    assert is_example(finding)
    assert finding["price"]["value"] == pytest.approx(155_096 * 0.0012)
    assert "the process wdavdaemon is Microsoft Defender for Endpoint" in [fact["text"] for fact in finding["evidence"]]
    said = finding["remedy"]["text"].lower()
    assert "exclusion" in said
    assert not {"turn off", "disable", "switch off"} & {said[start : start + 8] for start in range(len(said))}


def test_a_scanner_that_costs_nothing(tmp_path, doctor):  # noqa: F811
    """Real opens of real files on this machine, beside a process of that name: nothing to say."""
    machine = nvme(tmp_path).write("proc/4711/comm", "falcon-sensor-b\n")  # the kernel keeps 15 letters
    report, code = doctor(machine, "--data", machine.photos(), "--select", "KD309", "--fail-on", "warn")
    assert (report["findings"], code) == ([], 0)
    assert report["checks"][0]["status"] in ("ok", "unknown")
    assert "CrowdStrike Falcon runs here" in report["checks"][0]["statement"]


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (ScannerFacts(DEFENDER, (SLOW_OPEN_S * 0.99,) * 64), OK, "though Microsoft Defender for Endpoint runs here"),
        (ScannerFacts(DEFENDER, (SLOW_OPEN_S * 1.3,) * 64), INFO, "and Microsoft Defender for Endpoint runs here"),
        (ScannerFacts({}, (0.002,) * 64), WARN, "nothing here tells why"),
        (ScannerFacts({}, (0.00001,) * 64), OK, "takes 0.01 ms"),
        (ScannerFacts(DEFENDER, (), not_measured="no file was opened"), NOT_TOLD, "what it costs is not known"),
        (ScannerFacts({}, (), not_measured="no file was opened"), OK, "no scanner is known"),
        (ScannerFacts({}, (), is_listed=False, not_measured="no file was opened"), NOT_TOLD, "cannot be listed"),
        (ScannerFacts({}, (), not_measured="the doctor was still at x", lacks_time=True), NOT_TOLD, "still at x"),
    ],
)
def test_only_the_time_of_an_open_counts(facts, status, words):
    """A name alone is no fault, and a fault without a name is one."""
    answer = look(scanned_reads, scanners=facts, data=make_data(count=20_000))
    assert answer.status is status
    assert words in (answer.statement or answer.findings[0].message)


def test_an_open_over_the_network_is_a_round_trip():
    """No scanner is blamed for it."""
    facts = ScannerFacts(DEFENDER, (0.002,) * 64)
    assert look(scanned_reads, scanners=facts, data=make_data(make_storage(StorageClass.NETWORK))).status is SKIPPED


def test_opens_are_measured(tmp_path):
    """Twice each, on files of this machine; what cannot be opened is left out."""
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    files = [str(tmp_path / f"{number}.jpg") for number in range(-5, 20)]
    ticks = iter(range(10_000))
    facts = scanners.find_scanners(files, tmp_path, lambda root: ["MsMpEng.exe", "bash"], lambda: next(ticks) / 1e3)
    assert facts.products == {"Microsoft Defender": "MsMpEng.exe"}
    assert facts.open_s == pytest.approx((0.001,) * 20)
    assert facts.is_measured
    assert not scanners.find_scanners([], tmp_path, lambda root: None).is_listed
    assert not scanners.find_scanners([], tmp_path).is_listed  # an empty /proc: not even this process shows


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_among_the_images_is_not_opened(tmp_path):
    """It would wait for somebody to write, and the checks of the images with it."""
    os.mkfifo(tmp_path / "pipe.jpg")
    files = [tmp_path / "pipe.jpg", tmp_path / "1.jpg"]
    files[1].write_bytes(b"x")
    assert len(scanners.find_scanners(list(map(str, files)), tmp_path).open_s) == 1


# --- KD311


def test_a_full_cache_disk(tmp_path, doctor, monkeypatch):  # noqa: F811
    """The store would not fit."""
    facts = CacheFacts("/cache/kerasdiag", make_storage(), 12 * 10**8, None)
    monkeypatch.setattr(collect, "find_cache", lambda root: facts)
    machine = nvme(tmp_path)
    finding = first(doctor(machine, "--data", machine.photos())[0])
    assert (finding["code"], finding["severity"]) == ("KD311", "warn")
    assert is_example(finding)
    assert finding["numbers"] == {"needed_bytes": 155_096 * 224 * 224 * 3, "free_bytes": 12 * 10**8}


@pytest.mark.parametrize(("free", "status"), [(20_000 * 30_000 - 1, WARN), (20_000 * 30_000, OK), (None, NOT_TOLD)])
def test_room_for_the_target_size_of_the_profile(free, status):
    """100x100x3 for each of 20,000 images."""
    profile = make_profile(0.08, 0.05, training_input=make_input(target_size=(100, 100)))
    cache = CacheFacts("/cache", make_storage(), free, None)
    assert look(full_cache_disk, cache=cache, data=make_data(count=20_000), profile=profile).status is status


# --- KD402, KD403


def test_a_throttled_container(tmp_path, doctor):  # noqa: F811
    """Its quota was used up most of the time; cgroup v2."""
    machine = nvme(tmp_path)
    machine.write("sys/fs/cgroup/job/cpu.stat", "usage_usec 1\nnr_periods 1000\nnr_throttled 620\nthrottled_usec 9\n")
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD402", "warn")
    assert is_example(finding)


def test_a_throttled_container_of_version_1(tmp_path, doctor):  # noqa: F811
    """The same file lies elsewhere."""
    machine = nvme(tmp_path).write("proc/self/cgroup", "4:cpu,cpuacct:/job\n")
    machine.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.stat", "nr_periods 10\nnr_throttled 5\nthrottled_time 9\n")
    assert first(doctor(machine)[0])["numbers"]["share"] == 0.5


def test_a_container_whose_processes_were_killed(tmp_path, doctor):  # noqa: F811
    """The smoking gun of a memory limit."""
    machine = nvme(tmp_path)
    machine.write("sys/fs/cgroup/job/memory.max", f"{2 * 2**30}\n").write("sys/fs/cgroup/job/memory.current", "1000\n")
    machine.write("sys/fs/cgroup/job/memory.events", "low 0\nhigh 0\nmax 90\noom 2\noom_kill 2\n")
    machine.write("sys/fs/cgroup/memory.events", "oom_kill 700\n")  # of the whole machine
    report, code = doctor(machine)
    finding = first(report)
    assert (finding["code"], finding["severity"], code) == ("KD403", "error", 1)
    assert is_example(finding)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (PressureFacts(0.5), NOT_TOLD),
        (PressureFacts(0.5, steal=0.0), OK),
        (PressureFacts(0.5, throttled_ever=THROTTLED_AT_LEAST - 0.01), OK),
        (PressureFacts(0.5, throttled_ever=THROTTLED_AT_LEAST), WARN),
        (PressureFacts(0.5, throttled=THROTTLED_AT_LEAST, throttled_ever=0.01), WARN),
        (PressureFacts(0.5, steal=0.049), OK),
        (PressureFacts(0.5, steal=0.051), WARN),
    ],
)
def test_shares_of_stopped_time(facts, status):
    """Above a tenth of the periods, or 5 % of stolen time."""
    assert look(stopped_for_others, pressure=facts).status is status


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (PressureFacts(0.5), NOT_TOLD),
        (PressureFacts(0.5, oom_kills=0, swapped_pages=0), OK),
        (PressureFacts(0.5, oom_kills=1), ERROR),
        (PressureFacts(0.5, oom_kills=0, swapped_pages=1), WARN),
    ],
)
def test_memory_that_is_not_there(facts, status):
    """A kill is an error, swapping a warning."""
    assert look(short_of_memory, pressure=facts).status is status


def test_no_advice_against_scanners():
    """None of its pages says to turn one off."""
    assert "Leave the scanner on" in scanned_reads.section("When to ignore")


# --- KD402, KD403: pressure


@pytest.mark.parametrize(("share", "status"), [(0.49, OK), (0.5, INFO)])
def test_others_compute_here(share, status):
    """A note: whether they are in the way, only a profile tells. Nothing is called a quota where there is none."""
    answer = look(stopped_for_others, pressure=PressureFacts(0.5, steal=0.0, stalled={"cpu": share}))
    assert answer.status is status
    assert "quota" not in stopped_for_others.name
    for finding in answer.findings:
        assert finding.message.startswith("Other work waits for the processor: ")
        assert [fact.text for fact in finding.evidence][1] == "no CPU quota is at work here"
    assert answer.findings or answer.statement == "no CPU quota is at work here, 0 % of the time was stolen"


def test_tasks_that_wait_for_memory(tmp_path, doctor):  # noqa: F811
    """Before anything is killed."""
    machine = nvme(tmp_path).write("proc/pressure/memory", "some avg10=23.00 avg60=9.00 avg300=5.00 total=1\n")
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD403", "warn")
    assert finding["message"] == "Some task waited for memory in 23 % of the last 10 s."


# --- KD404


def test_little_shared_memory(tmp_path, doctor, monkeypatch):  # noqa: F811
    """What Docker gives, and two GPUs."""
    machine = nvme(tmp_path).build()
    machine.nvml = Nvml({}, {})
    machine.probed = ProbeFacts(version="2.21.0", gpus=("GPU:0", "GPU:1"))
    monkeypatch.setattr(limits, "_size_of", lambda folder: 67_108_864)
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD404", "warn")
    assert is_example(finding)


@pytest.mark.parametrize(
    ("count", "shared", "status"),
    [(1, 10**6, SKIPPED), (0, 10**6, SKIPPED), (2, 10**9, OK), (2, 10**9 - 1, WARN), (2, None, NOT_TOLD)],
)
def test_shared_memory(count, shared, status):
    """One GPU exchanges nothing."""
    assert (
        look(little_shared_memory, gpus=make_gpus(count=count), limits=LimitFacts(shared_memory_bytes=shared)).status
        is status
    )


# --- KD405


def test_the_lowest_clock(tmp_path, doctor):  # noqa: F811
    """powersave of a driver that means it."""
    machine = nvme(tmp_path)
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n")
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD405", "warn")
    assert is_example(finding)


@pytest.mark.parametrize(
    ("facts", "system", "status"),
    [
        ({"governor": "powersave", "governor_driver": "intel_pstate"}, SystemFacts(), OK),
        ({"governor": "powersave", "governor_driver": "amd-pstate-epp"}, SystemFacts(), OK),
        ({"governor": "powersave"}, SystemFacts(), OK),
        ({"governor": "schedutil", "governor_driver": "acpi-cpufreq"}, SystemFacts(), OK),
        ({}, SystemFacts(), NOT_TOLD),
        ({}, SystemFacts("Windows"), NOT_TOLD),
        ({}, SystemFacts("Darwin", is_translated=None), NOT_TOLD),
        ({}, SystemFacts("Darwin", is_translated=True), WARN),
        ({}, SystemFacts("Darwin", "arm64", is_translated=False), OK),
    ],
)
def test_processors(facts, system, status):
    """Of Intel's and newer AMD drivers powersave follows the load."""
    assert look(slowed_processor, limits=LimitFacts(**facts), system=system).status is status


# --- KD501


def test_a_switch_that_was_left_on(tmp_path, doctor):  # noqa: F811
    """The first finding is the variable."""
    machine = nvme(tmp_path)
    machine.environ["CUDA_LAUNCH_BLOCKING"] = "1"
    assert doctor(machine, "--select", "KD501")[0]["findings"] == []  # without a GPU it changes nothing
    machine.build().nvml = Nvml({})
    machine.probed = ProbeFacts(version="2.21.0", gpus=("GPU:0",))
    finding = first(doctor(machine)[0])
    assert (finding["code"], finding["severity"]) == ("KD501", "warn")
    assert is_example(finding)
    assert finding["remedy"]["code"] == ["unset CUDA_LAUNCH_BLOCKING"]


@pytest.mark.parametrize(
    ("variables", "statuses"),
    [
        ({}, []),
        ({"CUDA_LAUNCH_BLOCKING": "0", "PYTHONTRACEMALLOC": "0", "PYTHONDEVMODE": "", "TF_DETERMINISTIC_OPS": "0"}, []),
        ({"PYTHONDEVMODE": "1", "PYTHONTRACEMALLOC": "5"}, ["warn", "warn"]),
        ({"PYTHONMALLOC": "malloc_debug"}, ["warn"]),
        ({"PYTHONMALLOC": "malloc"}, []),
        ({"TF_DETERMINISTIC_OPS": "true", "NVIDIA_TF32_OVERRIDE": "0", "TF_ENABLE_ONEDNN_OPTS": "0"}, ["info"] * 3),
        ({"NVIDIA_TF32_OVERRIDE": "1", "TF_ENABLE_ONEDNN_OPTS": "1"}, []),
        ({"CUDA_INJECTION64_PATH": "/opt/lib.so"}, ["warn"]),
        ({"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2"}, ["warn"]),
    ],
)
def test_variables(variables, statuses):
    """Each as far as its value means it."""
    assert [finding.severity.value for finding in look(slowing_variables, variables=variables).findings] == statuses


def test_one_thread_on_one_core_is_right():
    """Nothing else would be faster."""
    assert look(slowing_variables, cores=1, variables={"TF_NUM_INTRAOP_THREADS": "1"}).status is OK


@pytest.mark.parametrize(("free_files", "status"), [(None, OK), (STORE_FILES, OK), (STORE_FILES - 1, WARN), (0, WARN)])
def test_a_disk_without_inodes(free_files, status):
    """Room for bytes is not room for files."""
    assert STORE_FILES >= SHARDS_WANTED + 50
    cache = CacheFacts("/cache", make_storage(), 10**12, free_files)
    assert look(full_cache_disk, cache=cache, data=make_data()).status is status


# --- KD708


@pytest.mark.parametrize(("limit_gb", "codes"), [(4, ["KD708"]), (64, [])])
def test_a_shuffle_buffer_larger_than_the_memory_limit(tmp_path, doctor, limit_gb, codes):  # noqa: F811
    """10,000 images of 224x224 pixels, decoded, take 6 GB, and the container has 4."""
    machine = nvme(tmp_path).write("sys/fs/cgroup/job/memory.max", f"{limit_gb * 10**9}\n")
    machine.write("sys/fs/cgroup/job/memory.current", "500000000\n").write(
        "sys/fs/cgroup/job/memory.stat", "inactive_file 0\n"
    )
    machine.write("proc/meminfo", "MemTotal: 128000000 kB\nMemAvailable: 120000000 kB\n")
    script = tmp_path / "train.py"
    script.write_text(
        "import tensorflow as tf\n\n\n"
        "def load(path):\n"
        "    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)\n"
        "    return tf.image.resize(image, (224, 224))\n\n\n"
        "ds = tf.data.Dataset.list_files('photos/*.jpg').map(load, num_parallel_calls=tf.data.AUTOTUNE)\n"
        "ds = ds.shuffle(10_000).batch(32).prefetch(tf.data.AUTOTUNE)\n"
        "model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "model.fit(ds)\n"
    )
    report, _ = doctor(machine, str(script))
    assert [finding["code"] for finding in report["findings"]] == codes
    if codes:  # how many images there are, the script does not say
        assert (first(report)["severity"], first(report)["numbers"]["num_bytes"]) == (
            "warn",
            10_000 * 224 * 224 * 3 * 4,
        )
