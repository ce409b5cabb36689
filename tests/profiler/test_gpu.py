"""The GPU sampler against a scripted driver library, through the real bindings."""

from __future__ import annotations

import dataclasses
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted_driver import run, with_driver

from kerasdiag.environment.visible_gpus import ListedGpu, select_visible_gpus
from kerasdiag.profiler.gpu import GpuSampler
from kerasdiag.profiler.gpu.metrics import CHIP, COLUMNS
from kerasdiag.profiler.gpu.rows import MAX_ROWS


@with_driver
def test_a_busy_gpu_is_measured_in_every_column(libraries: Path) -> None:
    """A driver that answers everything leaves nothing unmeasured, in the units of GpuSeries."""
    report = run(libraries, "sample(); sampler.stop()", KD_UTILIZATION=87, KD_MEMORY_UTILIZATION=31)
    (gpu,) = report["gpus"]
    assert report["why_none"] is None
    assert gpu["not_measured"] == {}
    assert (gpu["index"], gpu["name"]) == (0, "NVIDIA Test GPU")
    assert gpu["uuid"] == "GPU-00000000-0000-0000-0000-000000000000"
    assert gpu["memory_total_bytes"] == 8 * 2**30
    assert len(gpu["time_s"]) >= 5
    assert gpu["time_s"] == sorted(gpu["time_s"])
    assert gpu["time_s"][0] >= 0
    for column, value in zip(COLUMNS, (87.0, 31.0, 3.0 * 2**30, 123.4, 1410.0)):
        assert gpu[column] == [value] * len(gpu["time_s"])


@with_driver
def test_nothing_heavy_is_imported_before_the_thread_runs(libraries: Path) -> None:
    """Importing the sampler imports neither pynvml nor TensorFlow nor Keras, and no start means no sample."""
    report = run(libraries, "sampler.stop()")
    assert report["imported"] == []
    assert report["gpus"] == []
    assert report["why_none"] == "sampling was not started"


@with_driver
def test_idle_is_a_measured_zero(libraries: Path) -> None:
    """An idle GPU reports 0 %, which is a value and not a missing one."""
    report = run(libraries, "sample(); sampler.stop()", KD_UTILIZATION=0)
    (gpu,) = report["gpus"]
    assert set(gpu["utilization_percent"]) == {0.0}
    assert report["why_none"] is None
    assert gpu["not_measured"] == {}


@with_driver
def test_zeros_alone_are_a_measurement(libraries: Path) -> None:
    """Where utilization is all that the driver reports and it is 0 %, the run has a measurement."""
    knobs = {"KD_UTILIZATION": 0, "KD_MEMORY_UTILIZATION": 0, "KD_MEMORY_ERROR": 4, "KD_POWER_ERROR": 3}
    report = run(libraries, "sample(); sampler.stop()", **knobs)
    assert report["why_none"] is None
    assert set(report["gpus"][0]["not_measured"]) == {"memory_used_bytes", "memory_total_bytes", "power_w"}


@with_driver
def test_bursts_keep_their_place_in_time(libraries: Path) -> None:
    """Samples carry the time they were taken at, on the clock and from the origin they were given."""
    scenario = """
origin_s = time.perf_counter() - 100.0
sampler.start(origin_s)
changes = []
for level in (95, 5, 95, 5):
    sample(4)
    before_s = time.perf_counter() - origin_s
    stub().kd_set(b"UTILIZATION", level)
    changes.append((before_s, time.perf_counter() - origin_s))
sample(4)
sampler.stop()
result["changes"] = changes
"""
    report = run(libraries, scenario, KD_UTILIZATION=50)
    (gpu,) = report["gpus"]
    times, levels = gpu["time_s"], gpu["utilization_percent"]
    assert 100.0 <= times[0] < 110.0
    starts = [0.0, *(after_s for _, after_s in report["changes"])]
    ends = [*(before_s for before_s, _ in report["changes"]), float("inf")]
    for start, end, expected in zip(starts, ends, [50.0, 95.0, 5.0, 95.0, 5.0]):
        seen = [level for time_s, level in zip(times, levels) if start < time_s <= end]
        # The last sample before a change may have got its time stamp before it and its value after it.
        assert len(seen) >= 3
        assert set(seen[:-1]) == {expected}


