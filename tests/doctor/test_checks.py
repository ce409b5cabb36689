"""Each check firing and silent, on both sides of its thresholds, from facts alone."""

from __future__ import annotations

import pytest
from builders import (
    make_census,
    make_data,
    make_environment,
    make_gpus,
    make_input,
    make_packages,
    make_profile,
    make_reads,
    make_storage,
    make_throughput,
)

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.checks.cores import cores_out_of_reach
from kerasdiag.doctor.checks.disk import data_on_hard_disk, disk_contradicts_itself
from kerasdiag.doctor.checks.keras_preprocessing import quadratic_file_list
from kerasdiag.doctor.checks.network import data_on_network
from kerasdiag.doctor.checks.usb import data_behind_slow_usb
from kerasdiag.doctor.checks.workers import unfit_workers
from kerasdiag.environment.cache_target import CacheFacts
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.environment.limits import LimitFacts
from kerasdiag.environment.packages import declared_packages
from kerasdiag.environment.pressure import PressureFacts
from kerasdiag.environment.scanners import ScannerFacts
from kerasdiag.environment.storage import StorageClass
from kerasdiag.environment.tensorflow_build import TensorFlowBuild
from kerasdiag.environment.tensorflow_probe import ProbeFacts
from kerasdiag.findings import PriceUnit, Severity, Status

NVME, SSD, ROTATING, NETWORK, MEMORY, UNKNOWN = StorageClass
OK, INFO, WARN, ERROR, SKIPPED, NOT_TOLD, CRASHED = Status
OLD = {"tensorflow": "2.0.0", "keras_preprocessing": "1.0.9", "preprocessing_runs_in": ("tensorflow",)}


def look(check, **facts):
    answer = check.examine(make_environment(**facts))
    assert answer.statement or answer.findings, "every answer says something"
    return answer


def only(answer):
    (finding,) = answer.findings
    assert str(answer.status) == str(finding.severity)
    return finding


# --- KD101


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.0.5", OK), ("1.0.6", WARN), ("1.0.7", WARN), ("1.0.8", WARN), ("1.0.9", WARN), ("1.1.0", OK), ("1.1.2", OK)],
)
def test_versions_of_keras_preprocessing(version, status):
    """1.0.6 to 1.0.9, and no other."""
    assert look(quadratic_file_list, packages=make_packages(**{**OLD, "keras_preprocessing": version})).status is status


def test_keras_preprocessing_is_not_there():
    """Nothing to say about what is not installed."""
    assert look(quadratic_file_list).status is OK


def test_keras_preprocessing_without_any_keras():
    """Nothing runs it but a script of its own."""
    finding = only(look(quadratic_file_list, packages=make_packages(keras_preprocessing="1.0.9")))
    assert finding.severity is Severity.INFO
    assert "neither Keras nor TensorFlow is installed" in finding.message


def test_the_number_of_files_is_not_known():
    """Then there is no price, and the reason says what would tell it."""
    finding = only(look(quadratic_file_list, packages=make_packages(**OLD)))
    assert (finding.severity, finding.price.value) == (Severity.WARN, None)
    assert "--data or --profile" in finding.price.basis


@pytest.mark.parametrize(("count", "severity"), [(2_000, "info"), (8_100, "info"), (8_200, "warn"), (155_096, "warn")])
def test_few_files_cost_nothing(count, severity):
    """Below 5 % of the generator's own work it is a note; without a profile never an error."""
    finding = only(look(quadratic_file_list, packages=make_packages(**OLD), data=make_data(count=count)))
    assert str(finding.severity) == severity
    assert finding.price.value == pytest.approx(1.03e-6 * count**2 / 32)


