"""The questions that a GPU is asked over and over, and what their answers fill in GpuSeries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple  # Any: pynvml has no type stubs

from kerasdiag.environment.visible_gpus import Failure, ask

Answer = tuple[Any, "Failure | None"]

_SM_CLOCK = 1  # nvmlClockType_t
_TO_HOST, _TO_GPU = 0, 1  # nvmlPcieUtilCounter_t: what the GPU sends, what it receives


class Metric(NamedTuple):
    """One question.

    Attributes:
        columns: What its answer fills.
        ask: Asks it of pynvml and a handle; may hang.
        read: Answer -> one value per column.
        is_slow: Whether the answer takes so long that it is asked for less often.
    """

    columns: tuple[str, ...]
    ask: Callable[[Any, Any], Answer]
    read: Callable[[Any], tuple[float | None, ...]]
    is_slow: bool = False


def percent(value: float) -> float | None:
    """Return a share in percent, None for the garbage that drivers have been seen to return (Syllo/nvtop #110)."""
    return float(value) if 0 <= value <= 100 else None


def _bytes_per_s(direction: int) -> Callable[[Any, Any], Answer]:
    # The driver counts for 20 ms and does not return before.
    return lambda nvml, gpu: ask(nvml, "nvmlDeviceGetPcieThroughput", gpu, direction)


UTILIZATION = Metric(
    ("utilization_percent", "memory_utilization_percent"),
    lambda nvml, gpu: ask(nvml, "nvmlDeviceGetUtilizationRates", gpu),
    lambda rates: (percent(rates.gpu), percent(rates.memory)),
)
METRICS = (
    UTILIZATION,
    Metric(
        ("memory_used_bytes",),
        lambda nvml, gpu: ask(nvml, "nvmlDeviceGetMemoryInfo", gpu),
        lambda memory: (float(memory.used),),
    ),
    Metric(
        ("power_w",),
        lambda nvml, gpu: ask(nvml, "nvmlDeviceGetPowerUsage", gpu),
        lambda milliwatts: (milliwatts / 1000,),
    ),
    Metric(
        ("sm_clock_mhz",),
        lambda nvml, gpu: ask(nvml, "nvmlDeviceGetClockInfo", gpu, _SM_CLOCK),
        lambda megahertz: (float(megahertz),),
    ),
    Metric(("pcie_to_gpu_bytes_per_s",), _bytes_per_s(_TO_GPU), lambda kib: (kib * 1024.0,), is_slow=True),
    Metric(("pcie_to_host_bytes_per_s",), _bytes_per_s(_TO_HOST), lambda kib: (kib * 1024.0,), is_slow=True),
)
OTHER_PROCESSES = "other_processes"
CHIP = {"sm_busy_percent": 2, "tensor_busy_percent": 5, "memory_bandwidth_percent": 10}  # nvmlGpmMetricId_t
COLUMNS = (*(column for metric in METRICS for column in metric.columns), OTHER_PROCESSES, *CHIP)
MEMORY_FIELDS = ("memory_total_bytes", "memory_used_bytes", "memory_utilization_percent")


def max_sm_clock_mhz(nvml: Any, gpu: Any) -> float | None:
    """Return the highest clock that this GPU could have, None where the driver does not tell."""
    megahertz, _ = ask(nvml, "nvmlDeviceGetMaxClockInfo", gpu, _SM_CLOCK)
    return float(megahertz) if megahertz else None
