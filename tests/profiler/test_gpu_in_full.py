"""NVML in full, against the scripted driver: ring buffer, eight GPUs, PCIe, clocks and what slows them, who shares."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted_driver import run, with_driver

from kerasdiag.environment.visible_gpus import FUNCTION_NOT_FOUND
from kerasdiag.profiler.gpu.ring_buffer import RingBuffer
from kerasdiag.profiler.gpu.sharing import ProcessNumbers, Sharing

SAMPLE = "sample(); sampler.stop()"
EIGHT = ";".join(["NVIDIA A"] * 8)


@with_driver
def test_the_drivers_own_samples_are_taken_once_each(libraries: Path) -> None:
    """What the ring buffer got between two polls is averaged, and nothing of it counts twice."""
    scenario = """
sample()
for level in range(50, 70):
    stub().kd_push(0, level)
sample()
sampler.stop()
"""
    report = run(libraries, scenario, KD_UTILIZATION=0)
    (gpu,) = report["gpus"]
    assert gpu["driver_samples"] == 20
    from_ring = [level for level in gpu["utilization_percent"] if level]
    assert 1 <= len(from_ring) <= 20
    assert min(from_ring) >= 50
    assert gpu["utilization_percent"].count(0.0) >= 5
    assert gpu["not_measured"] == {}


def test_a_driver_that_repeats_itself_counts_once() -> None:
    """One that also returns the newest sample that its reader has had."""
    samples = [SimpleNamespace(timeStamp=stamp, sampleValue=SimpleNamespace(uiVal=10 * stamp)) for stamp in (1, 2, 3)]
    told = iter([samples[:2], samples[1:], samples[2:]])
    driver = SimpleNamespace(nvmlDeviceGetSamples=lambda gpu, kind, since: (1, next(told)))
    ring = RingBuffer()
    assert [ring.read(driver, None)[0] for _ in range(3)] == [[10.0, 20.0], [30.0], []]


@with_driver
def test_a_late_reader_misses_nothing(libraries: Path) -> None:
    """Samples that came while nobody read are in the next row: their mean, where a poll would see the last one."""
    scenario = """
sampler = GpuSampler(period_s=0.5)
sampler.start(time.perf_counter())
wait_until(lambda: sampler.snapshot()[0] and sampler.snapshot()[0][0].time_s)
for level in (10, 20, 90):
    stub().kd_push(0, level)
wait_until(lambda: len(sampler.snapshot()[0][0].time_s) == 2)
sampler.stop()
"""
    report = run(libraries, scenario, KD_UTILIZATION=90)
    assert report["gpus"][0]["utilization_percent"] == [90.0, 40.0]


@with_driver
@pytest.mark.parametrize("code", [0, 6])
def test_an_empty_ring_buffer_is_an_idle_gpu(libraries: Path, code: int) -> None:
    """NOT_FOUND, or no sample at all, means that the GPU is polled; the buffer is read on, and what comes counts."""
    scenario = """
sample()
result["idle"] = sampler.snapshot()[0][0].utilization_percent
stub().kd_push(0, 70)
sample()
sampler.stop()
"""
    report = run(libraries, scenario, KD_EMPTY_RING=code, KD_UTILIZATION=0)
    (gpu,) = report["gpus"]
    assert set(report["idle"]) == {0.0}
    assert gpu["utilization_percent"].count(70.0) == 1
    assert gpu["driver_samples"] == 1
    assert gpu["not_measured"] == {}


@with_driver
def test_samples_from_before_the_fit_do_not_count(libraries: Path) -> None:
    """What the ring buffer held when the sampling began belongs to somebody else's work."""
    report = run(libraries, SAMPLE, KD_OLD_SAMPLES=50, KD_UTILIZATION=10)
    (gpu,) = report["gpus"]
    assert set(gpu["utilization_percent"]) == {10.0}
    assert gpu["driver_samples"] == 0


@with_driver
@pytest.mark.parametrize("variables", [{"KD_RING_ERROR": 3}, {"KD_RING_ERROR": 999}, {"folders": "old_driver:no_cuda"}])
def test_a_gpu_without_a_ring_buffer_is_polled(libraries: Path, variables: dict[str, object]) -> None:
    """A driver without the function, one that refuses it and one that fails leave the polled utilization."""
    report = run(libraries, SAMPLE, **variables)
    (gpu,) = report["gpus"]
    assert set(gpu["utilization_percent"]) == {40.0}
    assert gpu["driver_samples"] == 0
    assert "utilization_percent" not in gpu["not_measured"]


