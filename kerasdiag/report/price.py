"""What the waiting costs, in one sentence."""

from __future__ import annotations

from kerasdiag.diagnosis import Diagnosis
from kerasdiag.profile import RunProfile


def price_of_waiting(diagnosis: Diagnosis) -> str:
    """Return the seconds that the training waits per epoch and as long as it was planned to run.

    Steps or epochs that nobody knows are said to be unknown, never guessed.
    """
    wait_s = diagnosis.mean_wait_s
    if wait_s is None:
        return "What the waiting costs is not known, because it was not measured."
    steps = steps_per_epoch(diagnosis.profile)
    if steps is None:
        return (
            f"The training waits {_time(wait_s)} per step, {_time(1000 * wait_s)} per 1,000 steps; how many steps an "
            "epoch has is known only when one has ended."
        )
    epoch = f"The training waits {_time(wait_s)} per step, {_time(steps * wait_s)} per epoch of {steps:,} steps"
    epochs = planned_epochs(diagnosis.profile)
    if epochs is None:
        return f"{epoch}; how many epochs are planned is not known."
    if epochs == 1:
        return f"{epoch}, the only one planned."
    return f"{epoch}, {_time(epochs * steps * wait_s)} in the {epochs:,} epochs planned."


def steps_per_epoch(profile: RunProfile) -> int | None:
    """Return the planned steps of an epoch, or those of the first epoch once it has ended, or None."""
    if profile.planned_steps_per_epoch:
        return profile.planned_steps_per_epoch
    first = profile.steps.epoch[0] if len(profile.steps) else None
    if first is None or profile.steps.epoch[-1] == first:
        return None
    return sum(count for epoch, count in zip(profile.steps.epoch, profile.steps.steps) if epoch == first)


def planned_epochs(profile: RunProfile) -> int | None:
    """Return how many epochs this fit was asked for, those before ``initial_epoch`` left out."""
    if profile.planned_epochs is None:
        return None
    return max(1, profile.planned_epochs - (profile.steps.epoch[0] if len(profile.steps) else 0))


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
