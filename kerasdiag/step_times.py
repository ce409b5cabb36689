"""What the clock said about a fit: its steps, its epochs, its callbacks, as columns.

Part of ``RunProfile``. A column that was added later is empty in the profiles of earlier versions: what was not
measured is not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from typing_extensions import Self

from kerasdiag import profile_json

MAX_EPOCH_ROWS = 4096  # later epochs are added to the last row

_ADDED_LATER: Any = profile_json.ADDED_LATER  # Any: dataclasses takes any mapping

Columns = TypeVar("Columns", bound="_Columns")


@dataclass(frozen=True, repr=False)
class _Columns:
    """Columns of one length; those that were added later may be empty."""

    def __post_init__(self) -> None:
        lengths = {one.name: len(getattr(self, one.name)) for one in fields(self)}
        later = {one.name for one in fields(self) if one.metadata == _ADDED_LATER}
        known = {length for name, length in lengths.items() if length or name not in later}
        if len(known) > 1:
            raise ValueError(f"The columns of {type(self).__name__} must have equal length. Received: {lengths}")

    def rows(self, kept: Sequence[int]) -> Self:
        """Return these rows only."""
        columns = {one.name: getattr(self, one.name) for one in fields(self)}
        return type(self)(
            **{name: tuple(column[row] for row in kept) if column else () for name, column in columns.items()}
        )


@dataclass(frozen=True, repr=False)
class StepTimes(_Columns):
    """The steps of a fit as columns of equal length, in the order they ran.

    A row is one step. A very long run merges neighbouring rows (``steps`` > 1 in a row), which
    keeps every sum exact and the size bounded.

    Attributes:
        epoch: Index of the epoch, from 0 (``initial_epoch`` included).
        steps: Number of steps in the row.
        start_s: When the row began, in seconds since ``on_train_begin``.
        wait_s: Visible data wait: seconds the training stood still for its next batch.
        period_s: Seconds from the start of the row to the start of the next one; in the last row
            of an epoch to the end of its last step, so validation and the like are not in it.
        warm_up: 1 for the first steps of a fit and for steps that traced or compiled; these are
            kept but not judged.
        hidden_wait_s: Seconds of waiting for the batch in which the device still computed the step
            before: they cost nothing, and are not in ``wait_s``.
        callbacks_s: Seconds that the training stood still for the batch hooks of callbacks.
        waited_steps: How many of the steps waited for more than 5 % of their period.
        compiled: 1 for steps that traced or compiled.
    """

    epoch: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    start_s: tuple[float, ...] = ()
    wait_s: tuple[float, ...] = ()
    period_s: tuple[float, ...] = ()
    warm_up: tuple[int, ...] = ()
    hidden_wait_s: tuple[float, ...] = field(default=(), metadata=_ADDED_LATER)
    callbacks_s: tuple[float, ...] = field(default=(), metadata=_ADDED_LATER)
    waited_steps: tuple[int, ...] = field(default=(), metadata=_ADDED_LATER)
    compiled: tuple[int, ...] = field(default=(), metadata=_ADDED_LATER)

    def check(self) -> None:
        """Raise ValueError if no clock can have measured these rows."""
        for steps, wait_s, period_s in zip(self.steps, self.wait_s, self.period_s):
            if steps < 1 or not 0 <= wait_s <= period_s * 1.001 + 1e-6:
                raise ValueError(f"a row of {steps} steps cannot wait {wait_s} s of {period_s} s")

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"StepTimes({self.num_steps:,} steps in {len(self):,} rows)"

    @property
    def measured(self) -> StepTimes:
        """The rows that are judged: all but warm-up."""
        return self.rows([row for row, warm_up in enumerate(self.warm_up) if not warm_up])

    @property
    def num_steps(self) -> int:
        """Number of steps in all rows."""
        return sum(self.steps)

    @property
    def mean_wait_s(self) -> float:
        """Seconds that a step waited for its batch, on average; 0 without steps."""
        return sum(self.wait_s) / self.num_steps if self.steps else 0.0


@dataclass(frozen=True, repr=False)
class EpochTimes(_Columns):
    """The epochs of a fit as columns of equal length: what is no step's time.

    There are ``MAX_EPOCH_ROWS`` rows at most; the last of so many holds all later epochs, too.

    Attributes:
        epoch: Index of the epoch.
        steps: Steps that ran in it.
        boundary_s: Seconds from the end of its last step to the start of the next epoch's first one
            (of the last epoch: to the end of the fit). All of the following are in it.
        validation_s: Seconds of validation.
        callbacks_s: Seconds of the epoch hooks of callbacks, without those that keep the model.
        checkpoint_s: Seconds of callbacks that keep the model on the disk.
    """

    epoch: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    boundary_s: tuple[float, ...] = ()
    validation_s: tuple[float, ...] = ()
    callbacks_s: tuple[float, ...] = ()
    checkpoint_s: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return f"EpochTimes({sum(self.steps):,} steps in {len(self):,} rows)"

    @property
    def steps_of_single_epochs(self) -> tuple[int, ...]:
        """Steps of each row that is known to hold one epoch only."""
        return self.steps[: MAX_EPOCH_ROWS - 1]

    def __len__(self) -> int:
        return len(self.epoch)


@dataclass(frozen=True)
class CallbackTime:
    """What one callback of a fit cost.

    Attributes:
        name: Name of its class.
        batch_s: Seconds in batch hooks, while the training stood still.
        epoch_s: Seconds in all other hooks, while the training stood still.
        beside_s: Seconds in hooks that Keras ran beside the training, in a thread of their own (JAX and torch).
        keeps_model: Whether it is one of Keras' that write the model to the disk.
    """

    name: str
    batch_s: float = 0.0
    epoch_s: float = 0.0
    beside_s: float = 0.0
    keeps_model: bool = False