@with_driver
def test_a_ring_buffer_alone_is_enough(libraries: Path) -> None:
    """Where the polled utilization is not supported, the driver's samples still are a measurement."""
    scenario = "sample(); stub().kd_push(0, 64); sample(); sampler.stop()"
    (gpu,) = run(libraries, scenario, KD_UTILIZATION_ERROR=3)["gpus"]
    assert set(gpu["utilization_percent"]) == {None, 64.0}
    assert list(gpu["not_measured"]) == ["memory_utilization_percent"]


@with_driver
def test_garbage_in_the_ring_buffer_is_no_sample(libraries: Path) -> None:
    """A percentage above 100 is left out; the GPU is polled instead."""
    scenario = "sample(); stub().kd_push(0, 4000); sample(); sampler.stop()"
    (gpu,) = run(libraries, scenario)["gpus"]
    assert set(gpu["utilization_percent"]) == {40.0}


@with_driver
@pytest.mark.parametrize(
    ("variables", "indexes"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"CUDA_VISIBLE_DEVICES": "3"}, [3]),
        ({"CUDA_VISIBLE_DEVICES": "7,6,5,4,3,2,1,0"}, [7, 6, 5, 4, 3, 2, 1, 0]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-5555,GPU-2222"}, [5, 2]),
        ({"CUDA_VISIBLE_DEVICES": "0,1", **{f"KD_BUS_{index}": 8 - index for index in range(8)}}, [7, 6]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-0000", **{f"KD_BUS_{index}": 8 - index for index in range(8)}}, [0]),
    ],
    ids=["all", "one", "reversed", "by UUID", "against the bus", "UUID against the bus"],
)
def test_of_eight_gpus_the_right_ones_are_sampled(
    libraries: Path, variables: dict[str, object], indexes: list[int]
) -> None:
    """Every GPU reports its own number as utilization: who mixes them up shows another's."""
    levels = {f"KD_UTILIZATION_{index}": 10 + index for index in range(8)}
    report = run(libraries, SAMPLE, KD_GPU_NAMES=EIGHT, **levels, **variables)
    assert [gpu["index"] for gpu in report["gpus"]] == indexes
    assert [set(gpu["utilization_percent"]) for gpu in report["gpus"]] == [{10.0 + index} for index in indexes]
    assert [gpu["uuid"][4] for gpu in report["gpus"]] == [str(index) for index in indexes]


@with_driver
def test_slow_questions_go_round(libraries: Path) -> None:
    """PCIe throughput is asked of one GPU per round, in bytes per second and per direction, and of all in turn."""
    scenario = "sample(17); sampler.stop()"
    report = run(libraries, scenario, KD_GPU_NAMES=EIGHT)
    asked: list[int] = []
    for gpu in report["gpus"]:
        taken = [row for row, value in enumerate(gpu["pcie_to_gpu_bytes_per_s"]) if value is not None]
        assert len(taken) >= 2
        assert set(gpu["pcie_to_gpu_bytes_per_s"]) == {None, 512.0 * 2**20}
        assert set(gpu["pcie_to_host_bytes_per_s"]) == {None, 2.0**20}
        assert "pcie_to_gpu_bytes_per_s" not in gpu["not_measured"]
        asked += taken
    assert len(asked) == len(set(asked))


@with_driver
def test_a_slow_pcie_counter_takes_no_time_of_the_training(libraries: Path) -> None:
    """While a reading of half a second runs the training goes on, and its end waits for one reading at most."""
    scenario = """
sampler.start(time.perf_counter())
longest = 0.0
end = time.perf_counter() + 0.3
before = time.perf_counter()
while before < end:
    time.sleep(0.001)
    now = time.perf_counter()
    longest, before = max(longest, now - before), now
begin = time.perf_counter()
sampler.stop()
result["longest_s"], result["stop_s"] = longest, time.perf_counter() - begin
result["ended"] = thread_ended()
"""
    report = run(libraries, scenario, KD_PCIE_MS=500)
    assert report["longest_s"] < 0.4
    assert report["stop_s"] < 0.9  # two readings would take a second
    assert report["ended"]


@with_driver
def test_a_missing_pcie_counter_costs_its_own_columns(libraries: Path) -> None:
    """Without PCIe counters the reason stands at their columns, and the rest is measured."""
    (gpu,) = run(libraries, SAMPLE, KD_PCIE_ERROR=3)["gpus"]
    assert set(gpu["not_measured"]) == {"pcie_to_gpu_bytes_per_s", "pcie_to_host_bytes_per_s"}
    assert set(gpu["utilization_percent"]) == {40.0}