@pytest.mark.parametrize(
    ("wait_s", "step_s", "severity", "cost_s"),
    [
        (0.3, 0.1, "info", 0.0103 * 313),  # 10 ms of 400: 2.6 %
        (0.1, 0.1, "warn", 0.0103 * 313),  # 5.2 %
        (0.011, 0.009, "error", 0.0103 * 313),  # 51.5 %
        (0.0005, 0.2, "info", 0.0005 * 313),  # the training hides it: all it waits is 0.5 ms
    ],
)
def test_a_profile_decides_what_the_file_list_costs(wait_s, step_s, severity, cost_s):
    """Never more than the training waited, and judged by its share of the training."""
    data = make_input(n=10_000, batch_size=32)
    profile = make_profile(wait_s, step_s, training_input=data, planned_steps_per_epoch=313)
    finding = only(look(quadratic_file_list, packages=make_packages(**OLD), profile=profile))
    assert finding.numbers["num_files"] == 10_000
    assert str(finding.severity) == severity
    assert finding.price.value == pytest.approx(cost_s)
    assert finding.price.unit is PriceUnit.SECONDS_PER_EPOCH


# --- KD301, KD302: what the disk says against what it does


SPINS = make_storage(ROTATING, rotational=True)
VIRTUAL = make_storage(UNKNOWN, rotational=True, reason="vda is a virtual disk")


@pytest.mark.parametrize(
    ("storage", "latency_s", "hard_disk", "contradiction"),
    [
        (SPINS, None, WARN, NOT_TOLD),
        (SPINS, 0.0124, WARN, OK),
        (SPINS, 0.0026, WARN, OK),  # 2.1 ms beyond the length of 100 kB
        (SPINS, 0.0024, OK, INFO),  # 1.9 ms: no arm moves that fast
        (VIRTUAL, None, NOT_TOLD, NOT_TOLD),
        (VIRTUAL, 0.0124, WARN, OK),
        (VIRTUAL, 0.0056, WARN, OK),  # 5.1 ms
        (VIRTUAL, 0.0054, NOT_TOLD, OK),  # 4.9 ms: neither
        (VIRTUAL, 0.0026, NOT_TOLD, OK),
        (VIRTUAL, 0.0003, OK, INFO),
        (make_storage(UNKNOWN, rotational=False), 0.0003, OK, OK),
        (make_storage(NVME, rotational=False), 0.0002, OK, OK),
        (make_storage(SSD, rotational=False), 0.0054, OK, OK),
        (make_storage(SSD, rotational=False), 0.0056, OK, WARN),
        (make_storage(SSD, rotational=False), None, OK, NOT_TOLD),
        (make_storage(NETWORK), 0.0124, SKIPPED, SKIPPED),
        (make_storage(MEMORY), 0.00001, SKIPPED, SKIPPED),
    ],
)
def test_what_a_disk_says_and_does(storage, latency_s, hard_disk, contradiction):
    """The measurement decides where there is one; without one, what the disk says."""
    reads = None if latency_s is None else make_reads(latency_s)
    facts = {"data": make_data(storage), "reads": reads, "absent": {"reads": "no file was read (--no-io)"}}
    assert look(data_on_hard_disk, **facts).status is hard_disk
    assert look(disk_contradicts_itself, **facts).status is contradiction


def test_large_files_take_long_everywhere():
    """10 MB take 60 ms on any SATA disk: that is their length, not the disk's arm."""
    facts = {"data": make_data(VIRTUAL), "reads": make_reads(0.052, num_bytes=10_000_000)}
    assert look(data_on_hard_disk, **facts).status is OK


@pytest.mark.parametrize(
    "reads", [make_reads(count=7), make_reads(is_cold=False, not_cold="64 of 64 files stayed in memory"), make_reads(is_cold=None)]
)  # fmt: skip
def test_warm_reads_prove_nothing(reads):
    """Reads from memory, of unknown origin, or too few are no measurement of the disk."""
    facts = {"data": make_data(SPINS), "reads": reads}
    assert only(look(data_on_hard_disk, **facts)).price.value is None
    assert look(disk_contradicts_itself, **facts).status is NOT_TOLD


def test_the_price_of_a_hard_disk():
    """Without a profile: files times latency, one at a time; the basis says what is not known."""
    finding = only(look(data_on_hard_disk, data=make_data(SPINS), reads=make_reads([0.010, 0.014])))
    assert finding.price.value == pytest.approx(20_000 * 0.012)
    assert "12 ms for each cold read, one at a time, 20,000 images" in finding.price.basis
    assert finding.remedy.code[0] == "rsync -a /data/photos /path/on/an/ssd/"


