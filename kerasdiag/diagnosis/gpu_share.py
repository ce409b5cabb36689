"""What the GPUs did while the measured steps ran."""

from __future__ import annotations

from kerasdiag.profile import GpuSeries, RunProfile
from kerasdiag.step_times import StepTimes


def gpu_utilization(profile: RunProfile) -> tuple[float | None, str | None]:
    """Return the mean utilization of the busiest GPU in percent over the measured steps, or None and the reason.

    The busiest, for plain Keras trains on one GPU however many there are.
    """
    if not profile.gpus:
        return None, profile.not_measured.get("gpu", "no GPU was sampled")
    means = [
        mean
        for mean in (mean_utilization_percent(gpu, profile.steps.measured) for gpu in profile.gpus)
        if mean is not None
    ]
    if means:
        return max(means), None
    reasons = {
        gpu.not_measured["utilization_percent"] for gpu in profile.gpus if "utilization_percent" in gpu.not_measured
    }
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