@with_driver
@pytest.mark.parametrize("folders", ["driver:no_cuda", "old_driver:no_cuda"])
def test_what_slows_a_gpu_is_counted(libraries: Path, folders: str) -> None:
    """Clocks are kept, and each reason with its share of the samples; old drivers have another name for the call."""
    scenario = "sample(); stub().kd_set(b'SLOW_REASONS', 0x40 | 0x1); sample(20); sampler.stop()"
    (gpu,) = run(libraries, scenario, folders=folders, KD_CLOCK=900)["gpus"]
    assert set(gpu["sm_clock_mhz"]) == {900.0}
    assert gpu["max_sm_clock_mhz"] == 1980.0
    assert list(gpu["slow_reasons"]) == ["its temperature (hardware)"]
    assert 0.5 < gpu["slow_reasons"]["its temperature (hardware)"] < 1


@with_driver
def test_clocks_that_are_not_told_are_not_measured(libraries: Path) -> None:
    """No clock is None with a reason; unknown reasons for slow clocks are no reasons, and say why."""
    (gpu,) = run(libraries, SAMPLE, KD_CLOCK_ERROR=3, KD_SLOW_REASONS_ERROR=3)["gpus"]
    assert set(gpu["sm_clock_mhz"]) == {None}
    assert gpu["max_sm_clock_mhz"] is None
    assert gpu["slow_reasons"] == {}
    assert set(gpu["not_measured"]) == {"sm_clock_mhz", "slow_reasons"}


@with_driver
@pytest.mark.parametrize(
    ("variables", "others", "is_used"),
    [
        ({"KD_OWN_PROCESS": 1}, 0.0, True),
        ({"KD_OWN_PROCESS": 1, "KD_PROCESSES": 2}, 2.0, True),
        ({"KD_OWN_PROCESS": 1, "KD_PROCESSES": 5, "KD_DRAWING": 4}, 1.0, True),
    ],
)
def test_who_computes_beside_us_is_counted(
    libraries: Path, variables: dict[str, object], others: float, is_used: bool
) -> None:
    """Other processes that compute count, those that only draw do not, and we do not either."""
    (gpu,) = run(libraries, SAMPLE, **variables)["gpus"]
    assert set(gpu["other_processes"]) - {None} == {others}
    assert gpu["is_used"] is is_used


@with_driver
def test_a_list_of_processes_that_is_denied_is_not_measured(libraries: Path) -> None:
    """Where the driver does not tell, nobody knows who shares the GPU."""
    (gpu,) = run(libraries, SAMPLE, KD_PROCESSES_ERROR=4)["gpus"]
    assert set(gpu["other_processes"]) == {None}
    assert "permission" in gpu["not_measured"]["other_processes"]
    assert gpu["is_used"] is None


def listed(*numbers: int) -> SimpleNamespace:
    """Return a pynvml whose GPUs are computed on by these processes."""
    running = [SimpleNamespace(pid=number) for number in numbers]
    return SimpleNamespace(nvmlDeviceGetComputeRunningProcesses=lambda gpu: running)


CHIP = ("sm_busy_percent", "tensor_busy_percent", "memory_bandwidth_percent")
LONG = "gpm.APART_S = 0.1; sampler = GpuSampler(period_s=0.03); sample(12); sampler.stop(); result['samples'] = stub().kd_gpm_samples()"


@with_driver
def test_the_chip_is_looked_into(libraries: Path) -> None:
    """Multiprocessors, tensor cores and bandwidth on a GPU that has the counters; their samples lie 0.1 s apart."""
    report = run(libraries, LONG, KD_UTILIZATION=100)
    (gpu,) = report["gpus"]
    for column, value in zip(CHIP, (30.0, 12.0, 20.0)):
        assert gpu[column][0] is None
        assert set(gpu[column]) == {None, value}
    assert sum(value is not None for value in gpu[CHIP[0]]) <= 1 + (gpu["time_s"][-1] - gpu["time_s"][0]) / 0.1
    assert report["samples"] == 0
    assert gpu["not_measured"] == {}


@with_driver
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"KD_GPM": 0}, "Hopper"),
        ({"KD_GPM_ERROR": 4}, "permission"),
        ({"KD_GPM_ERROR": 3}, "does not report"),
        ({"KD_MIG_MODE": 1}, "MIG"),
        ({"folders": "old_driver:no_cuda"}, "has no function nvmlGpmQueryDeviceSupport"),
    ],
)
def test_a_gpu_without_such_counters_says_so(libraries: Path, variables: dict[str, object], reason: str) -> None:
    """An older GPU, an older driver and one that refuses: not measured, and why; all else is."""
    scenario = LONG if "folders" not in variables else "sample(); sampler.stop()"
    report = run(libraries, scenario, **variables)
    (gpu,) = report["gpus"]
    assert all(set(gpu[column]) == {None} for column in CHIP)
    assert all(reason in gpu["not_measured"][column] for column in CHIP)
    assert set(gpu["sm_clock_mhz"]) == {1410.0}
    assert report.get("samples", 0) == 0


