"""Findings about the step itself: slowed down by its loader or by others, or run without a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kerasdiag.ceilings.value import CEILINGS_METHOD
from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.diagnosis.speedup import COST_OF_SHARING, free_step_s, most_that_input_slows_s, speedup_of_steps
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.profile import EAGER_METHOD, RunProfile

_BOTH_STEPS = Evidence("the step in the training, and alone on a batch that is kept", Provenance.MEASURED)
SLOWED_RATIO = 1.15  # two measurements of one step differ by less, and nobody asks why the speed-up is so high


def slowed_by_input(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A step that alone is faster than in the training: the speed-up is then more than the waiting explains."""
    slowed = _slowed(profile, estimates)
    if slowed is None or slowed.most_by_input_s < slowed.by_s / 2:
        return None
    faster = speedup_of_steps(profile, estimates) or 1.0
    return Finding(
        "slowed-by-input",
        Severity.INFO,
        f"The step takes {slowed.beside_s * 1e3:.3g} ms beside this loader and {slowed.alone_s * 1e3:.3g} ms alone: they "
        "share the processor's cores, so a repair that takes cores itself brings less than "
        f"{faster:.2f} times the speed.",
        (
            _BOTH_STEPS,
            Evidence("a training differs from its step alone by its loader", Provenance.INFERRED),
        ),
        None,
        {"step_beside_input_s": slowed.beside_s, "step_alone_s": slowed.alone_s},
    )


def slowed_by_others(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A step that alone is faster than in the training, though its input takes too little time to have slowed it."""
    slowed = _slowed(profile, estimates)
    if slowed is None or slowed.most_by_input_s >= slowed.by_s / 2:
        return None
    input_s = slowed.most_by_input_s / COST_OF_SHARING
    return Finding(
        "slowed-by-others",
        Severity.INFO,
        f"The step took {slowed.beside_s * 1e3:.3g} ms in the training and {slowed.alone_s * 1e3:.3g} ms alone. Its input, "
        f"{input_s * 1e3:.2g} ms for a batch, is too fast to explain that: something else took the time.",
        (_BOTH_STEPS, Evidence("the input drained without the model", Provenance.MEASURED)),
        Remedy(
            "Look for other programs on this machine, and for what the training itself does beside the step, such as threads "
            "of its own."
        ),
        {"step_beside_input_s": slowed.beside_s, "step_alone_s": slowed.alone_s, "input_s": input_s},
    )


@dataclass(frozen=True)
class _Slowed:
    """A step in the training and alone, in seconds; callbacks are in neither."""

    beside_s: float
    alone_s: float
    most_by_input_s: float

    @property
    def by_s(self) -> float:
        return self.beside_s - self.alone_s


def _slowed(profile: RunProfile, estimates: Mapping[str, Estimate]) -> _Slowed | None:
    free_s = free_step_s(profile, estimates)
    if not free_s or profile.method == CEILINGS_METHOD or not {"mean_step_s", "mean_wait_s"} <= set(estimates):
        return None
    with_callbacks_s = estimates["mean_step_s"].value - estimates["mean_wait_s"].value
    if with_callbacks_s <= SLOWED_RATIO * free_s:
        return None
    callbacks_s = estimates["mean_callbacks_s"].value if "mean_callbacks_s" in estimates else 0.0
    return _Slowed(with_callbacks_s - callbacks_s, free_s - callbacks_s, most_that_input_slows_s(profile))


def runs_eagerly(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A step that Python starts operation by operation."""
    if profile.method != EAGER_METHOD:
        return None
    return Finding(
        "runs-eagerly",
        Severity.WARN,
        "The model runs eagerly: Python starts the operations of each step one by one, where a graph runs them at once. "
        "How much that costs here was not measured.",
        (Evidence("the steps are run without a graph", Provenance.DECLARED),),
        Remedy(
            "Leave run_eagerly=True out of compile, and tf.config.run_functions_eagerly(True) out of the script. Then "
            "profile again: a faster step may wait for its data.",
            ("model.compile(...)  # without run_eagerly=True",),
        ),
    )