@with_driver
def test_a_missing_function_costs_its_own_column_only(libraries: Path) -> None:
    """A driver without a call still gives the rest, and the reason names the call."""
    report = run(libraries, "sample(); sampler.stop()", folders="old_driver:no_cuda")
    (gpu,) = report["gpus"]
    assert set(gpu["power_w"]) == {None}
    assert set(gpu["utilization_percent"]) == {40.0}
    assert set(gpu["not_measured"]) == {"power_w", *CHIP}
    assert "nvmlDeviceGetPowerUsage" in gpu["not_measured"]["power_w"]


@with_driver
def test_unsupported_power_is_not_measured(libraries: Path) -> None:
    """Where the driver does not report power, power is None with a reason, never 0."""
    report = run(libraries, "sample(); sampler.stop()", KD_POWER_ERROR=3)
    (gpu,) = report["gpus"]
    assert set(gpu["power_w"]) == {None}
    assert list(gpu["not_measured"]) == ["power_w"]
    assert "does not report this for this GPU" in gpu["not_measured"]["power_w"]


@with_driver
def test_a_passing_error_costs_its_samples_only(libraries: Path) -> None:
    """After an error that is not for good the metric is asked for again."""
    scenario = "sample(); stub().kd_set(b'UTILIZATION_ERROR', 0); sample(); sampler.stop()"
    report = run(libraries, scenario, KD_UTILIZATION_ERROR=999)
    (gpu,) = report["gpus"]
    assert gpu["utilization_percent"][0] is None
    assert gpu["utilization_percent"][-1] == 40.0
    assert gpu["not_measured"] == {}


@with_driver
def test_an_error_that_stays_is_the_reason(libraries: Path) -> None:
    """A column in which every sample failed says what the driver answered."""
    report = run(libraries, "sample(); sampler.stop()", KD_UTILIZATION_ERROR=4)
    (gpu,) = report["gpus"]
    assert set(gpu["utilization_percent"]) == {None}
    assert "permission" in gpu["not_measured"]["utilization_percent"]


@with_driver
def test_an_impossible_percentage_is_not_a_value(libraries: Path) -> None:
    """Garbage from the driver is None with a reason."""
    report = run(libraries, "sample(); sampler.stop()", KD_UTILIZATION=255)
    (gpu,) = report["gpus"]
    assert set(gpu["utilization_percent"]) == {None}
    assert "no usable value" in gpu["not_measured"]["utilization_percent"]


@with_driver
def test_mig_mode_has_no_utilization(libraries: Path) -> None:
    """On a GPU in MIG mode utilization is not measured, by NVIDIA's own rule, and the rest is."""
    report = run(libraries, "sample(); sampler.stop()", KD_MIG_MODE=1)
    (gpu,) = report["gpus"]
    assert set(gpu["utilization_percent"]) == set(gpu["memory_utilization_percent"]) == {None}
    assert "MIG" in gpu["not_measured"]["utilization_percent"]
    assert set(gpu["power_w"]) == {123.4}
    assert report["why_none"] is None


@with_driver
def test_shared_memory_has_no_false_zero(libraries: Path) -> None:
    """A GPU without memory of its own reports 0 % memory utilization; that is not taken for a measurement."""
    report = run(libraries, "sample(); sampler.stop()", KD_MEMORY_ERROR=3, KD_MEMORY_UTILIZATION=0)
    (gpu,) = report["gpus"]
    assert set(gpu["memory_utilization_percent"]) == set(gpu["memory_used_bytes"]) == {None}
    assert gpu["memory_total_bytes"] is None
    assert set(gpu["not_measured"]) == {"memory_utilization_percent", "memory_used_bytes", "memory_total_bytes"}
    assert set(gpu["utilization_percent"]) == {40.0}


@with_driver
def test_a_lost_gpu_keeps_its_samples(libraries: Path) -> None:
    """When the only GPU is lost, its samples stay, every column says why it ends, and the thread ends."""
    scenario = "sample(); stub().kd_set(b'LOST_GPU', 0); wait_until(thread_ended); sampler.stop()"
    report = run(libraries, scenario)
    (gpu,) = report["gpus"]
    assert report["why_none"] is None
    assert len(gpu["time_s"]) >= 5
    assert set(gpu["utilization_percent"]) == {40.0}
    assert set(gpu["not_measured"]) == set(COLUMNS)
    assert all("the GPU was lost" in why for why in gpu["not_measured"].values())