def test_the_command_to_copy_names_the_images():
    """Not the CSV that lists them, and quoted for a shell."""
    data = make_data(SPINS, path="train.csv", folder="/data/my photos")
    finding = only(look(data_on_hard_disk, data=data, reads=make_reads(0.0124)))
    assert finding.remedy.code[0] == "rsync -a '/data/my photos' /path/on/an/ssd/"


@pytest.mark.parametrize(("available", "severity", "where"), [(4e9, "info", "first epoch only"), (3e9, "warn", "")])
def test_data_that_fit_into_memory_cost_the_first_epoch_only(available, severity, where):
    """2 GB stay in the page cache of a machine with 4 GB free, not of one with 3."""
    data, reads = make_data(SPINS), make_reads(0.0124)
    finding = only(look(data_on_hard_disk, available_bytes=int(available), data=data, reads=reads))
    assert str(finding.severity) == severity
    assert where in finding.price.basis


def test_a_list_that_was_cut_short_gives_a_lower_bound():
    """Nobody knows whether so much fits into memory, and the price says "at least"."""
    data = make_data(SPINS, is_complete=False, mean_bytes=1.0)
    finding = only(look(data_on_hard_disk, data=data, reads=make_reads(0.0124)))
    assert finding.severity is Severity.WARN
    assert finding.price.basis.startswith("at least")
    assert any("at least 20,000 files" in fact.text for fact in finding.evidence)


@pytest.mark.parametrize(
    ("wait_s", "step_s", "severity", "cost_s"),
    [
        (0.40, 0.1, "error", 625 * 0.3968),
        (0.20, 0.1, "error", 625 * 0.20),  # not more than it waited
        (0.10, 0.2, "warn", 625 * 0.10),
        (0.009, 0.2, "info", 625 * 0.009),  # it hides the disk: fast enough
    ],
)
def test_a_hard_disk_against_the_demand(wait_s, step_s, severity, cost_s):
    """32 reads of 12.4 ms take 397 ms; what the training hides of it costs nothing."""
    profile = make_profile(wait_s, step_s, training_input=make_input(workers=4), planned_steps_per_epoch=625)
    finding = only(look(data_on_hard_disk, data=make_data(SPINS), reads=make_reads(0.0124), profile=profile))
    assert str(finding.severity) == severity
    assert finding.price.value == pytest.approx(cost_s)


@pytest.mark.parametrize(("wait_s", "severity"), [(0.1, "warn"), (0.001, "info")])
def test_an_unmeasured_disk_under_a_profile(wait_s, severity):
    """There is no price, but a training that does not wait needs no other disk."""
    facts = {"data": make_data(SPINS), "profile": make_profile(wait_s, 0.1), "absent": {"reads": "--no-io"}}
    finding = only(look(data_on_hard_disk, **facts))
    assert (str(finding.severity), finding.price.value) == (severity, None)
    assert "--no-io" in finding.price.basis


def test_a_profile_without_the_length_of_an_epoch():
    """The price is a share of the training then."""
    data = make_input(num_batches=None)
    profile = make_profile(0.3, 0.1, training_input=data, planned_steps_per_epoch=None)
    finding = only(look(data_on_hard_disk, data=make_data(SPINS), reads=make_reads(0.005), profile=profile))
    assert finding.price.unit is PriceUnit.PERCENT
    assert finding.price.value == pytest.approx(100 * 0.16 / 0.4)


def test_a_profile_without_a_batch_size():
    """Images of a step follow from the number of files; where that is not known either, there is no price."""
    data = make_input("tf-data")
    facts = {"data": make_data(SPINS), "reads": make_reads(0.0124)}
    known = make_profile(0.5, 0.1, training_input=data, planned_steps_per_epoch=625)
    assert only(look(data_on_hard_disk, **facts, profile=known)).price.value == pytest.approx(625 * 32 * 0.0124)
    unknown = make_profile(0.5, 0.1, training_input=data, planned_steps_per_epoch=None)
    finding = only(look(data_on_hard_disk, **facts, profile=unknown))
    assert (finding.price.value, finding.severity) == (None, Severity.WARN)


