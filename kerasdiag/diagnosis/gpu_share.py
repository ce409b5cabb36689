"""What the GPUs did while the measured steps ran, and whose work it was."""

from __future__ import annotations

from collections.abc import Sequence

from kerasdiag.profile import GpuSeries, RunProfile
from kerasdiag.step_times import StepTimes

SHARED_FRACTION = 0.10  # of the samples in which others computed on the GPU: less is a passing visitor


def gpus_of(profile: RunProfile) -> tuple[GpuSeries, ...]:
    """Return the GPUs that the training computed on, as far as that is known: another job's are not ours."""
    used = tuple(gpu for gpu in profile.gpus if gpu.is_used)
    return used or tuple(gpu for gpu in profile.gpus if gpu.is_used is None)


def gpu_utilization(profile: RunProfile) -> tuple[float | None, str | None]:
    """Return the mean utilization of the busiest GPU in percent over the measured steps, or None and the reason.

    The busiest, for plain Keras trains on one GPU however many there are.
    """
    if not profile.gpus:
        return None, profile.not_measured.get("gpu", "no GPU was sampled")
    gpus = gpus_of(profile)
    if not gpus:
        return None, "other processes computed on the GPU, this training did not"
    means = [
        mean for mean in (mean_utilization_percent(gpu, profile.steps.measured) for gpu in gpus) if mean is not None
    ]
    if means:
        return max(means), None
    reasons = {gpu.not_measured["utilization_percent"] for gpu in gpus if "utilization_percent" in gpu.not_measured}
    return None, "; ".join(sorted(reasons)) or "no sample fell into the measured steps"


def mean_utilization_percent(gpu: GpuSeries, steps: StepTimes) -> float | None:
    """Return the mean ``utilization.gpu`` of the samples taken during these steps, or None.

    Samples of validation, epoch boundaries and warm-up do not count: they would blur what the
    steps did.
    """
    import numpy as np

    if not len(steps):
        return None
    starts = np.asarray(steps.start_s)
    ends = starts + np.asarray(steps.period_s)
    times = np.asarray(gpu.time_s)
    values = np.asarray([np.nan if value is None else value for value in gpu.utilization_percent])
    row = np.searchsorted(starts, times, side="right") - 1
    inside = (row >= 0) & (times <= ends[np.maximum(row, 0)] + 1e-6) & ~np.isnan(values)
    return float(values[inside].mean()) if inside.any() else None


def mean(column: Sequence[float | None]) -> float | None:
    """Return the mean of what was measured of a column, or None."""
    known = [value for value in column if value is not None]
    return sum(known) / len(known) if known else None


def shared_fraction(gpu: GpuSeries) -> float:
    """Return the share of the samples in which others computed on this GPU (0-1); 0 where nobody knows."""
    return mean([None if value is None else float(value > 0) for value in gpu.other_processes]) or 0.0


def is_shared(profile: RunProfile) -> bool:
    """Whether others computed on a GPU of this training."""
    return any(shared_fraction(gpu) >= SHARED_FRACTION for gpu in gpus_of(profile))