@with_driver
def test_each_counter_fails_alone(libraries: Path) -> None:
    """Where the driver has no value for the tensor cores the others stand."""
    (gpu,) = run(libraries, LONG, KD_GPM_VALUE_ERROR=3)["gpus"]
    assert set(gpu["sm_busy_percent"]) == {None, 30.0}
    assert list(gpu["not_measured"]) == ["tensor_busy_percent"]


FIT = """
import threading

import numpy as np
from tensorflow import keras

from kerasdiag import BottleneckProfiler


def batches():
    while True:
        time.sleep(0.02)
        yield np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32")


model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
profiler = BottleneckProfiler(report=None)
model.fit(batches(), steps_per_epoch=60, epochs=1, verbose=0, callbacks=[profiler])
diagnosis = profiler.diagnosis
result["codes"] = [one.code for one in diagnosis.findings]
result["sampled"] = [gpu.index for gpu in profiler.profile.gpus]
result["utilization"] = diagnosis.gpu_utilization_percent
result["reasons"] = diagnosis.confidence.reasons
result["threads"] = [one.name for one in threading.enumerate() if "gpu" in one.name]
"""


@with_driver
def test_a_training_on_one_of_eight_gpus(libraries: Path) -> None:
    """From the driver to the findings: the fourth GPU by the bus, hot, and shared with another job."""
    buses = {f"KD_BUS_{index}": 8 - index for index in range(8)}
    state = {"KD_OWN_PROCESS_4": 1, "KD_PROCESSES_4": 1, "KD_SLOW_REASONS_4": 0x20, "KD_UTILIZATION_4": 85}
    report = run(libraries, FIT, KD_GPU_NAMES=EIGHT, CUDA_VISIBLE_DEVICES="3", **buses, **state)
    assert report["sampled"] == [4]
    assert report["utilization"] == pytest.approx(85)
    assert report["codes"][0] == "input-bound"
    assert {"gpu-throttled", "gpu-shared"} <= set(report["codes"])
    assert any("others computed on it" in why for why in report["reasons"])
    assert report["threads"] == []


@with_driver
@pytest.mark.parametrize("knob", ["KD_INIT_SECONDS", "KD_CALL_SECONDS", "KD_PCIE_MS"])
def test_a_training_beside_a_hanging_driver(libraries: Path, knob: str) -> None:
    """The verdict is there, and the fit ended, whatever hangs."""
    report = run(libraries, FIT, **{knob: 60_000 if knob == "KD_PCIE_MS" else 60})
    assert report["codes"][0] == "input-bound"


STRANGER, ANOTHER = 4_000_001, 4_000_002  # beyond the kernel's highest process number by default


@pytest.mark.parametrize(
    ("numbers", "on_the_host", "in_a_container"),
    [
        ((), Sharing(0, None), Sharing(0, None)),
        ((STRANGER,), Sharing(1, False), Sharing(0, None)),
        ((STRANGER, ANOTHER), Sharing(2, False), Sharing(1, None)),
        ((os.getpid(), STRANGER), Sharing(1, True), Sharing(1, True)),
    ],
)
def test_numbers_of_the_host_may_be_ours(
    numbers: tuple[int, ...], on_the_host: Sharing, in_a_container: Sharing
) -> None:
    """In a container the driver calls us by a number that we do not know: one of those listed is not another one."""
    assert ProcessNumbers(are_ours=True).ask(listed(*numbers), None) == (on_the_host, None)
    assert ProcessNumbers(are_ours=False).ask(listed(*numbers), None) == (in_a_container, None)


def test_our_own_workers_are_not_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that this one started is a part of it."""
    monkeypatch.setattr("kerasdiag.profiler.gpu.sharing._ancestors", {STRANGER: {os.getpid(), 1}, ANOTHER: {1}}.get)
    sharing, failure = ProcessNumbers(are_ours=True).ask(listed(os.getpid(), STRANGER, ANOTHER), None)
    assert (sharing, failure) == (Sharing(1, True), None)


def test_a_driver_without_lists_is_a_failure() -> None:
    """The reason comes back where there is no list."""
    sharing, failure = ProcessNumbers().ask(SimpleNamespace(), None)
    assert sharing is None
    assert failure is not None
    assert failure.code == FUNCTION_NOT_FOUND