def test_a_short_profile_is_as_good_as_none():
    """Fewer than 20 measured steps allow no verdict, and no error."""
    profile = make_profile(0.4, 0.1, 12)
    finding = only(look(data_on_hard_disk, data=make_data(SPINS), reads=make_reads(0.0124), profile=profile))
    assert finding.severity is Severity.WARN
    assert finding.price.value == pytest.approx(20_000 * 0.0124)


# --- KD304, KD308


@pytest.mark.parametrize(
    ("storage", "status"),
    [
        (make_storage(NETWORK, file_system="nfs4", source="nas:/x", device=None), WARN),
        (make_storage(NVME), OK),
        (SPINS, OK),
        (make_storage(MEMORY, device=None), OK),
        (VIRTUAL, OK),
        (make_storage(UNKNOWN, device=None, reason="not looked at on this platform"), NOT_TOLD),
    ],
)
def test_network(storage, status):
    """A network is known by its file system; a disk that is visible is none."""
    assert look(data_on_network, data=make_data(storage), reads=make_reads(0.004)).status is status


@pytest.mark.parametrize(("latency_s", "severity"), [(0.00025, "info"), (0.00028, "warn")])
def test_a_fast_network(latency_s, severity):
    """Below 5 % of the generator's own work a network is worth a note."""
    finding = only(look(data_on_network, data=make_data(make_storage(NETWORK)), reads=make_reads(latency_s)))
    assert str(finding.severity) == severity


def test_caches_that_nobody_can_empty_from_here():
    """The server's memory and that of the host make reads look better: the evidence says so."""
    for storage, owner in ((make_storage(NETWORK), "the server may"), (VIRTUAL, "below the disk may")):
        answer = look(
            data_on_network if storage.storage_class is NETWORK else data_on_hard_disk,
            data=make_data(storage),
            reads=make_reads(0.02),
        )
        assert owner in " ".join(fact.text for fact in only(answer).evidence)


def test_workers_read_from_a_network_side_by_side():
    """Four workers fetch four files at a time; a hard disk has one arm whatever their number."""
    profile = make_profile(0.4, 0.1, training_input=make_input(workers=4), planned_steps_per_epoch=625)
    reads = make_reads(0.012)
    costs = [
        only(look(check, data=make_data(storage), reads=reads, profile=profile)).price.value
        for check, storage in ((data_on_network, make_storage(NETWORK)), (data_on_hard_disk, SPINS))
    ]
    assert costs == pytest.approx([625 * 32 * 0.012 / 4, 625 * 32 * 0.012])


@pytest.mark.parametrize(
    ("speed", "status"),
    [(12.0, WARN), (480.0, WARN), (4999.0, INFO), (5000.0, OK), (10000.0, OK), (None, NOT_TOLD)],
)
def test_usb_speeds(speed, status):
    """From USB 3 on the disk decides, not the link; an unknown speed is unknown."""
    storage = make_storage(SSD, is_usb=True, usb_megabits_per_s=speed)
    facts = {"data": make_data(storage), "absent": {"reads": "--no-io"}}
    assert look(data_behind_slow_usb, **facts).status is status


def test_no_usb():
    """An internal disk is not on USB; where no disk is seen, nobody knows."""
    assert look(data_behind_slow_usb, data=make_data()).status is OK
    assert look(data_behind_slow_usb, data=make_data(make_storage(UNKNOWN, device=None))).status is NOT_TOLD


# --- KD401


