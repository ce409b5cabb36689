"""Findings about the GPUs of a run: held back, or shared."""

from __future__ import annotations

from collections.abc import Mapping

from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.diagnosis.gpu_share import SHARED_FRACTION, gpus_of, mean, shared_fraction
from kerasdiag.environment.clock_reasons import POWER_LIMIT
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.profile import GpuSeries, RunProfile

SLOWED_FRACTION = 0.10  # of the samples, as for the CPU's quota


def gpu_throttled(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A GPU whose clocks were held down while it trained. A power limit alone is how a busy card is made to work."""
    slowed = [gpu for gpu in gpus_of(profile) if _most(gpu) >= SLOWED_FRACTION]
    if not slowed:
        return None
    worst = max(slowed, key=lambda gpu: (not _by_power_alone(gpu), _most(gpu)))
    reasons = ", ".join(f"{why} ({share:.0%} of the samples)" for why, share in _reasons(worst).items())
    clock, highest = mean(worst.sm_clock_mhz), worst.max_sm_clock_mhz
    clocks = f" It ran at {clock:.0f} of {highest:.0f} MHz on average." if clock and highest else ""
    more = f" So {'was' if len(slowed) == 2 else 'were'} {len(slowed) - 1} more." if len(slowed) > 1 else ""
    return Finding(
        "gpu-throttled",
        Severity.INFO if _by_power_alone(worst) else Severity.WARN,
        f"{_title(worst)} was slowed down by {reasons}.{clocks}{more}",
        (Evidence("the reasons that the driver gives for its clocks, all through the run", Provenance.MEASURED),),
        Remedy("See what limits it:", ("nvidia-smi -q -d TEMPERATURE,PERFORMANCE,POWER",), safe=True),
        {"slowed_fraction": _most(worst), **({"sm_clock_mhz": clock} if clock else {})},
    )


def gpu_shared(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A GPU on which others computed while it trained."""
    shared = [gpu for gpu in gpus_of(profile) if shared_fraction(gpu) >= SHARED_FRACTION]
    if not shared:
        return None
    worst = max(shared, key=shared_fraction)
    most = round(max(value for value in worst.other_processes if value is not None))
    who = f"{max(1, most)} other process{'es' if most > 1 else ''}"
    more = f", and on {len(shared) - 1} more GPU{'s' if len(shared) > 2 else ''}" if len(shared) > 1 else ""
    return Finding(
        "gpu-shared",
        Severity.WARN,
        f"{who} computed on {_title(worst)}{more} in {shared_fraction(worst):.0%} of the samples: utilization and memory "
        "are theirs, too, and each step takes longer than on a GPU of its own.",
        (Evidence("the processes that the driver lists as computing on it", Provenance.MEASURED),),
        Remedy("Profile again when the GPU is free, or take another one with CUDA_VISIBLE_DEVICES:", ("nvidia-smi",)),
        {"other_processes": most, "shared_fraction": shared_fraction(worst)},
    )


def _reasons(gpu: GpuSeries) -> dict[str, float]:
    return {why: share for why, share in gpu.slow_reasons.items() if share >= SLOWED_FRACTION}


def _most(gpu: GpuSeries) -> float:
    return max(gpu.slow_reasons.values(), default=0.0)


def _by_power_alone(gpu: GpuSeries) -> bool:
    return set(_reasons(gpu)) <= {POWER_LIMIT}


def _title(gpu: GpuSeries) -> str:
    return f"GPU {gpu.index} ({gpu.name})"