@with_driver
def test_one_lost_gpu_does_not_end_the_other(libraries: Path) -> None:
    """Of two GPUs the one that still answers is sampled on."""
    scenario = "sample(); stub().kd_set(b'LOST_GPU', 0); sample(8); sampler.stop()"
    report = run(libraries, scenario, KD_GPU_NAMES="NVIDIA A;NVIDIA A")
    lost, alive = report["gpus"]
    assert len(lost["time_s"]) < len(alive["time_s"])
    assert lost["not_measured"]
    assert not alive["not_measured"]


@with_driver
def test_a_gpu_that_was_lost_before_says_so(libraries: Path) -> None:
    """A GPU that never answers has no samples, and the reason is the run's too."""
    report = run(libraries, "sampler.start(0.0); wait_until(thread_ended); sampler.stop()", KD_LOST_GPU=0)
    (gpu,) = report["gpus"]
    assert gpu["time_s"] == []
    assert "lost" in report["why_none"]


@with_driver
@pytest.mark.parametrize(
    ("code", "reason"), [(9, "not loaded"), (4, "permission"), (18, "different versions"), (999, "nvmlInit failed")]
)
def test_a_driver_that_does_not_start_is_the_reason(libraries: Path, code: int, reason: str) -> None:
    """An error of nvmlInit becomes the reason, in plain words, and no GPU is listed."""
    report = run(libraries, "sampler.start(0.0); wait_until(thread_ended); sampler.stop()", KD_INIT_ERROR=code)
    assert report["gpus"] == []
    assert reason in report["why_none"]


@with_driver
def test_no_driver_names_the_library(libraries: Path) -> None:
    """Without NVIDIA's library the reason names it."""
    scenario = "sampler.start(0.0); wait_until(thread_ended); sampler.stop()"
    report = run(libraries, scenario, folders="no_driver:no_cuda")
    assert report["gpus"] == []
    assert "libnvidia-ml.so.1" in report["why_none"]


@with_driver
def test_no_gpu_is_said_in_words(libraries: Path) -> None:
    """A driver that is there but sees no GPU is told from one that is absent."""
    report = run(libraries, "sampler.start(0.0); wait_until(thread_ended); sampler.stop()", KD_GPU_NAMES=";")
    assert report["gpus"] == []
    assert report["why_none"] == "the NVIDIA driver sees no GPU"


@with_driver
def test_a_hidden_gpu_is_not_sampled(libraries: Path) -> None:
    """With an empty CUDA_VISIBLE_DEVICES nothing is sampled and the reason is that setting."""
    scenario = "sampler.start(0.0); wait_until(thread_ended); sampler.stop()"
    report = run(libraries, scenario, CUDA_VISIBLE_DEVICES="")
    assert report["gpus"] == []
    assert "CUDA_VISIBLE_DEVICES=''" in report["why_none"]