@pytest.mark.parametrize(
    ("cores", "quota", "affinity", "visible", "status"),
    [
        (8, None, 8, 8, OK),
        (8, 8.0, 8, 8, OK),
        (8, 16.0, 8, 8, OK),
        (1, None, 1, 1, OK),
        (5, 4.5, 8, 8, INFO),  # fewer than two threads a core
        (4, 4.0, 8, 8, WARN),
        (2, 2.0, 64, 64, WARN),
        (2, None, 2, 64, INFO),  # TensorFlow sees the affinity
        (2, 4.0, 2, 64, INFO),
        (2, 2.0, 4, 64, WARN),
        (8, None, None, 8, OK),  # no affinity on this system
        (2, 2.0, None, 8, WARN),
        (8, None, 8, None, OK),
    ],
)
def test_cores(cores, quota, affinity, visible, status):
    """A quota that TensorFlow does not see is a warning, an affinity that it does see a note."""
    facts = {"cpu_quota": quota, "affinity_cores": affinity, "visible_cores": visible}
    answer = look(cores_out_of_reach, cores=cores, **facts)
    assert answer.status is status
    if status is WARN:
        code = only(answer).remedy.code
        assert code[0] == f"tf.config.threading.set_intra_op_parallelism_threads({cores})"


# --- KD702


@pytest.mark.parametrize(
    ("workers", "cores", "wait_s", "status"),
    [
        (1, 8, 0.08, ERROR),
        (None, 8, 0.08, ERROR),  # nobody set it
        (1, 8, 0.0027, WARN),  # 5.1 %
        (1, 8, 0.0026, OK),  # 4.9 %
        (1, 1, 0.08, ERROR),  # a second worker overlaps reading even on one core
        (4, 8, 0.08, OK),
        (16, 8, 0.08, OK),
        (17, 8, 0.08, WARN),
        (17, 8, 0.001, INFO),
    ],
)
def test_workers(workers, cores, wait_s, status):
    """One worker is too few where the training waits, more than two for each core are too many."""
    profile = make_profile(wait_s, 0.05, training_input=make_input(workers=workers), cores=cores)
    assert look(unfit_workers, profile=profile).status is status


def test_what_more_workers_bring_at_most():
    """Two workers make batches twice as fast at best: half of a step that is all wait is saved."""
    profile = make_profile(0.5, 0.001, cores=2)
    finding = only(look(unfit_workers, profile=profile))
    assert finding.price.value == pytest.approx(57 * 0.501 / 2)
    assert "2 workers were 2 times as fast" in finding.price.basis


@pytest.mark.parametrize(
    ("software", "line"),
    [
        ({"keras": "3.15.1"}, "train_generator.workers = 3"),
        ({"keras": "2.15.0"}, "model.fit(train_generator, workers=3, ...)"),
        ({"tf_keras": "2.21.0", "keras": "3.15.1"}, "model.fit(train_generator, workers=3, ...)"),
    ],
)
def test_where_keras_takes_workers(software, line):
    """Keras 2 in fit, Keras 3 on the generator; the profile says which one ran."""
    finding = only(look(unfit_workers, profile=make_profile(0.08, 0.05, software=software)))
    assert finding.remedy.code[0] == line
    assert finding.remedy.safe is False  # a seeded generator is reproducible with one worker only


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"training_input": make_input("tf-data")}, SKIPPED),
        ({"training_input": make_input("arrays")}, SKIPPED),
        ({"count": 12}, NOT_TOLD),
        ({"training_input": None}, NOT_TOLD),
        ({"cores": None}, NOT_TOLD),
    ],
)
def test_profiles_that_say_nothing_about_workers(facts, status):
    """Other inputs have none; too short a profile has no wait."""
    assert look(unfit_workers, profile=make_profile(0.08, 0.05, **facts)).status is status


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        ({"packages": make_packages(keras="3.15.1")}, INFO, "takes no workers, and an"),
        ({"packages": make_packages(keras="2.15.0")}, INFO, "with 1 worker unless fit(workers=...)"),
        ({"packages": make_packages(keras="3.15.1", tf_keras="2.21.0", wants_legacy_keras=True)}, INFO, "tf-keras 2.21.0 reads"),
        ({"packages": make_packages(**OLD)}, INFO, "tensorflow 2.0.0 reads a generator with 1 worker"),
        ({"packages": make_packages(numpy="2.0")}, SKIPPED, "Keras is not installed"),
        ({"cores": 1}, OK, "1 core"),
    ],
)  # fmt: skip
def test_workers_without_a_profile(facts, status, words):
    """A note on where this Keras takes them; never a warning, for nobody knows whether it waits."""
    answer = look(unfit_workers, **facts)
    assert answer.status is status
    assert words in (answer.statement or only(answer).message)


