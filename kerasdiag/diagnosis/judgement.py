"""From what was measured to a judgement. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kerasdiag.ceilings.value import CEILINGS_METHOD
from kerasdiag.diagnosis.confidence import Confidence, confidence_in
from kerasdiag.diagnosis.estimates import Estimate, Ratios
from kerasdiag.diagnosis.findings import run_findings
from kerasdiag.diagnosis.gpu_share import gpu_utilization
from kerasdiag.diagnosis.speedup import speedup_of_steps, speedup_of_training
from kerasdiag.diagnosis.statement import state
from kerasdiag.diagnosis.time_spent import TimeSpent, time_spent
from kerasdiag.diagnosis.verdict import CALLBACK_BOUND_FRACTION, MIN_MEASURED_STEPS, Shares, Verdict, judge
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.input_identity import TF_DATA
from kerasdiag.next_step import advise_callbacks, next_step
from kerasdiag.profile import RunProfile
from kerasdiag.step_times import StepTimes


@dataclass(frozen=True)
class Diagnosis:
    """The judgement of one profile.

    Attributes:
        verdict: What limits the training.
        statement: Verdict, number, therefore: one sentence.
        data_wait_fraction: Share of the time of the training steps that was visible data wait (0-1); None
            when it was not measured.
        data_wait_interval: Its 95 % interval (low, high), or None.
        speedup_if_fixed: How many times faster the training steps run if no batch is waited for: by the ceilings
            where they were measured, else ``1 / (1 - data_wait_fraction)``.
        training_speedup_if_fixed: How many times faster the training runs then, with what lies between its epochs;
            validation and compiling are not counted.
        accelerator_utilization: Share of the time of the steps in which the model computes, by its own ceiling (0-1);
            None where that was not measured. MLPerf Storage calls it AU.
        measured_steps: Steps the numbers come from.
        mean_step_s: Mean step period in seconds, wait and callbacks included.
        mean_wait_s: Mean visible data wait per step in seconds.
        gpu_utilization_percent: Mean ``utilization.gpu`` of the busiest visible GPU over the
            measured steps (0-100), or None.
        gpu_not_measured: Why there is no GPU number, or None.
        findings: What follows, the verdict's own finding first.
        profile: What was judged.
        confidence: How sure the verdict is, and why.
        is_clear: Whether both ends of each interval that the verdict follows from (wait, callbacks, launch) give it.
        estimates: Numbers with their 95 % intervals, by name: ``data_wait_fraction``, ``hidden_wait_fraction`` and
            ``launch_fraction`` (shares of the time of the steps, 0-1), ``callback_fraction`` and ``steps_fraction``
            (shares of the training time: callbacks, those between epochs too, and steps), ``waited_fraction`` (share
            of the batches that were waited for, 0-1), ``mean_step_s``, ``mean_wait_s``, ``mean_callbacks_s`` (seconds
            of a step; the callbacks between epochs are not in it). Those that were measured.
        time_spent: Where the time of the whole fit went, or None.
    """

    verdict: Verdict
    statement: str
    data_wait_fraction: float | None
    data_wait_interval: tuple[float, float] | None
    speedup_if_fixed: float | None
    accelerator_utilization: float | None
    measured_steps: int
    mean_step_s: float | None
    mean_wait_s: float | None
    gpu_utilization_percent: float | None
    gpu_not_measured: str | None
    findings: tuple[Finding, ...]
    profile: RunProfile
    confidence: Confidence
    is_clear: bool = False
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    training_speedup_if_fixed: float | None = None
    time_spent: TimeSpent | None = None

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
            "confidence": self.confidence.to_dict(),
            "data_wait_fraction": self.data_wait_fraction,
            "data_wait_interval": list(interval) if interval else None,
            "speedup_if_fixed": self.speedup_if_fixed,
            "training_speedup_if_fixed": self.training_speedup_if_fixed,
            "accelerator_utilization": self.accelerator_utilization,
            "measured_steps": self.measured_steps,
            "mean_step_s": self.mean_step_s,
            "mean_wait_s": self.mean_wait_s,
            "estimates": {name: one.to_dict() for name, one in self.estimates.items()},
            "time_spent": self.time_spent and self.time_spent.to_dict(),
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
    spent = time_spent(profile)
    estimates = _estimate(profile, steps, spent) or _predict(profile)
    wait = estimates.get("data_wait_fraction")
    fraction = wait.value if wait else None
    interval = wait.interval if wait else None
    reason = _why_no_verdict(profile, fraction, steps.num_steps)
    shares = _shares(estimates)
    verdict = reason.verdict if reason else judge(shares)
    is_clear = reason is None and interval is not None and _is_clear(verdict, shares, estimates)
    speedup = speedup_of_steps(profile, estimates)
    of_training = None if speedup is None else speedup_of_training(speedup, estimates)
    # Where callbacks are among several causes, they go first if mending the wait brings little to the whole training.
    has_callbacks = verdict is Verdict.MIXED and shares.callbacks >= CALLBACK_BOUND_FRACTION
    brings = of_training if has_callbacks else speedup
    utilization, gpu_reason = gpu_utilization(profile)
    statement = state(verdict, reason.text if reason else "", estimates, profile, shares=shares, speedup=speedup)
    return Diagnosis(
        verdict=verdict,
        statement=statement,
        data_wait_fraction=fraction,
        data_wait_interval=interval,
        speedup_if_fixed=speedup,
        accelerator_utilization=_utilization(profile, estimates),
        measured_steps=steps.num_steps,
        mean_step_s=_value(estimates, "mean_step_s"),
        mean_wait_s=_value(estimates, "mean_wait_s"),
        gpu_utilization_percent=utilization,
        gpu_not_measured=gpu_reason,
        findings=_findings(profile, _verdict_finding(profile, verdict, statement, brings, utilization), estimates),
        profile=profile,
        confidence=confidence_in(
            verdict,
            is_clear=is_clear if interval is not None else None,
            utilization_percent=utilization,
            profile=profile,
        ),
        is_clear=is_clear,
        estimates=estimates,
        training_speedup_if_fixed=of_training,
        time_spent=spent,
    )


def _utilization(profile: RunProfile, estimates: Mapping[str, Estimate]) -> float | None:
    alone_s = profile.ceilings.step_s if profile.ceilings is not None else None
    step_s = _value(estimates, "mean_step_s")
    return min(1.0, alone_s / step_s) if alone_s is not None and step_s else None


def _value(estimates: Mapping[str, Estimate], name: str) -> float | None:
    return estimates[name].value if name in estimates else None


def _estimate(profile: RunProfile, steps: StepTimes, spent: TimeSpent | None) -> dict[str, Estimate]:
    ratios = Ratios(len(steps))
    found = {
        "data_wait_fraction": ratios.of(steps.wait_s, steps.period_s, most=1.0),
        "mean_step_s": ratios.of(steps.period_s, steps.steps),
        "mean_wait_s": ratios.of(steps.wait_s, steps.steps),
    }
    if steps.callbacks_s:
        found["hidden_wait_fraction"] = ratios.of(steps.hidden_wait_s, steps.period_s, most=1.0)
        found["mean_callbacks_s"] = ratios.of(steps.callbacks_s, steps.steps)
        found["waited_fraction"] = ratios.of(steps.waited_steps, steps.steps, most=1.0)
        found["callback_fraction"] = _with_epochs(
            ratios.of(steps.callbacks_s, steps.period_s, most=1.0), profile, spent
        )
        found["steps_fraction"] = _of_training(profile, spent)
    if profile.launch_s is not None:
        launches_s = [profile.launch_s * count for count in steps.steps]
        found["launch_fraction"] = ratios.of(launches_s, steps.period_s, most=1.0)
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def _predict(profile: RunProfile) -> dict[str, Estimate]:
    """What a training that has not run would wait, by its ceilings: batches are made while the model computes."""
    ceilings = profile.ceilings
    if profile.method != CEILINGS_METHOD or ceilings is None or ceilings.input_s is None or not ceilings.free_step_s:
        return {}
    step_s = max(ceilings.input_s, ceilings.free_step_s)
    wait_s = step_s - ceilings.free_step_s
    values = {"data_wait_fraction": wait_s / step_s, "mean_step_s": step_s, "mean_wait_s": wait_s}
    return {name: Estimate(value, None) for name, value in values.items()}


def _of_training(profile: RunProfile, spent: TimeSpent | None) -> Estimate | None:
    """Share of the training that its steps took, and what lies between epochs did not."""
    training_s = _training_s(profile, spent)
    if spent is None or training_s <= 0:
        return None
    epochs = profile.epochs
    between_s = spent.between_epochs_s + sum(epochs.callbacks_s) + sum(epochs.checkpoint_s)
    return Estimate(max(0.0, 1 - between_s / training_s), None)


def _with_epochs(of_steps: Estimate | None, profile: RunProfile, spent: TimeSpent | None) -> Estimate | None:
    """Share of callbacks: those of each step by the measured steps, those between epochs by the whole fit."""
    training_s = _training_s(profile, spent)
    if of_steps is None or spent is None or training_s <= 0:
        return of_steps
    whole = (spent.callbacks_s + spent.checkpoint_s) / training_s
    between = max(0.0, whole - of_steps.value)
    interval = of_steps.interval and (of_steps.interval[0] + between, min(1.0, of_steps.interval[1] + between))
    return Estimate(of_steps.value + between, interval)


def _training_s(profile: RunProfile, spent: TimeSpent | None) -> float:
    """Seconds of the training itself. Steps that compiled are not judged, nor is what they waited."""
    if spent is None:
        return 0.0
    return spent.total_s - spent.validation_s - (profile.compile_s or 0.0) - spent.verdicts_s


# Shares that decide the verdict, and the estimates that they are.
_SHARES = {"data_wait": "data_wait_fraction", "callbacks": "callback_fraction", "launch": "launch_fraction"}


def _shares(estimates: Mapping[str, Estimate]) -> Shares:
    shares = {share: _value(estimates, name) or 0.0 for share, name in _SHARES.items()}
    steps = _value(estimates, "steps_fraction")
    return Shares(**shares, steps=1.0 if steps is None else steps)


def _is_clear(verdict: Verdict, shares: Shares, estimates: Mapping[str, Estimate]) -> bool:
    """Tell whether each share could be at either end of its interval, the others as they are."""
    return all(
        judge(replace(shares, **{share: end})) is verdict
        for share, name in _SHARES.items()
        if name in estimates
        for end in estimates[name].interval or ()
    )


@dataclass(frozen=True)
class _NoVerdict:
    verdict: Verdict
    text: str


def _why_no_verdict(profile: RunProfile, fraction: float | None, count: int) -> _NoVerdict | None:
    if profile.state == "not-started":
        reason = profile.not_measured.get("data_wait", "no training has run with this profiler yet")
        return _NoVerdict(Verdict.NOT_ENOUGH_DATA, reason)
    if "data_wait" in profile.not_measured:
        return _NoVerdict(Verdict.UNKNOWN, profile.not_measured["data_wait"])
    if profile.method == CEILINGS_METHOD and fraction is not None:
        return None
    if count < MIN_MEASURED_STEPS or fraction is None:
        reason = f"{count} steps were measured after warm-up and {MIN_MEASURED_STEPS} are needed"
        return _NoVerdict(Verdict.NOT_ENOUGH_DATA, reason)
    return None


_SEVERITY = {
    Verdict.INPUT_BOUND: Severity.ERROR,
    Verdict.MIXED: Severity.ERROR,
    Verdict.PARTLY_INPUT_BOUND: Severity.WARN,
    Verdict.CALLBACK_BOUND: Severity.WARN,
    Verdict.LAUNCH_BOUND: Severity.WARN,
}


_ABOUT_THE_INPUT = (Verdict.INPUT_BOUND.value, Verdict.PARTLY_INPUT_BOUND.value, Verdict.MIXED.value)
# Nothing else takes a fifth of the time of these: the step does.
_ABOUT_THE_STEP = (Verdict.COMPUTE_BOUND.value, Verdict.PARTLY_INPUT_BOUND.value, Verdict.LAUNCH_BOUND.value)


def _findings(profile: RunProfile, first: Finding, estimates: Mapping[str, Estimate]) -> tuple[Finding, ...]:
    """The verdict's own, and the others. A quota that stops the process is to be mended before all else.

    A step that runs without a graph comes before what would make a graph faster.
    """
    others = run_findings(profile, estimates)
    data = profile.training_input
    guilty = next((one for one in others if one.code == "slowest-stage"), None)
    if (
        guilty is not None
        and guilty.remedy is not None
        and first.remedy is not None
        and first.code in _ABOUT_THE_INPUT
        and first.remedy != advise_callbacks(profile)  # which go first where they take more
        and data is not None
        and data.kind == TF_DATA
        and not data.repaired
    ):
        # What was measured of a pipeline knows more than its form does.
        first = replace(first, remedy=guilty.remedy)
        others = tuple(replace(one, remedy=None) if one is guilty else one for one in others)
    if others and others[0].code == "throttled" and first.code != Verdict.UNKNOWN.value:
        return (replace(first, remedy=others[0].remedy), replace(others[0], remedy=first.remedy), *others[1:])
    eager = next((one for one in others if one.code == "runs-eagerly"), None)
    if eager is not None and first.code in _ABOUT_THE_STEP:
        # What a graph of the same step would wait for is not known yet, so no other advice is given.
        first = replace(first, remedy=eager.remedy)
        others = tuple(replace(one, remedy=None) if one is eager else one for one in others)
    return (first, *others)


def _verdict_finding(
    profile: RunProfile, verdict: Verdict, statement: str, speedup: float | None, utilization: float | None
) -> Finding:
    evidence = [Evidence(f"measured by {profile.method}", Provenance.MEASURED)] if profile.method else []
    if utilization is not None:
        said = f"GPU utilization {utilization:.0f} % (mean over the measured steps)"
        evidence.append(Evidence(said, Provenance.MEASURED))
    remedy = next_step(str(verdict), profile, speedup)
    return Finding(str(verdict), _SEVERITY.get(verdict, Severity.INFO), statement, tuple(evidence), remedy)
