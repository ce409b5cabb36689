"""Verdict, number, therefore: the one sentence of a diagnosis. Its number is the one in the JSON."""

from __future__ import annotations

from collections.abc import Mapping

from kerasdiag.ceilings.value import CEILINGS_METHOD
from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.diagnosis.speedup import speedup_of_training
from kerasdiag.diagnosis.verdict import Shares, Verdict, causes_of
from kerasdiag.profile import RunProfile

NEARLY_ALL = 0.9  # of the training time: shares of the steps are then as good as shares of the training
MUCH_LESS = 0.9  # the speed-up of the whole training, against that of its steps


def state(
    verdict: Verdict,
    reason: str,
    estimates: Mapping[str, Estimate],
    profile: RunProfile,
    *,
    shares: Shares,
    speedup: float | None,
) -> str:
    """Return the sentence.

    Args:
        verdict: The verdict.
        reason: Why there is none, where there is none.
        estimates: The numbers.
        profile: What was judged.
        shares: What the verdict follows from.
        speedup: How many times faster the training runs if no batch is waited for.
    """
    if verdict is Verdict.UNKNOWN:
        return f"Unknown: the data wait cannot be told, because {reason}; therefore no verdict."
    if verdict is Verdict.NOT_ENOUGH_DATA or speedup is None:
        return f"Not enough data: {reason}; therefore no verdict."
    the_time = "the training time" if shares.steps >= NEARLY_ALL else "the time of its steps"
    waited = _waited(estimates["data_wait_fraction"], the_time)
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
        return f"Mixed: {_causes(shares, estimates, profile)}; therefore one of them mended leaves the other."
    name = "Input-bound" if verdict is Verdict.INPUT_BOUND else "Partly input-bound"
    return f"{name}: {waited}; therefore an input pipeline that keeps up makes {_faster(verdict, estimates, profile, speedup)}."


def _faster(verdict: Verdict, estimates: Mapping[str, Estimate], profile: RunProfile, speedup: float) -> str:
    is_measured = profile.ceilings is not None and profile.ceilings.step_s is not None
    bound = "" if is_measured else "at most " if verdict is Verdict.PARTLY_INPUT_BOUND else "up to "
    of_training = speedup_of_training(speedup, estimates)
    if of_training >= speedup * MUCH_LESS:
        return f"training {_times(bound, speedup)} times faster"
    return f"its steps {_times(bound, speedup)} times faster and the whole training {_times(bound, of_training)} times"


def _times(bound: str, speedup: float) -> str:
    return f"{bound}{speedup:.2f}" if speedup < 10 else f"{bound}{speedup:.0f}" if speedup <= 100 else "over 100"


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value * 100:.1f}"


def _waited(estimate: Estimate, of_what: str) -> str:
    said = f"{_percent(estimate)} % of {of_what} was waiting for data"
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


def _causes(shares: Shares, estimates: Mapping[str, Estimate], profile: RunProfile) -> str:
    """Each cause of several, with its share of one and the same time."""
    causes, steps = causes_of(shares)
    wait, of_what = estimates["data_wait_fraction"], "the training time"
    if shares.steps < NEARLY_ALL:  # else the number stays the one in the JSON
        wait, of_what = _part(wait, steps), of_what if steps < 1.0 else "the time of its steps"
    said = []
    if Verdict.INPUT_BOUND in causes:
        said.append(_waited(wait, of_what))
    if Verdict.CALLBACK_BOUND in causes:
        said.append(f"{_percent(estimates['callback_fraction'])} % went into callbacks{_dearest(profile)}")
    if Verdict.LAUNCH_BOUND in causes:
        said.append(_launched(estimates))
    return " and ".join(said)


def _part(estimate: Estimate, fraction: float) -> Estimate:
    interval = estimate.interval and (estimate.interval[0] * fraction, estimate.interval[1] * fraction)
    return Estimate(estimate.value * fraction, interval)
