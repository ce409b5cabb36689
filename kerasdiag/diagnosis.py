"""From what was measured to a verdict: thresholds, estimator, truth table. Values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.next_step import next_step
from kerasdiag.profile import GpuSeries, RunProfile
from kerasdiag.step_times import StepTimes

if TYPE_CHECKING:
    import numpy as np

# XProf's input pipeline analyzer calls a step "moderately" and "highly" input-bound at these
# shares, and users compare the two tools.
PARTLY_INPUT_BOUND_FRACTION = 0.05
INPUT_BOUND_FRACTION = 0.20
# Below this one slow step can turn the verdict.
MIN_MEASURED_STEPS = 20

BOOTSTRAP_RESAMPLES = 1000
INTERVAL_LEVEL = 0.95
# With several workers the batches come in bursts; a block must be longer than a burst.
MIN_BLOCK_ROWS = 8


class Verdict(str, Enum):
    """What limits the training. ``launch-bound``, ``callback-bound`` and ``mixed`` are not given yet."""

    INPUT_BOUND = "input-bound"
    PARTLY_INPUT_BOUND = "partly-input-bound"
    COMPUTE_BOUND = "compute-bound"
    LAUNCH_BOUND = "launch-bound"
    CALLBACK_BOUND = "callback-bound"
    MIXED = "mixed"
    NOT_ENOUGH_DATA = "not-enough-data"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Diagnosis:
    """The judgement of one profile.

    Attributes:
        verdict: What limits the training.
        statement: Verdict, number, therefore: one sentence.
        data_wait_fraction: Share of the training time that was visible data wait (0-1); None
            when it was not measured.
        data_wait_interval: Its 95 % interval (low, high), or None.
        speedup_if_fixed: How many times faster the training runs if no batch is waited for.
        measured_steps: Steps the numbers come from.
        mean_step_s: Mean step period in seconds, wait included.
        mean_wait_s: Mean visible data wait per step in seconds.
        gpu_utilization_percent: Mean ``utilization.gpu`` of the busiest visible GPU over the
            measured steps (0-100), or None.
        gpu_not_measured: Why there is no GPU number, or None.
        findings: What follows, the verdict's own finding first.
        profile: What was judged.
    """

    verdict: Verdict
    statement: str
    data_wait_fraction: float | None
    data_wait_interval: tuple[float, float] | None
    speedup_if_fixed: float | None
    measured_steps: int
    mean_step_s: float | None
    mean_wait_s: float | None
    gpu_utilization_percent: float | None
    gpu_not_measured: str | None
    findings: tuple[Finding, ...]
    profile: RunProfile

    @property
    def next_step(self) -> Remedy | None:
        """What to type next, or None where nothing needs doing."""
        return self.findings[0].remedy if self.findings else None

    def to_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return the judgement without the profile, ready for JSON."""
        interval = self.data_wait_interval
        return {
            "verdict": str(self.verdict),
            "statement": self.statement,
            "data_wait_fraction": self.data_wait_fraction,
            "data_wait_interval": list(interval) if interval else None,
            "speedup_if_fixed": self.speedup_if_fixed,
            "measured_steps": self.measured_steps,
            "mean_step_s": self.mean_step_s,
            "mean_wait_s": self.mean_wait_s,
            "gpu_utilization_percent": self.gpu_utilization_percent,
            "gpu_not_measured": self.gpu_not_measured,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def diagnose(profile: RunProfile) -> Diagnosis:
    """Judge a profile. Equal profiles give equal diagnoses.

    ``data_wait_fraction`` is the sum of the visible waits over the sum of the step periods, not a
    ratio of medians: a loader that delivers in bursts makes few steps wait long.
    """
    steps = profile.steps.measured
    count = steps.num_steps
    total_s = sum(steps.period_s)
    fraction = sum(steps.wait_s) / total_s if total_s > 0 else None
    verdict, reason = _judge(profile, fraction, count)
    if verdict in (Verdict.UNKNOWN, Verdict.NOT_ENOUGH_DATA) and not total_s:
        fraction = None
    interval = data_wait_interval(steps) if fraction is not None else None
    speedup = 1 / max(1 - fraction, 0.001) if fraction is not None else None
    statement = _state(verdict, reason, fraction, interval, speedup)
    utilization, gpu_reason = gpu_utilization(profile)
    return Diagnosis(
        verdict=verdict,
        statement=statement,
        data_wait_fraction=fraction,
        data_wait_interval=interval,
        speedup_if_fixed=speedup,
        measured_steps=count,
        mean_step_s=total_s / count if count else None,
        mean_wait_s=sum(steps.wait_s) / count if count else None,
        gpu_utilization_percent=utilization,
        gpu_not_measured=gpu_reason,
        findings=_findings(profile, verdict, statement, speedup, utilization),
        profile=profile,
    )


def _judge(profile: RunProfile, fraction: float | None, count: int) -> tuple[Verdict, str]:
    if profile.state == "not-started":
        return Verdict.NOT_ENOUGH_DATA, profile.not_measured.get(
            "data_wait", "no training has run with this profiler yet"
        )
    if "data_wait" in profile.not_measured:
        return Verdict.UNKNOWN, profile.not_measured["data_wait"]
    if count < MIN_MEASURED_STEPS or fraction is None:
        reason = f"{count} steps were measured after warm-up and {MIN_MEASURED_STEPS} are needed"
        return Verdict.NOT_ENOUGH_DATA, reason
    return verdict_at(fraction), ""


def verdict_at(data_wait_fraction: float) -> Verdict:
    """Return the verdict on a training that waits for this share of its time, if that is known."""
    if data_wait_fraction >= INPUT_BOUND_FRACTION:
        return Verdict.INPUT_BOUND
    if data_wait_fraction >= PARTLY_INPUT_BOUND_FRACTION:
        return Verdict.PARTLY_INPUT_BOUND
    return Verdict.COMPUTE_BOUND


def _state(
    verdict: Verdict,
    reason: str,
    fraction: float | None,
    interval: tuple[float, float] | None,
    speedup: float | None,
) -> str:
    if verdict is Verdict.UNKNOWN:
        return f"Unknown: the data wait cannot be told, because {reason}; therefore no verdict."
    if verdict is Verdict.NOT_ENOUGH_DATA or fraction is None or speedup is None:
        return f"Not enough data: {reason}; therefore no verdict."
    waited = f"{fraction * 100:.1f} % of the training time was waiting for data"
    if interval is not None:
        waited += f" (95 % interval {interval[0] * 100:.1f} to {interval[1] * 100:.1f} %)"
    if verdict is Verdict.COMPUTE_BOUND:
        return f"Compute-bound: only {waited}; therefore speed up the step itself, not the input pipeline."
    bound = "at most" if verdict is Verdict.PARTLY_INPUT_BOUND else "up to"
    faster = f"{bound} {speedup:.2f}" if speedup < 10 else f"{bound} {speedup:.0f}" if speedup <= 100 else "over 100"
    name = "Input-bound" if verdict is Verdict.INPUT_BOUND else "Partly input-bound"
    return f"{name}: {waited}; therefore an input pipeline that keeps up makes training {faster} times faster."


def _findings(
    profile: RunProfile, verdict: Verdict, statement: str, speedup: float | None, utilization: float | None
) -> tuple[Finding, ...]:
    severity = {Verdict.INPUT_BOUND: Severity.ERROR, Verdict.PARTLY_INPUT_BOUND: Severity.WARN}
    evidence = [Evidence(f"measured by {profile.method}", Provenance.MEASURED)] if profile.method else []
    if utilization is not None:
        said = f"GPU utilization {utilization:.0f} % (mean over the measured steps)"
        evidence.append(Evidence(said, Provenance.MEASURED))
    remedy = next_step(str(verdict), profile, speedup)
    first = Finding(str(verdict), severity.get(verdict, Severity.INFO), statement, tuple(evidence), remedy)
    unsure = {gpu.not_measured["visible"] for gpu in profile.gpus if "visible" in gpu.not_measured}
    told = (*profile.remarks, *sorted(unsure))
    remarks = tuple(Finding("remark", Severity.INFO, remark) for remark in told)
    missing = tuple(
        Finding("not-measured", Severity.INFO, f"{what.replace('_', ' ')} was not measured: {why}")
        for what, why in profile.not_measured.items()
        if what not in ("data_wait", "gpu")
    )
    return (first, *remarks, *missing)


def data_wait_interval(steps: StepTimes) -> tuple[float, float] | None:
    """Return the 95 % interval of the data wait fraction by a moving-block bootstrap.

    Neighbouring waits depend on each other (a full queue serves several steps), so blocks of
    neighbours are drawn instead of single steps (Kuensch 1989). The draws are seeded: the same
    profile gives the same interval.

    Args:
        steps: The measured rows, in order.
    """
    import numpy as np  # here, so that `import kerasdiag` stays fast

    rows = len(steps)
    if rows < MIN_MEASURED_STEPS:
        return None
    block = min(max(MIN_BLOCK_ROWS, round(rows**0.5)), rows // 2)
    waits = _block_sums(np.asarray(steps.wait_s), block)
    periods = _block_sums(np.asarray(steps.period_s), block)
    random = np.random.default_rng(20)
    drawn = random.integers(0, rows - block + 1, size=(BOOTSTRAP_RESAMPLES, -(-rows // block)))
    fractions = waits[drawn].sum(axis=1) / periods[drawn].sum(axis=1)
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.quantile(fractions, [tail, 1 - tail])
    return float(low), float(high)


def _block_sums(values: np.ndarray[Any, Any], block: int) -> np.ndarray[Any, Any]:
    """Sum of each run of ``block`` neighbours; shape (rows,) to (rows - block + 1,)."""
    import numpy as np

    running = np.concatenate([[0.0], np.cumsum(values)])
    sums: np.ndarray[Any, Any] = running[block:] - running[:-block]
    return sums


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
