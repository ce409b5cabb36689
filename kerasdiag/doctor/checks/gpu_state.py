"""KD205 to KD211: a GPU that works and is held back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.unseen_gpus import without_gpu
from kerasdiag.doctor.wording import size
from kerasdiag.environment.clock_reasons import POWER_LIMIT
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.gpus import GpuFacts, GpuState
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

# An idle GPU has its clocks and its PCIe link down, which is no fault.
_BUSY_PERCENT = 10
# Without any process a display and the driver hold a few hundred megabytes at most.
_HELD_FRACTION = 0.1
# Of the power a card was made for: what is set in whole watts never meets it exactly.
_FULL_POWER = 0.98

_EVENTS = "https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html"
_ERRORS = "https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/error-recovery-and-response-flags.html"


@check("KD205", "throttled-gpu", needs=("gpus",))
def throttled_gpu(environment: Environment) -> Answer:
    """The GPU runs with lower clocks than it could, because it is hot, or short of power.

    What it finds:
        The reasons that the driver gives for low clocks of a GPU at work: temperature, a hardware slowdown, a power
        brake. Its own power limit alone is a note: many cards reach it whenever they are busy.

    Why it matters:
        A hardware slowdown halves the clocks or worse. Nothing in the training tells that.

    Example:
        GPU 0 (NVIDIA T4) is slowed down by its temperature (hardware).

    Fix:
        Look at its cooling (`nvidia-smi -q -d TEMPERATURE,PERFORMANCE`): dust, fans, the slot beside it, the case.

    When to ignore:
        If the training waits for its data anyway.
    """

    def look(gpu: GpuState) -> Finding | None:
        if not gpu.slow_reasons or not (gpu.utilization_percent or 0) >= _BUSY_PERCENT:
            return None
        only_power = gpu.slow_reasons == (POWER_LIMIT,)
        return _finding(
            "KD205",
            Severity.INFO if only_power else Severity.WARN,
            f"{gpu.title} is slowed down by {' and '.join(gpu.slow_reasons)}.",
            f"the driver says so at {gpu.utilization_percent:.0f} % utilisation",
            remedy=Remedy("See what limits it:", ("nvidia-smi -q -d TEMPERATURE,PERFORMANCE,POWER",), safe=True),
            numbers={"reasons": len(gpu.slow_reasons)},
            reference=_EVENTS,
        )

    return _each(environment, look, lambda gpu: gpu.slow_reasons is None, "no GPU is slowed down just now")


@check("KD206", "narrow-pcie-link", needs=("gpus",))
def narrow_pcie_link(environment: Environment) -> Answer:
    """The GPU has fewer PCIe lanes than it could have.

    What it finds:
        A link of fewer lanes than both GPU and slot have, at any time, and one of an older generation while the GPU is at
        work. An idle GPU drops to the first generation, which is no fault.

    Why it matters:
        Batches go to the GPU through this link. x4 instead of x16 takes four times as long, which shows with large images
        and small models.

    Example:
        GPU 0 (NVIDIA T4) has 4 of 16 PCIe lanes.

    Fix:
        Put the card into a slot with all lanes, seat it anew, or look into the BIOS for lanes that another slot takes.

    When to ignore:
        If the model computes for long on each batch: then the transfer is hidden behind it.
    """

    def look(gpu: GpuState) -> Finding | None:
        if gpu.pcie_width and gpu.pcie_max_width and gpu.pcie_width < gpu.pcie_max_width:
            what, numbers = f"{gpu.pcie_width} of {gpu.pcie_max_width} PCIe lanes", {"lanes": gpu.pcie_width}
        elif (
            (gpu.utilization_percent or 0) >= _BUSY_PERCENT
            and gpu.pcie_generation
            and gpu.pcie_max_generation
            and gpu.pcie_generation < gpu.pcie_max_generation
        ):
            what = f"a PCIe link of generation {gpu.pcie_generation} at work, and could have {gpu.pcie_max_generation}"
            numbers = {"generation": gpu.pcie_generation}
        else:
            return None
        replays = f", and repeated {gpu.pcie_replays:,} transfers" if gpu.pcie_replays else ""
        remedy = Remedy(
            "Seat the card anew or in another slot; see what it has:", ("nvidia-smi -q -d PCIE",), safe=True
        )
        return _finding(
            "KD206",
            Severity.WARN,
            f"{gpu.title} has {what}{replays}.",
            "the driver says so",
            remedy=remedy,
            numbers=numbers,
        )

    return _each(environment, look, lambda gpu: gpu.pcie_width is None, "every GPU has all of its PCIe lanes")


@check("KD207", "shared-gpu", needs=("gpus",))
def shared_gpu(environment: Environment) -> Answer:
    """Somebody else computes on the GPU, or holds its memory.

    What it finds:
        Other processes that compute on the GPU just now and keep it busy or hold a tenth of its memory, and inside of a
        container memory that is taken though no process shows: those of others are not visible there. Less is a note,
        such as the memory that a display takes.

    Why it matters:
        Two trainings on one GPU take turns, and TensorFlow takes nearly all of the memory when it starts: the second one
        fails with out of memory.

    Example:
        1 other process computes on GPU 0 (NVIDIA T4), which holds 9 GB of its 16 GB.

    Fix:
        End a process that was forgotten, or take another GPU with CUDA_VISIBLE_DEVICES.

    When to ignore:
        If the other process is yours, and meant to be there.
    """

    def look(gpu: GpuState) -> Finding | None:
        count, used, total = len(gpu.processes or ()), gpu.memory_used_bytes or 0, gpu.memory_total_bytes or 0
        is_held = bool(total) and used >= _HELD_FRACTION * total
        if not count and not is_held:
            return None
        held = f"{size(used)} of its {size(total)}"
        if count:
            message = (
                f"{count} other process{'es compute' if count > 1 else ' computes'} on {gpu.title}, which holds {held}."
            )
        else:
            message = f"{held[0].upper()}{held[1:]} of {gpu.title} are taken, though no process shows."
        said = f"process {', '.join(map(str, gpu.processes))}" if gpu.processes else "memory as the driver counts it"
        remedy = Remedy("See who it is:", ("nvidia-smi",), safe=True)
        is_busy = (gpu.utilization_percent or 0) >= _BUSY_PERCENT
        is_in_the_way = (is_busy or is_held) if count else environment.system.is_container
        return _finding(
            "KD207",
            Severity.WARN if is_in_the_way else Severity.INFO,
            message,
            said,
            remedy=remedy,
            numbers={"processes": count, "memory_used_bytes": used},
        )

    return _each(environment, look, lambda gpu: gpu.memory_used_bytes is None, "nobody else uses a GPU")


@check("KD208", "limited-power", needs=("gpus",), uses=("limits",))
def limited_power(environment: Environment) -> Answer:
    """The GPU may draw less power than it was made for, or the machine runs on its battery.

    What it finds:
        A power limit below the one that the card came with, and a laptop without mains: then GPU and CPU are slowed
        down.

    Why it matters:
        Under load the clocks follow the power: a card that may draw less computes more slowly.

    Example:
        GPU 0 (NVIDIA T4) may draw 50 W of the 70 W that it was made for.

    Fix:
        sudo nvidia-smi -pl WATTS with the default (`nvidia-smi -q -d POWER` shows it), where cooling and supply allow it.

    When to ignore:
        If somebody set it on purpose: the last watts give little speed.
    """

    def look(gpu: GpuState) -> Finding | None:
        limit, default = gpu.power_limit_w, gpu.default_power_limit_w
        if limit is None or default is None or limit >= _FULL_POWER * default:
            return None
        remedy = Remedy("If nobody wanted that:", (f"sudo nvidia-smi -i {gpu.index} -pl {default:.0f}",), safe=False)
        message = f"{gpu.title} may draw {limit:.0f} W of the {default:.0f} W that it was made for."
        return _finding(
            "KD208",
            Severity.WARN,
            message,
            "the driver says so",
            remedy=remedy,
            numbers={"limit_w": limit, "default_w": default},
        )

    on_battery = environment.limits is not None and bool(environment.limits.on_battery)
    answer = _each(environment, look, lambda gpu: gpu.power_limit_w is None, "every GPU has its full power")
    if not on_battery or not (environment.gpus and environment.gpus.gpus):
        return answer
    remedy = Remedy("Plug it in before you train or measure.", (), safe=True)
    message = "The machine runs on its battery, and slows GPU and CPU down."
    battery = _finding(
        "KD208", Severity.WARN, message, "/sys/class/power_supply says so", remedy=remedy, numbers={"on_battery": 1}
    )
    return found(*answer.findings, battery)


@check("KD209", "hidden-gpu-metrics", needs=("gpus",))
def hidden_gpu_metrics(environment: Environment) -> Answer:
    """The driver does not tell here how busy the GPU is.

    What it finds:
        A GPU that is cut into MIG instances, and one under WSL: utilisation is not told there. The profiler says "not
        measured" then, never 0 %.

    Why it matters:
        Nobody can see from outside whether the GPU waits. The wait that BottleneckProfiler measures does not depend on it.

    Example:
        GPU 0 (NVIDIA T4) is cut into MIG instances, of which the driver tells no utilisation.

    Fix:
        Nothing needs to be done: the verdict of the profiler stands without it.

    When to ignore:
        Always, once you know that a missing number is no zero.
    """

    def look(gpu: GpuState) -> Finding | None:
        if gpu.is_mig:
            why = "is cut into MIG instances, of which the driver tells no utilisation"
        elif environment.system.is_wsl and gpu.utilization_percent is None:
            why = "tells no utilisation under WSL"
        else:
            return None
        remedy = Remedy("Judge by the data wait of BottleneckProfiler, which does not need it.", (), safe=True)
        return _finding(
            "KD209",
            Severity.INFO,
            f"{gpu.title} {why}.",
            "the driver says so",
            remedy=remedy,
            numbers={"gpu": gpu.index},
        )

    return _each(environment, look, lambda _: False, "the driver tells how busy every GPU is")


@check("KD211", "broken-gpu-memory", needs=("gpus",))
def broken_gpu_memory(environment: Environment) -> Answer:
    """Memory of the GPU is broken, and waits to be replaced or cannot be.

    What it finds:
        Pages that are to be retired and rows that are to be remapped at the next reset of the GPU (a warning), and a
        remapping that failed because no spare rows were left (an error), as the driver counts them.

    Why it matters:
        The process that met the error was ended, and a training may be the next. What runs elsewhere in the memory goes
        on, neither slower nor wrong.

    Example:
        GPU 0 (NVIDIA T4) has broken memory, which is replaced when the GPU is reset.

    Fix:
        Reboot the machine, or let its administrator reset the GPU. If it comes back, or if nothing is left to replace it
        with, the card goes back to its maker.

    When to ignore:
        Until the training has ended, if it still waits to be replaced: a reset ends everything that runs on the GPU.
    """

    def look(gpu: GpuState) -> Finding | None:
        if not gpu.is_repair_pending and not gpu.has_repair_failed:
            return None
        if gpu.has_repair_failed:
            message = f"{gpu.title} has broken memory, and no spare memory to replace it with."
            said, text = "a remapping of rows failed", "Have the card replaced; what it reports:"
        else:
            message = f"{gpu.title} has broken memory, which is replaced when the GPU is reset."
            said, text = "pages or rows wait to be replaced", "Reboot, and see whether it comes back:"
        return _finding(
            "KD211",
            Severity.ERROR if gpu.has_repair_failed else Severity.WARN,
            message,
            said,
            remedy=Remedy(text, ("nvidia-smi -q -d PAGE_RETIREMENT,ROW_REMAPPER",), safe=True),
            numbers={"gpu": gpu.index},
            reference=_ERRORS,
        )

    return _each(environment, look, lambda gpu: gpu.is_repair_pending is None, "no GPU reports broken memory")


def _each(
    environment: Environment,
    look: Callable[[GpuState], Finding | None],
    is_untold: Callable[[GpuState], bool],
    fine: str,
) -> Answer:
    """Look at each GPU. What no driver tells is unknown."""
    gpus = (environment.gpus or GpuFacts()).gpus
    if not gpus:
        return without_gpu(environment.gpus, "no GPU can be asked")
    findings = tuple(_found(gpus, look))
    if findings:
        return found(*findings)
    return unknown("the driver does not tell it") if all(map(is_untold, gpus)) else ok(fine)


def _found(gpus: tuple[GpuState, ...], look: Callable[[GpuState], Finding | None]) -> Iterator[Finding]:
    for gpu in gpus:
        finding = look(gpu)
        if finding is not None:
            yield finding


def _finding(
    code: str,
    severity: Severity,
    message: str,
    *said: str,
    remedy: Remedy,
    numbers: Mapping[str, float],
    reference: str = "",
) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        message=message,
        evidence=tuple(Evidence(one, Provenance.MEASURED) for one in said),
        remedy=remedy,
        numbers=numbers,
        price=Price.unknown("what it costs a training, only a run without it tells"),
        references=(reference,) if reference else (),
    )
