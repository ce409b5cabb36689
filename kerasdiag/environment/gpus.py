"""The NVIDIA GPUs of this machine at one moment: what NVML says of each, and what the PCI bus shows without a driver."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # pynvml has no type stubs

from kerasdiag.environment.clock_reasons import ask_slow_reasons
from kerasdiag.environment.visible_gpus import ListedGpu, ask, find_visible_gpus

_NVIDIA = "0x10de"
_DISPLAY_CLASSES = ("0x0300", "0x0302")  # VGA controller, 3D controller


@dataclass(frozen=True)
class GpuState:
    """One GPU. What its driver does not tell is None.

    Attributes:
        index: NVML index.
        name: Product name.
        compute_capability: Such as (9, 0).
        utilization_percent: How much of the last moments a kernel ran.
        memory_total_bytes: Its memory.
        memory_used_bytes: How much of that is taken, by whomever.
        processes: Process numbers that compute on it, our own left out.
        slow_reasons: Why its clocks are below what they could be, just now; empty where nothing is amiss.
        pcie_width: Lanes of its PCIe link.
        pcie_max_width: Lanes that GPU and slot could have.
        pcie_generation: Generation of the link just now; it drops when the GPU idles.
        pcie_max_generation: Generation that GPU and slot could have.
        pcie_replays: Transfers that had to be repeated since the driver was loaded.
        power_limit_w: Most power it may draw.
        default_power_limit_w: The same as it was made.
        is_mig: Whether it is cut into MIG instances.
        is_repair_pending: Whether broken memory waits for a reset to be replaced.
        has_repair_failed: Whether there was no spare memory left to replace it.
        failure: Why it cannot be asked at all; empty otherwise.
    """

    index: int
    name: str | None = None
    compute_capability: tuple[int, int] | None = None
    utilization_percent: float | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    processes: tuple[int, ...] | None = None
    slow_reasons: tuple[str, ...] | None = None
    pcie_width: int | None = None
    pcie_max_width: int | None = None
    pcie_generation: int | None = None
    pcie_max_generation: int | None = None
    pcie_replays: int | None = None
    power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    is_mig: bool | None = None
    is_repair_pending: bool | None = None
    has_repair_failed: bool | None = None
    failure: str = ""

    @property
    def title(self) -> str:
        """How a sentence calls it."""
        return f"GPU {self.index} ({self.name})" if self.name else f"GPU {self.index}"


@dataclass(frozen=True)
class GpuFacts:
    """All of them.

    Attributes:
        gpus: Those that this process may use, in CUDA's order where it is known.
        hidden: How many more the driver lists.
        remark: Why there are none, or which they are is not sure; empty otherwise.
        driver_version: Such as ``"550.54.15"``, None without a driver.
        driver_cuda: Newest CUDA version that the driver serves, such as (12, 4).
        cards: NVIDIA cards on the PCI bus, whether or not a driver serves them; None where nobody lists them.
        visible_devices: ``CUDA_VISIBLE_DEVICES``, None where it is not set.
        is_silent: Whether the driver hung or crashed when it was asked, so that nobody knows which GPUs there are.
        lacks_time: Whether it may only have been too slow for the time that it was given.
    """

    gpus: tuple[GpuState, ...] = ()
    hidden: int = 0
    remark: str = ""
    driver_version: str | None = None
    driver_cuda: tuple[int, int] | None = None
    cards: int | None = None
    visible_devices: str | None = None
    is_silent: bool = False
    lacks_time: bool = False

    @property
    def is_there(self) -> bool:
        """Whether the machine has an NVIDIA GPU, as far as anything shows."""
        return bool(self.gpus or self.hidden or self.cards)


def load_nvml() -> Any:
    """Return the module pynvml, or raise what kept it from being imported."""
    import pynvml

    return pynvml


def find_gpus(
    root: Path = Path("/"),
    environ: Mapping[str, str] | None = None,
    load: Callable[[], Any] = load_nvml,
    own_processes: Sequence[int] | None = None,
) -> GpuFacts:
    """Ask the driver and the PCI bus. Never raises, but a driver may hang, or crash this process; it is closed again.

    Args:
        root: Where ``/sys`` is found.
        environ: Environment variables; by default those of this process.
        load: Returns pynvml, or something like it.
        own_processes: Numbers of processes that are not somebody else's; by default this one.
    """
    environ = os.environ if environ is None else environ
    own = (os.getpid(),) if own_processes is None else own_processes
    cards, visible = count_cards(root), environ.get("CUDA_VISIBLE_DEVICES")
    try:
        nvml = load()
    except Exception as error:
        why = f"pynvml cannot be imported: {type(error).__name__}: {error}"
        return GpuFacts(remark=why, cards=cards, visible_devices=visible)
    _, failure = ask(nvml, "nvmlInit")
    if failure:
        return GpuFacts(remark=failure.why, cards=cards, visible_devices=visible)
    try:
        count = ask(nvml, "nvmlDeviceGetCount")[0] or 0
        listed, remark = find_visible_gpus(nvml, environ)
        cuda = ask(nvml, "nvmlSystemGetCudaDriverVersion")[0]
        return GpuFacts(
            gpus=tuple(_state(nvml, gpu, own) for gpu in listed),
            hidden=max(0, count - len(listed)),
            remark=remark or "",
            driver_version=ask(nvml, "nvmlSystemGetDriverVersion")[0],
            driver_cuda=(cuda // 1000, cuda % 1000 // 10) if isinstance(cuda, int) else None,
            cards=cards,
            visible_devices=visible,
        )
    except Exception as error:
        return GpuFacts(remark=f"{type(error).__name__}: {error}", cards=cards, visible_devices=visible)
    finally:
        ask(nvml, "nvmlShutdown")


def _state(nvml: Any, gpu: ListedGpu, own: Sequence[int]) -> GpuState:
    if gpu.failure is not None:
        return GpuState(gpu.index, gpu.name, failure=gpu.failure.why)

    def get(call: str, *arguments: Any) -> Any:
        return ask(nvml, call, gpu.handle, *arguments)[0]

    memory, mig = get("nvmlDeviceGetMemoryInfo"), get("nvmlDeviceGetMigMode")
    running, power = get("nvmlDeviceGetComputeRunningProcesses"), get("nvmlDeviceGetEnforcedPowerLimit")
    default, rates = get("nvmlDeviceGetPowerManagementDefaultLimit"), get("nvmlDeviceGetUtilizationRates")
    capability = get("nvmlDeviceGetCudaComputeCapability")
    # Pages to retire (before Ampere); rows to remap (since): corrected, uncorrected, pending, failed.
    pages, rows = get("nvmlDeviceGetRetiredPagesPendingStatus"), get("nvmlDeviceGetRemappedRows")
    return GpuState(
        index=gpu.index,
        name=gpu.name,
        compute_capability=tuple(capability) if capability else None,
        utilization_percent=float(rates.gpu) if rates is not None and 0 <= rates.gpu <= 100 else None,
        memory_total_bytes=memory and int(memory.total),
        memory_used_bytes=memory and int(memory.used),
        processes=None if running is None else tuple(one.pid for one in running if one.pid not in own),
        slow_reasons=ask_slow_reasons(nvml, gpu.handle)[0],
        pcie_width=get("nvmlDeviceGetCurrPcieLinkWidth"),
        pcie_max_width=get("nvmlDeviceGetMaxPcieLinkWidth"),
        pcie_generation=get("nvmlDeviceGetCurrPcieLinkGeneration"),
        pcie_max_generation=get("nvmlDeviceGetMaxPcieLinkGeneration"),
        pcie_replays=get("nvmlDeviceGetPcieReplayCounter"),
        power_limit_w=None if power is None else power / 1000,
        default_power_limit_w=None if default is None else default / 1000,
        is_mig=None if mig is None else bool(mig[0]),
        is_repair_pending=None if pages is None and rows is None else bool(pages or (rows and rows[2])),
        has_repair_failed=None if rows is None else bool(rows[3]),
    )


def count_cards(root: Path) -> int | None:
    """Return the number of NVIDIA's display controllers on the PCI bus; None where the bus is not listed."""
    folder = root / "sys/bus/pci/devices"
    try:
        devices = list(folder.iterdir())
    except OSError:
        return None
    return sum(_read(one / "vendor") == _NVIDIA and _read(one / "class")[:6] in _DISPLAY_CLASSES for one in devices)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
