"""Whether a generator is to be repaired: evidence first, and one line that says why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any  # evidence may be anything with a .profile

from kerasdiag.ceilings.value import CEILINGS_METHOD
from kerasdiag.diagnosis import INPUT_BOUND_FRACTION, Diagnosis, Verdict, diagnose
from kerasdiag.errors import EvidenceError
from kerasdiag.input_identity import TF_DATA, InputIdentity
from kerasdiag.profile import RunProfile
from kerasdiag.profile_cache import find_last_profile

ALWAYS, BOTTLENECK = "always", "bottleneck"
_FORCE = 'autofix(generator, when="always") repairs anyway'


@dataclass(frozen=True)
class Decision:
    """What the evidence says about one generator.

    Attributes:
        repair: Whether to repair it.
        reason: Why, as the end of a sentence.
        verdict: Verdict of the evidence, or None.
        evidence: Where and when it was measured, or None.
        planned_steps: Steps of an epoch that ``fit`` planned for this generator as its training
            input, or None.
        profile: The evidence itself, where it judged this generator, or None.
        is_training: Whether this was the training input of that run, not the validation's.
    """

    repair: bool
    reason: str
    verdict: str | None = None
    evidence: str | None = None
    planned_steps: int | None = None
    profile: RunProfile | None = None
    is_training: bool = False


def decide(identity: InputIdentity, evidence: Any, when: str) -> Decision:
    """Judge the evidence about a generator.

    Args:
        identity: The generator.
        evidence: A profiler or anything else with a ``.profile``, a RunProfile, a Diagnosis, the
            path of a saved profile, or None: what an earlier run saved about this generator.
        when: ``"bottleneck"`` or ``"always"``.

    Raises:
        EvidenceError: The evidence carries no profile.
        ProfileFileError: A profile file cannot be read.
    """
    profile, origin = _find_profile(identity, evidence)
    if profile is None:
        reason = f"no run with BottleneckProfiler has judged this input yet: train with it once, or {_FORCE}"
        return Decision(when == ALWAYS, 'when="always"' if when == ALWAYS else reason)
    is_training = identity.is_same_input(profile.training_input)
    is_about_it = is_training or identity.is_same_input(profile.validation_input)
    planned = profile.planned_steps_per_epoch if is_training else _planned_before(identity)
    if when == ALWAYS:
        return Decision(True, 'when="always"', planned_steps=planned)
    if not is_about_it:
        reason = (
            f"the evidence ({origin}) is about another input: {describe_input(profile.training_input)}, and this one is "
            f"{describe_input(identity)}. Train with this one and the profiler{_or_force(identity, ', or ')}"
        )
        return Decision(False, reason, evidence=origin)
    diagnosis = diagnose(profile)
    fraction = diagnosis.data_wait_fraction
    waited = _waited(profile, "an unknown share" if fraction is None else f"{fraction:.0%}")
    verdict = diagnosis.verdict
    waits = verdict == Verdict.INPUT_BOUND or (
        verdict == Verdict.MIXED and fraction is not None and fraction >= INPUT_BOUND_FRACTION
    )
    if waits:
        reason = f"{verdict}: {waited} ({origin}){_throttled(diagnosis)}"
        return Decision(True, reason, str(verdict), origin, planned, profile, is_training)
    reason = f"{_why_not(verdict, waited)} ({origin}){_or_force(identity, '; ')}"
    return Decision(False, reason, str(verdict), origin, planned, profile, is_training)


def is_model(evidence: Any) -> bool:
    """Tell whether evidence is a Keras model, which is measured first."""
    return callable(getattr(evidence, "fit", None)) and hasattr(evidence, "compile")


def is_measured_apart(profile: RunProfile | None) -> bool:
    """Tell whether a profile is of no training: input and model were measured, each without the other."""
    return profile is not None and profile.method == CEILINGS_METHOD


def _or_force(identity: InputIdentity, before: str) -> str:
    """What repairs whatever the evidence says; nothing does where the input is a dataset already."""
    return "" if identity.kind == TF_DATA else f"{before}{_FORCE}"


def _waited(profile: RunProfile, share: str) -> str:
    if is_measured_apart(profile):
        return f"input and step were measured apart, and a training of them would wait for data {share} of its time"
    return f"the training waited for data {share} of its time"


def _planned_before(identity: InputIdentity) -> int | None:
    """Steps of the last fit that trained on this input, for evidence about another one, such as its repair."""
    earlier = find_last_profile(identity)
    trained = earlier is not None and identity.is_same_input(earlier.training_input)
    return earlier.planned_steps_per_epoch if earlier is not None and trained else None


def _throttled(diagnosis: Diagnosis) -> str:
    """What no repair mends, and should be mended first."""
    found = next((one for one in diagnosis.findings if one.code == "throttled"), None)
    if found is None:
        return ""
    share = found.numbers["throttled_fraction"]
    return f"; its CPU quota stopped it in {share:.0%} of the quota's periods meanwhile, so raise that first"


def _why_not(verdict: Verdict, waited: str) -> str:
    if verdict == Verdict.NOT_ENOUGH_DATA:
        return f"{verdict}: too few steps were measured for a verdict"
    if verdict == Verdict.UNKNOWN:
        return f"{verdict}: the data wait of that run could not be measured"
    if verdict == Verdict.PARTLY_INPUT_BOUND:
        return f"{verdict}: {waited}, below the {INPUT_BOUND_FRACTION:.0%} at which a repair is made by itself"
    return f"{verdict}: {waited}, so a repair would bring little"


def _find_profile(identity: InputIdentity, evidence: Any) -> tuple[RunProfile | None, str]:
    """Return the profile and where it is from."""
    if isinstance(evidence, (str, os.PathLike)):
        profile = RunProfile.load(evidence)
        return profile, f"{os.fspath(evidence)}, {_origin(profile)}"
    if evidence is not None and not isinstance(evidence, RunProfile):
        if not hasattr(evidence, "profile"):
            raise EvidenceError(
                f"autofix cannot read {type(evidence).__qualname__} as evidence. It takes a BottleneckProfiler, a "
                "RunProfile, a Diagnosis, the path of a saved profile, a compiled model, or None."
            )
        evidence = evidence.profile
    if isinstance(evidence, RunProfile) and evidence.training_input is not None:
        return evidence, _origin(evidence)
    earlier = find_last_profile(identity)  # an unfitted profiler, or no evidence
    return earlier, "" if earlier is None else f"from an earlier run, {_origin(earlier)}"


def _origin(profile: RunProfile) -> str:
    return f"measured on {profile.host or 'an unnamed machine'} at {_time(profile)}"


def _time(profile: RunProfile) -> str:
    return profile.created_at[:16].replace("T", " ") + " UTC" if profile.created_at else "an unknown time"


def describe_input(identity: InputIdentity | None) -> str:
    """Return an input in a few words."""
    if identity is None:
        return "no input"
    parts = [identity.class_name]
    if identity.n is not None:
        parts.append(f"{identity.n:,} rows")
    if identity.batch_size is not None:
        parts.append(f"batches of {identity.batch_size}")
    if identity.subset is not None:
        parts.append(f"subset {identity.subset!r}")
    if identity.target_size is not None:
        parts.append("x".join(map(str, identity.target_size)))
    return " ".join([parts[0], f"({', '.join(parts[1:])})"]) if len(parts) > 1 else parts[0]