def test_workers_of_a_list():
    """What is pinned is not installed."""
    packages = declared_packages({"tensorflow": "2.0.0"}, {}, Interpreter("3.7"), "requirements.txt", {})
    assert only(look(unfit_workers, packages=packages)).evidence[0].text == "tensorflow 2.0.0 is pinned"


# --- all


# Findings about versions have no numbers; tests/doctor/test_package_checks.py looks whether they are whole.
# Those about scripts have tests of their own (tests/doctor/lint).
OTHERS = [
    check
    for check in CHECKS
    if "scripts" not in check.needs and (check.code == "KD101" or not check.code.startswith("KD1"))
]


@pytest.mark.parametrize("check", OTHERS, ids=lambda check: check.code)
def test_findings_are_whole(check):
    """Whatever a check finds carries its own code, evidence, numbers, and a price with a basis."""
    profiles = (None, make_profile(0.08, 0.05), make_profile(0.08, 0.05, training_input=make_input(workers=32)))
    storages = (
        SPINS,
        make_storage(SSD),
        make_storage(NETWORK),
        make_storage(SSD, is_usb=True, usb_megabits_per_s=480.0),
        make_storage(SSD, is_card=True),
        make_storage(NETWORK, file_system="9p", source="C:\\"),
        make_storage(NETWORK, file_system="fuse", source="drive"),
    )
    # TensorFlow for the CPU; for a GPU, without what it needs there; one that dies.
    tensorflows = (
        {"tensorflow_build": TensorFlowBuild(is_cuda_build=False), "tensorflow": ProbeFacts(version="2.0.0")},
        {
            "tensorflow_build": TensorFlowBuild(is_cuda_build=True, cuda=(12, 5), compute_capabilities=("sm_70",)),
            "tensorflow": ProbeFacts(version="2.0.0", missing={"libcudnn.so.9": "cannot open shared object file"}),
        },
        {"tensorflow": ProbeFacts(failure="it was killed by SIGILL")},
    )
    findings = [
        finding
        for profile in profiles
        for storage in storages
        for tensorflow in tensorflows
        for throughput in (None, make_throughput(cores=2, census=make_census(size=(4000, 3000))))
        for finding in check.examine(
            make_environment(
                cores=2, cpu_quota=2.0, affinity_cores=64, visible_cores=64, packages=make_packages(**OLD, keras="3.15.1"),
                data=make_data(storage, placeholders=1), reads=make_reads(0.012), profile=profile, throughput=throughput,
                pressure=PressureFacts(0.5, throttled=0.6, throttled_ever=0.6, oom_kills=1),
                scanners=ScannerFacts({"ClamAV": "clamonacc"}, (0.001,) * 64),
                cache=CacheFacts("/cache", make_storage(), 10**6, None), variables={"CUDA_LAUNCH_BLOCKING": "1"},
                limits=LimitFacts(10**6, "powersave", "acpi-cpufreq", on_battery=True),
                gpus=make_gpus(
                    compute_capability=(9, 0), driver_cuda=(11, 4), slow_reasons=("a hardware slowdown",), pcie_width=4,
                    processes=(4711,), power_limit_w=50.0, is_mig=True, is_repair_pending=True, count=2,
                ), **tensorflow,
            )
        ).findings
    ]  # fmt: skip
    assert findings, "no environment made it fire: the case compared nothing"
    for finding in findings:
        assert finding.code == check.code
        assert finding.message.endswith(".")
        assert finding.evidence
        assert finding.numbers
        assert finding.price is None or finding.price.basis
        assert finding.remedy is None or finding.remedy.text
