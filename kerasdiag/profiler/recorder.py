"""Clock marks of a fit, kept in bounded memory. Knows no Keras and reads no clock.

The caller says when a step asked for its batch, got it and returned; the recorder turns these
marks into the rows of ``StepTimes``, and into those of ``EpochTimes`` what lies between epochs.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any, NamedTuple

from kerasdiag.profiler.epoch_recorder import EpochRecorder
from kerasdiag.step_times import EpochTimes, StepTimes

WARM_UP_STEPS = 5  # first steps of a fit: caches, allocators and autotuning still settle
MAX_ROWS = 16_384  # above it neighbouring rows are merged: 1.2 MB, however long the run
WAITED_FRACTION = 0.05  # a batch was waited for if more of its period passed with waiting: XProf's least share


class _Row(NamedTuple):
    """A row of StepTimes. Where it is one step, the price of asking is still in its pull."""

    epoch: int
    steps: int
    start_s: float
    pull_s: float
    period_s: float
    warm_up: int
    hidden_wait_s: float
    callbacks_s: float
    waited_steps: int
    compiled: int

    def can_take(self, other: _Row, most_steps: int, *, across_epochs: bool = False) -> bool:
        """Whether another row may be merged into this one."""
        is_same_kind = (self.warm_up, self.compiled) == (other.warm_up, other.compiled)
        is_near = across_epochs or self.epoch == other.epoch
        return self.steps + other.steps <= most_steps and is_same_kind and is_near

    def take(self, other: _Row) -> _Row:
        """This row with another one merged into it."""
        return self._replace(
            steps=self.steps + other.steps,
            pull_s=self.pull_s + other.pull_s,
            period_s=self.period_s + other.period_s,
            hidden_wait_s=self.hidden_wait_s + other.hidden_wait_s,
            callbacks_s=self.callbacks_s + other.callbacks_s,
            waited_steps=self.waited_steps + other.waited_steps,
        )


_TYPE_CODES = "lldddbddlb"  # of the columns, for Python's array


class StepRecorder:
    """Collects the steps of one fit.

    All times are seconds on one monotonic clock of the caller.

    Attributes:
        steps_seen: Steps so far, those that were not measured too.
        measured_steps: Those behind the warm-up.
        asked_s: How long the measured ones have asked for their batches.
        pull_overhead_s: Cost of a pull from an input that is always ready; it is the price of asking, not of waiting,
            and is taken out of every wait. May be set later.
        longest_pull_s: What such a pull may cost: one that has taken no longer is no wait. The rest would add up, for
            the pulls that cost less than the price make up for nothing.
    """

    def __init__(self, origin_s: float, pull_overhead_s: float = 0.0) -> None:
        """Begin a recording.

        Args:
            origin_s: The time that ``StepTimes.start_s`` counts from.
            pull_overhead_s: See the attribute.
        """
        self.origin_s = origin_s
        self.pull_overhead_s = pull_overhead_s
        self.longest_pull_s = 0.0
        self.steps_seen = 0
        self.measured_steps = 0
        self.asked_s = 0.0
        self.epoch = 0
        self._in_step_s = 0.0
        self.epochs = EpochRecorder()
        self._columns: tuple[array[Any], ...] = tuple(array(code) for code in _TYPE_CODES)  # Any: int and float columns
        self._merged_steps = 1  # steps that a full row holds
        self._open: _OpenStep | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Note that the steps to come belong to ``epoch``."""
        self.end_epoch()
        self.epoch = epoch
        self.epochs.begin(epoch)

    def add_step(
        self, start_s: float, ready_s: float, end_s: float, *, hidden_wait_s: float = 0.0, compiled: bool = False
    ) -> None:
        """Record one step.

        Args:
            start_s: When it asked for its batch. Also the end of the step before.
            ready_s: When the batch was there.
            end_s: When the step function returned.
            hidden_wait_s: How long, of the time between the first two, the device still computed the step before.
            compiled: Whether the step traced or compiled, so that its time says nothing.
        """
        self._close(start_s)
        warm_up = compiled or self.steps_seen < WARM_UP_STEPS
        self._open = _OpenStep(start_s, ready_s - start_s, end_s, hidden_wait_s, warm_up, compiled)
        if not warm_up:
            self.asked_s += ready_s - start_s
            self._in_step_s += end_s - start_s
        self.epochs.begin_step(start_s)
        self.steps_seen += 1
        self.measured_steps += not warm_up

    def skip_step(self, start_s: float) -> None:
        """Note a step that is not measured; the one before ends when its callbacks did."""
        self.close_step()
        self.epochs.begin_step(start_s)
        self.steps_seen += 1

    def end_step(self, end_s: float) -> None:
        """Note that the callbacks of the last step are done too."""
        if self._open is not None:
            self._open.end_s = end_s

    def extend_step(self, end_s: float) -> None:
        """Note that the device was done with the last step only then, if that is later than what is known."""
        if self._open is not None:
            self._open.end_s = max(self._open.end_s, end_s)

    def add_callbacks(self, duration_s: float) -> None:
        """Note that the training stood still for the batch hooks of callbacks."""
        if self._open is not None:
            self._open.callbacks_s += duration_s

    def exclude(self, duration_s: float) -> None:
        """Take time out of the last step, or of what follows an epoch, that is not the training's own."""
        if self._open is not None:
            self._open.excluded_s += duration_s
        else:
            self.epochs.exclude(duration_s)

    def close_step(self) -> None:
        """Note that no step follows the last one directly."""
        if self._open is not None:
            self._close(self._open.end_s + self._open.excluded_s)

    def end_epoch(self) -> None:
        """The same at the end of an epoch: validation and the like are no step's time."""
        if self._open is not None:
            self.epochs.end(self._open.end_s + self._open.excluded_s)
        self.close_step()

    def step_times(self) -> StepTimes:
        """Return the rows so far, the last step included as far as it got."""
        rows = self._rows()
        if self._open is not None:
            rows.append(self._row(self._open, self._open.end_s + self._open.excluded_s))
        if not rows:
            return StepTimes()
        return StepTimes(
            epoch=tuple(row.epoch for row in rows),
            steps=tuple(row.steps for row in rows),
            start_s=tuple(row.start_s for row in rows),
            wait_s=tuple(round(self._wait_s(row), 7) for row in rows),  # here, for the price is known only later
            period_s=tuple(row.period_s for row in rows),
            warm_up=tuple(row.warm_up for row in rows),
            hidden_wait_s=tuple(row.hidden_wait_s for row in rows),
            callbacks_s=tuple(row.callbacks_s for row in rows),
            waited_steps=tuple(row.waited_steps for row in rows),
            compiled=tuple(row.compiled for row in rows),
        )

    def loop_s(self) -> float:
        """Mean seconds of a measured step that are neither pull nor step nor callbacks: Keras' own loop."""
        steps = self.step_times().measured
        if not steps.num_steps:
            return 0.0
        return max(0.0, sum(steps.period_s) - self._in_step_s - sum(steps.callbacks_s)) / steps.num_steps

    def epoch_times(self, now_s: float) -> EpochTimes:
        """Return the epochs so far; the boundary of the last one lasts until ``now_s``."""
        return self.epochs.times(now_s)

    def _wait_s(self, row: _Row) -> float:
        asked_s = row.pull_s - row.hidden_wait_s
        if row.steps > 1:
            return asked_s  # see _merge
        return max(0.0, asked_s - self.pull_overhead_s) if asked_s > self.longest_pull_s else 0.0

    def _merge(self, row: _Row, other: _Row) -> _Row:
        """Put two rows into one. The price goes first: a pull that has cost less must not make up for a wait."""
        priced = [one._replace(pull_s=one.hidden_wait_s + self._wait_s(one)) for one in (row, other)]
        return priced[0].take(priced[1])

    def _rows(self) -> list[_Row]:
        return [_Row(*values) for values in zip(*self._columns)]

    def _row(self, step: _OpenStep, next_start_s: float) -> _Row:
        # A period shorter than its wait cannot be; the clock marks of a step are ordered, so this
        # only guards the subtraction of excluded time.
        period_s = max(next_start_s - step.start_s - step.excluded_s, step.pull_s)
        row = _Row(
            self.epoch,
            1,
            round(step.start_s - self.origin_s, 7),
            round(step.pull_s, 7),
            round(period_s, 7),
            int(step.warm_up),
            round(step.hidden_wait_s, 7),
            round(step.callbacks_s, 7),
            0,
            int(step.compiled),
        )
        return row._replace(waited_steps=int(self._wait_s(row) > WAITED_FRACTION * period_s))

    def _close(self, next_start_s: float) -> None:
        if self._open is None:
            return
        row = self._row(self._open, next_start_s)
        self._open = None
        columns = self._columns
        if self._merged_steps > 1 and columns[0]:
            last = _Row(*(column[-1] for column in columns))
            if last.can_take(row, self._merged_steps):
                for column, value in zip(columns, self._merge(last, row)):
                    column[-1] = value
                return
        for column, value in zip(columns, row):
            column.append(value)
        if len(columns[0]) >= MAX_ROWS:
            self._merge_neighbours()

    def _merge_neighbours(self) -> None:
        """Halve the rows. Neighbours of one epoch go first; very many tiny epochs merge as well."""
        self._merged_steps *= 2
        rows = self._merged(across_epochs=False)
        if len(rows) > 0.75 * MAX_ROWS:
            rows = self._merged(across_epochs=True)
        for column, values in zip(self._columns, zip(*rows)):
            column[:] = array(column.typecode, values)

    def _merged(self, *, across_epochs: bool) -> list[_Row]:
        merged: list[_Row] = []
        for row in self._rows():
            if merged and merged[-1].can_take(row, self._merged_steps, across_epochs=across_epochs):
                merged[-1] = self._merge(merged[-1], row)
            else:
                merged.append(row)
        return merged


@dataclass
class _OpenStep:
    """The latest step, whose period is known only when the next one begins."""

    start_s: float
    pull_s: float
    end_s: float
    hidden_wait_s: float
    warm_up: bool
    compiled: bool
    callbacks_s: float = 0.0
    excluded_s: float = 0.0
