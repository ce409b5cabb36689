"""Verdict, number, therefore: the one sentence of a diagnosis. Its number is the one in the JSON."""

from __future__ import annotations

from collections.abc import Mapping

from kerasdiag.ceilings.value import CEILINGS_METHOD
from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.diagnosis.verdict import (
    CALLBACK_BOUND_FRACTION,
    INPUT_BOUND_FRACTION,
    LAUNCH_BOUND_FRACTION,
    Verdict,
)
from kerasdiag.profile import RunProfile


def state(
    verdict: Verdict, reason: str, estimates: Mapping[str, Estimate], profile: RunProfile, speedup: float | None
) -> str:
    """Return the sentence.

    Args:
        verdict: The verdict.
        reason: Why there is none, where there is none.
        estimates: The numbers.
        profile: What was judged.
        speedup: How many times faster the training runs if no batch is waited for.
    """
    if verdict is Verdict.UNKNOWN:
        return f"Unknown: the data wait cannot be told, because {reason}; therefore no verdict."
    if verdict is Verdict.NOT_ENOUGH_DATA or speedup is None:
        return f"Not enough data: {reason}; therefore no verdict."
    waited = _waited(estimates["data_wait_fraction"])
    if profile.method == CEILINGS_METHOD:
        waited = f"measured apart, {waited.replace(' was ', ' would be ')}"
    if verdict is Verdict.COMPUTE_BOUND:
        return f"Compute-bound: only {waited}; therefore speed up the step itself, not the input pipeline."
    if verdict is Verdict.CALLBACK_BOUND:
        taken = f"{_percent(estimates['callback_fraction'])} % of the training time went into callbacks"
        # Batches are loaded while callbacks work: without that time the loader may be what is too slow.
        return (
            f"Callback-bound: {taken}{_dearest(profile)}; therefore mend the callbacks first and profile again, for the "
            "input may be next."
        )
    if verdict is Verdict.LAUNCH_BOUND:
        return f"Launch-bound: {_launched(estimates)}; therefore give each start more work, not the input pipeline."
    if verdict is Verdict.MIXED:
        return f"Mixed: {_causes(estimates, profile)}; therefore one of them mended leaves the other."
    is_measured = profile.ceilings is not None and profile.ceilings.step_s is not None
    bound = "" if is_measured else "at most " if verdict is Verdict.PARTLY_INPUT_BOUND else "up to "
    faster = f"{bound}{speedup:.2f}" if speedup < 10 else f"{bound}{speedup:.0f}" if speedup <= 100 else "over 100"
    name = "Input-bound" if verdict is Verdict.INPUT_BOUND else "Partly input-bound"
    return f"{name}: {waited}; therefore an input pipeline that keeps up makes training {faster} times faster."


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value * 100:.1f}"


def _waited(estimate: Estimate) -> str:
    said = f"{_percent(estimate)} % of the training time was waiting for data"
    if estimate.interval is None:
        return said
    low, high = estimate.interval
    return f"{said} (95 % interval {low * 100:.1f} to {high * 100:.1f} %)"


def _launched(estimates: Mapping[str, Estimate]) -> str:
    step_ms = estimates["mean_step_s"].value * 1e3
    return f"at least {_percent(estimates['launch_fraction'])} % of each step of {step_ms:.2g} ms is the cost of starting it"


def _dearest(profile: RunProfile) -> str:
    if not profile.callbacks:
        return ""
    return f", most into {profile.callbacks[0].name}"


def _causes(estimates: Mapping[str, Estimate], profile: RunProfile) -> str:
    causes = []
    if estimates["data_wait_fraction"].value >= INPUT_BOUND_FRACTION:
        causes.append(_waited(estimates["data_wait_fraction"]))
    callbacks = estimates.get("callback_fraction")
    if callbacks is not None and callbacks.value >= CALLBACK_BOUND_FRACTION:
        causes.append(f"{_percent(callbacks)} % went into callbacks{_dearest(profile)}")
    launch = estimates.get("launch_fraction")
    if launch is not None and launch.value >= LAUNCH_BOUND_FRACTION:
        causes.append(_launched(estimates))
    return " and ".join(causes)
