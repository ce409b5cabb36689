"""Findings about the step itself: slowed down by its own loader, or run without a graph."""

from __future__ import annotations

from collections.abc import Mapping

from kerasdiag.ceilings.value import CEILINGS_METHOD
from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.profile import EAGER_METHOD, RunProfile

SLOWED_RATIO = 1.15  # two measurements of one step differ by less, and nobody asks why the speed-up is so high


def slowed_by_input(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A step that alone is faster than in the training: the speed-up is then more than the waiting explains."""
    free_s = profile.ceilings.free_step_s if profile.ceilings is not None else None
    if not free_s or profile.method == CEILINGS_METHOD or not {"mean_step_s", "mean_wait_s"} <= set(estimates):
        return None
    period_s, wait_s = estimates["mean_step_s"].value, estimates["mean_wait_s"].value
    callbacks_s = estimates["mean_callbacks_s"].value if "mean_callbacks_s" in estimates else 0.0
    # The same as: the speed-up by the ceiling is so much more than 1 / (1 - data_wait_fraction).
    if period_s - wait_s <= SLOWED_RATIO * (free_s + callbacks_s):
        return None
    beside_s = period_s - wait_s - callbacks_s
    return Finding(
        "slowed-by-input",
        Severity.INFO,
        f"The step takes {beside_s * 1e3:.3g} ms beside this loader and {free_s * 1e3:.3g} ms alone: they share the "
        "processor's cores, so a repair that takes cores itself brings less than "
        f"{period_s / (free_s + callbacks_s):.2f} times the speed.",
        (
            Evidence("the step in the training, and alone on a batch that is kept", Provenance.MEASURED),
            Evidence("a training differs from its step alone by its loader", Provenance.INFERRED),
        ),
        None,
        {"step_beside_input_s": beside_s, "step_alone_s": free_s},
    )


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
