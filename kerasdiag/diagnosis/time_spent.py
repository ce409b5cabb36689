"""Where the time of a fit went, in seconds: nothing twice, nothing left out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kerasdiag.profile import RunProfile


@dataclass(frozen=True)
class TimeSpent:
    """Seconds of a fit, from its first step to its end.

    Attributes:
        data_wait_s: The training stood still for its next batch, before steps that traced or compiled, too: a shuffle
            buffer fills before the first one.
        hidden_wait_s: It asked for a batch while the device still computed: that cost nothing and is part of ``step_s``.
        step_s: Keras' training step, with everything that is not named elsewhere.
        callbacks_s: Hooks of callbacks, without those that keep the model.
        checkpoint_s: Callbacks that keep the model on the disk.
        validation_s: Validation inside the fit.
        between_epochs_s: What else lies between two epochs: new iterators, the begin of ``on_epoch_end`` of the input.
        compile_s: Tracing and compiling, the steps in which it happened included, but not their wait.
        verdicts_s: The profiler's own verdicts.
    """

    data_wait_s: float
    hidden_wait_s: float
    step_s: float
    callbacks_s: float
    checkpoint_s: float
    validation_s: float
    between_epochs_s: float
    compile_s: float
    verdicts_s: float

    @property
    def total_s(self) -> float:
        """All of it; the hidden wait is part of the step."""
        seconds: dict[str, float] = asdict(self)
        return sum(seconds.values()) - self.hidden_wait_s

    def to_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return the seconds by name."""
        return asdict(self)


def time_spent(profile: RunProfile) -> TimeSpent | None:
    """Return where the time went; None for a profile of an earlier version, or without steps."""
    steps, epochs = profile.steps, profile.epochs
    if not steps.callbacks_s or not len(steps):
        return None
    # Steps that were not measured were like those that were, warm-up apart.
    measured_steps = sum(steps.steps) - sum(steps.steps[row] for row in range(len(steps)) if steps.warm_up[row])
    share = 1 + profile.unmeasured_steps / measured_steps if measured_steps else 1.0
    stands_for = [
        0.0 if compiled else 1.0 if warm_up else share for compiled, warm_up in zip(steps.compiled, steps.warm_up)
    ]
    # The profile counts steps that compiled as compiling, all of them; what they waited is no compiling.
    waited_to_compile_s = sum(wait for wait, compiled in zip(steps.wait_s, steps.compiled) if compiled)

    def total(column: tuple[float, ...]) -> float:
        return sum(value * times for value, times in zip(column, stands_for))

    wait_s, batch_callbacks_s, period_s = total(steps.wait_s), total(steps.callbacks_s), total(steps.period_s)
    checkpoint_s = sum(epochs.checkpoint_s)
    epoch_callbacks_s = sum(epochs.callbacks_s)
    boundary_s = sum(epochs.boundary_s)
    validation_s = sum(epochs.validation_s)
    keeping_s = sum(one.batch_s for one in profile.callbacks if one.keeps_model)
    return TimeSpent(
        data_wait_s=wait_s + waited_to_compile_s,
        hidden_wait_s=total(steps.hidden_wait_s),
        step_s=max(0.0, period_s - wait_s - batch_callbacks_s),
        callbacks_s=max(0.0, batch_callbacks_s - keeping_s) + epoch_callbacks_s,
        checkpoint_s=checkpoint_s + min(keeping_s, batch_callbacks_s),
        validation_s=validation_s,
        between_epochs_s=max(0.0, boundary_s - validation_s - epoch_callbacks_s - checkpoint_s),
        compile_s=max(0.0, (profile.compile_s or 0.0) - waited_to_compile_s),
        verdicts_s=profile.verdicts_s,
    )