@with_driver
@pytest.mark.parametrize(
    ("variables", "indexes"),
    [
        ({"CUDA_VISIBLE_DEVICES": "GPU-1111"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-5"}, [1]),
        ({"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [0]),
        ({"CUDA_VISIBLE_DEVICES": "0", "KD_CUDA_ORDER": "1"}, [1]),
    ],
)
def test_mixed_gpus_are_told_apart(libraries: Path, variables: dict[str, str], indexes: list[int]) -> None:
    """On a machine with a slow GPU 0 and a fast GPU 1 the one that CUDA means is sampled: its 0 is NVML's 1."""
    names = "NVIDIA Slow;NVIDIA Fast"
    report = run(libraries, "sample(); sampler.stop()", folders="driver:cuda", KD_GPU_NAMES=names, **variables)
    assert [gpu["index"] for gpu in report["gpus"]] == indexes
    assert [gpu["not_measured"] for gpu in report["gpus"]] == [{}]


@with_driver
def test_mixed_gpus_without_cuda_are_all_sampled(libraries: Path) -> None:
    """Where CUDA's order cannot be learnt no GPU is picked by guess: all are sampled, and each says so."""
    names = "NVIDIA Slow;NVIDIA Fast"
    report = run(libraries, "sample(); sampler.stop()", KD_GPU_NAMES=names, CUDA_VISIBLE_DEVICES="0")
    assert [gpu["index"] for gpu in report["gpus"]] == [0, 1]
    assert all("CUDA_VISIBLE_DEVICES='0'" in gpu["not_measured"]["visible"] for gpu in report["gpus"])


@with_driver
@pytest.mark.parametrize("knob", ["INIT_SECONDS", "CALL_SECONDS"])
def test_a_hanging_driver_does_not_hang_the_training(libraries: Path, knob: str) -> None:
    """stop() gives up on a driver that does not answer, and so does the end of the process."""
    scenario = """
sampler.start(time.perf_counter())
time.sleep(0.2)
begin = time.perf_counter()
sampler.stop(0.2)
sampler.stop(0.2)
result["stop_s"] = time.perf_counter() - begin
"""
    report = run(libraries, scenario, **{f"KD_{knob}": 30})
    assert report["stop_s"] < 5.0
    assert "does not answer" in report["why_none"]


@with_driver
def test_an_answer_after_the_end_changes_nothing(libraries: Path) -> None:
    """A driver that answers only after stop() gave up is closed again, and the snapshot stays as it was."""
    scenario = """
sampler.start(time.perf_counter())
time.sleep(0.1)
sampler.stop(0.0)
wait_until(thread_ended)
result["users"] = stub().kd_users()
"""
    report = run(libraries, scenario, KD_INIT_SECONDS=1)
    assert (report["gpus"], report["users"]) == ([], 0)
    assert "does not answer" in report["why_none"]


@with_driver
def test_a_driver_that_begins_to_hang_keeps_what_it_gave(libraries: Path) -> None:
    """Samples from before the driver hung stay, and their columns say why they end."""
    scenario = "sample(); stub().kd_set(b'CALL_SECONDS', 30); time.sleep(0.1); sampler.stop(0.2)"
    report = run(libraries, scenario)
    (gpu,) = report["gpus"]
    assert report["why_none"] is None
    assert set(gpu["utilization_percent"]) == {40.0}
    assert all("does not answer" in gpu["not_measured"][column] for column in COLUMNS)


@with_driver
def test_another_user_of_nvml_is_not_disturbed(libraries: Path) -> None:
    """Every nvmlInit has its nvmlShutdown, and what another part of the process opened stays open."""
    scenario = """
import pynvml
pynvml.nvmlInit()
sample()
result["during"] = stub().kd_users()
sampler.stop()
result["after"] = stub().kd_users()
result["theirs"] = pynvml.nvmlDeviceGetCount()
"""
    report = run(libraries, scenario)
    assert (report["during"], report["after"], report["theirs"]) == (2, 1, 1)


@with_driver
def test_keep_sampling_ends_the_thread(libraries: Path) -> None:
    """The thread ends by itself, and closes NVML, once keep_sampling says no."""
    scenario = """
calls = []
sampler = GpuSampler(period_s=0.01, keep_sampling=lambda: len(calls) < 3 and not calls.append(1))
sampler.start(0.0)
wait_until(thread_ended)
result["users"] = stub().kd_users()
"""
    report = run(libraries, scenario)
    assert len(report["gpus"][0]["time_s"]) == 3
    assert report["users"] == 0


def fake_bindings(utilization: list[int]) -> SimpleNamespace:
    """Return a pynvml of one GPU that reports ``utilization`` in turn; the power fails at every second call."""

    class PassingError(Exception):
        value = 999

    calls = iter(utilization)
    power_calls: list[int] = []

    def power(_: object) -> int:
        power_calls.append(1)
        if len(power_calls) % 2 == 0:
            raise PassingError
        return 50_000

    return SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: object(),
        nvmlDeviceGetName=lambda _: b"NVIDIA Old Bindings",
        nvmlDeviceGetUUID=lambda _: "GPU-0",
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=next(calls), memory=0),
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=100, used=10),
        nvmlDeviceGetPowerUsage=power,
    )


def test_days_of_samples_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit neighbours are merged: means and the span of time stay, and failed samples weigh nothing."""
    num_samples = 2 * MAX_ROWS + 1
    ticks = iter(range(num_samples))
    remaining = iter(range(num_samples))
    bindings = fake_bindings([100] * MAX_ROWS + [20] * (MAX_ROWS + 1))
    monkeypatch.setitem(sys.modules, "pynvml", bindings)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sampler = GpuSampler(
        lambda: next(ticks) * 0.2, period_s=0.0, keep_sampling=lambda: next(remaining, None) is not None
    )
    sampler.start(0.0)
    assert sampler._thread is not None
    sampler._thread.join(20.0)
    ((series,), why_none) = sampler.snapshot()
    assert why_none is None
    assert series.name == "NVIDIA Old Bindings"
    assert len(series.time_s) == MAX_ROWS // 2 + 1  # merged twice, and the sample of a row that is not full yet
    assert series.time_s[:3] == pytest.approx((0.0, 0.8, 1.6))
    assert series.utilization_percent == (100.0,) * (MAX_ROWS // 4) + (20.0,) * (MAX_ROWS // 4 + 1)
    assert set(series.power_w) == {50.0}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nvidia-ml-py nothing is raised and the reason names the package."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    sampler = GpuSampler()
    sampler.start(0.0)
    sampler.stop()
    series, why_none = sampler.snapshot()
    assert series == ()
    assert why_none is not None
    assert "nvidia-ml-py" in why_none


def test_a_fault_of_the_callers_functions_stays_in_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that raises ends the sampling with a reason, not the training."""
    monkeypatch.setitem(sys.modules, "pynvml", fake_bindings([1]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sampler = GpuSampler(clock=lambda: 1 // 0)
    sampler.start(0.0)
    assert sampler._thread is not None
    sampler._thread.join(10.0)
    series, why_none = sampler.snapshot()
    assert why_none is not None
    assert "ZeroDivisionError" in why_none
    assert "ZeroDivisionError" in series[0].not_measured["power_w"]


def test_a_process_without_threads_to_spare_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, start and stop return and the reason says so."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    sampler = GpuSampler()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        sampler.start(0.0)
    sampler.stop()
    assert sampler.snapshot() == ((), "no thread could be started: can't start new thread")


MACHINE = [ListedGpu(index, None, "NVIDIA A", f"GPU-{digits}") for index, digits in enumerate(("aa10", "aa20", "bb30"))]


@pytest.mark.parametrize(
    ("setting", "indexes"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("0,-1,1", [0]),
        ("0,7,1", [0]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
        ("1,1", []),
        ("GPU-aa2,GPU-BB", [1, 2]),
        ("GPU-aa", []),
        ("GPU-bb30,GPU-cc,GPU-aa10", [2]),
        ("GPU-bb30,0", [2]),
        ("GPU-bb30,GPU-bb", []),
        ("MIG-GPU-bb30/1/0,MIG-GPU-bb30/2/0", [2]),
        ("MIG-known", [1]),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(setting: str | None, indexes: list[int]) -> None:
    """Ordinals and UUIDs pick GPUs in their order; the list ends at the first invalid entry."""
    environ = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
    chosen, remark = select_visible_gpus(MACHINE, environ, {"MIG-known": "GPU-aa20"}.get)
    assert [gpu.index for gpu in chosen] == indexes
    assert (remark is None) == bool(indexes)


@pytest.mark.parametrize("setting", ["MIG-unknown", "GPU-dd40"])
def test_what_cannot_be_resolved_is_not_guessed(setting: str) -> None:
    """Where the driver does not tell the UUIDs that the setting needs, all GPUs are taken, with a remark."""
    machine = [*MACHINE, ListedGpu(3, None, "NVIDIA A", None)]
    chosen, remark = select_visible_gpus(machine, {"CUDA_VISIBLE_DEVICES": setting}, lambda mig_uuid: None)
    assert len(chosen) == 4
    assert remark is not None
    assert setting in remark


@pytest.mark.parametrize(
    ("setting", "indexes"), [("0", [2]), ("2,1", [1, 0]), ("GPU-aa10", [0]), ("MIG-known", [1]), ("0,5,1", [2])]
)
@pytest.mark.parametrize("order", ["PCI_BUS_ID", "FASTEST_FIRST"])
def test_ordinals_count_along_the_pci_bus(setting: str, indexes: list[int], order: str) -> None:
    """Where NVML lists GPUs in another order than the bus, CUDA's ordinals go by the bus; UUIDs need no order."""
    places = [(0, 0x41, 0), (0, 0xC1, 0), (0, 0x01, 0)]
    machine = [dataclasses.replace(gpu, pci_place=place) for gpu, place in zip(MACHINE, places)]
    environ = {"CUDA_VISIBLE_DEVICES": setting, "CUDA_DEVICE_ORDER": order}
    chosen, remark = select_visible_gpus(machine, environ, {"MIG-known": "GPU-aa20"}.get)
    assert [gpu.index for gpu in chosen] == indexes
    assert remark is None
