"""What an input that keeps up would bring: to the steps, and to the whole training."""

from __future__ import annotations

from collections.abc import Mapping

from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.profile import RunProfile

LEAST_LEFT = 0.001  # of a step: nobody believes in more than a thousandfold
# While the input computes, a step beside it may stand still; and it runs slower for about as long again, for the caches
# that the input has emptied.
COST_OF_SHARING = 2.0


def speedup_of_steps(profile: RunProfile, estimates: Mapping[str, Estimate]) -> float | None:
    """Return how many times faster the steps run if no batch is waited for; None where the wait is not known."""
    if "data_wait_fraction" not in estimates:
        return None
    free_s = free_step_s(profile, estimates)
    if free_s is None:
        return 1 / max(1 - estimates["data_wait_fraction"].value, LEAST_LEFT)
    period_s, wait_s = estimates["mean_step_s"].value, estimates["mean_wait_s"].value
    # Never slower: a step alone that takes longer than one in the training is a busy machine.
    saved_s = max(0.0, min(period_s - free_s, wait_s + most_that_input_slows_s(profile)))
    return period_s / max(period_s - saved_s, LEAST_LEFT * period_s)


def speedup_of_training(speedup: float, estimates: Mapping[str, Estimate]) -> float:
    """Return how many times faster the whole training runs if its steps run ``speedup`` times as fast."""
    steps = estimates["steps_fraction"].value if "steps_fraction" in estimates else 1.0
    return 1 / (1 - steps * (1 - 1 / speedup))


def free_step_s(profile: RunProfile, estimates: Mapping[str, Estimate]) -> float | None:
    """Return the seconds of a step that never waits, with its callbacks; None where no ceiling tells."""
    alone_s = profile.ceilings.free_step_s if profile.ceilings is not None else None
    if alone_s is None:
        return None
    return alone_s + (estimates["mean_callbacks_s"].value if "mean_callbacks_s" in estimates else 0.0)


def most_that_input_slows_s(profile: RunProfile) -> float:
    """Return by how many seconds a step can be slowed by its input beside it; infinite where that is not known."""
    input_s = profile.ceilings.input_s if profile.ceilings is not None else None
    return float("inf") if input_s is None else COST_OF_SHARING * input_s
