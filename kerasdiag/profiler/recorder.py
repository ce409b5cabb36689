"""Clock marks of a fit, kept in bounded memory. Knows no Keras and reads no clock.

The caller says when a step asked for its batch, got it and returned; the recorder turns these
marks into the rows of ``StepTimes``.
"""

from __future__ import annotations

from array import array
from typing import Any

from kerasdiag.profile import StepTimes

WARM_UP_STEPS = 5  # first steps of a fit: caches, allocators and autotuning still settle
MAX_ROWS = 16_384  # above it neighbouring rows are merged: 0.8 MB, however long the run


class StepRecorder:
    """Collects the steps of one fit.

    All times are seconds on one monotonic clock of the caller.
    """

    def __init__(self, origin_s: float, pull_overhead_s: float = 0.0) -> None:
        """Begin a recording.

        Args:
            origin_s: The time that ``StepTimes.start_s`` counts from.
            pull_overhead_s: Cost of a pull from an input that is always ready; it is the price of
                asking, not of waiting, and is taken out of every wait. May be set later.
        """
        self.origin_s = origin_s
        self.pull_overhead_s = pull_overhead_s
        self.steps_seen = 0
        self.measured_steps = 0
        self.epoch = 0
        self._epochs = array("l")
        self._steps = array("l")
        self._starts = array("d")
        self._waits = array("d")  # with the price of asking
        self._periods = array("d")
        self._warm_ups = array("b")
        self._merged_steps = 1  # steps that a full row holds
        self._open: _OpenStep | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Note that the steps to come belong to ``epoch``."""
        self.end_epoch()
        self.epoch = epoch

    def add_step(self, start_s: float, ready_s: float, end_s: float, *, compiled: bool = False) -> None:
        """Record one step.

        Args:
            start_s: When it asked for its batch. Also the end of the step before.
            ready_s: When the batch was there.
            end_s: When the step function returned.
            compiled: Whether the step traced or compiled, so that its time says nothing.
        """
        self._close(start_s)
        warm_up = compiled or self.steps_seen < WARM_UP_STEPS
        self._open = _OpenStep(start_s, ready_s - start_s, end_s, warm_up)
        self.steps_seen += 1
        self.measured_steps += not warm_up

    def end_step(self, end_s: float) -> None:
        """Note that the callbacks of the last step are done too."""
        if self._open is not None:
            self._open.end_s = end_s

    def exclude(self, duration_s: float) -> None:
        """Take time out of the last step that is not the training's own, such as printing a verdict."""
        if self._open is not None:
            self._open.excluded_s += duration_s

    def end_epoch(self) -> None:
        """Note that no step follows the last one directly: validation and the like are not its time."""
        if self._open is not None:
            self._close(self._open.end_s + self._open.excluded_s)

    def step_times(self) -> StepTimes:
        """Return the rows so far, the last step included as far as it got."""
        rows = list(zip(self._epochs, self._steps, self._starts, self._waits, self._periods, self._warm_ups))
        if self._open is not None:
            rows.append(self._row(self._open.end_s + self._open.excluded_s))
        epoch, steps, starts, pulls, periods, warm_ups = zip(*rows) if rows else ((),) * 6
        # Here, since the price of asking is known only after the first steps.
        waits = tuple(round(max(0.0, pull - count * self.pull_overhead_s), 7) for pull, count in zip(pulls, steps))
        return StepTimes(epoch, steps, starts, waits, periods, warm_ups)

    def _row(self, next_start_s: float) -> tuple[int, int, float, float, float, int]:
        step = self._open
        assert step is not None  # callers have looked
        # A period shorter than its wait cannot be; the clock marks of a step are ordered, so this
        # only guards the subtraction of excluded time.
        period_s = max(next_start_s - step.start_s - step.excluded_s, step.wait_s)
        start_s = step.start_s - self.origin_s
        return self.epoch, 1, round(start_s, 7), round(step.wait_s, 7), round(period_s, 7), int(step.warm_up)

    def _close(self, next_start_s: float) -> None:
        if self._open is None:
            return
        epoch, steps, start_s, wait_s, period_s, warm_up = self._row(next_start_s)
        self._open = None
        joins_last = (
            len(self._steps) > 0
            and self._steps[-1] < self._merged_steps
            and self._epochs[-1] == epoch
            and self._warm_ups[-1] == warm_up
        )
        if joins_last:
            self._steps[-1] += steps
            self._waits[-1] += wait_s
            self._periods[-1] += period_s
            return
        for column, value in zip(self._columns, (epoch, steps, start_s, wait_s, period_s, warm_up)):
            column.append(value)
        if len(self._steps) >= MAX_ROWS:
            self._merge_neighbours()

    @property
    def _columns(self) -> tuple[array[Any], ...]:  # Any: int and float columns
        return self._epochs, self._steps, self._starts, self._waits, self._periods, self._warm_ups

    def _merge_neighbours(self) -> None:
        """Halve the rows. Neighbours of one epoch go first; very many tiny epochs merge as well."""
        self._merged_steps *= 2
        rows = self._merged(across_epochs=False)
        if len(rows) > 0.75 * MAX_ROWS:
            rows = self._merged(across_epochs=True)
        for column, values in zip(self._columns, zip(*rows)):
            del column[:]
            column.extend(int(value) if column.typecode in "lb" else value for value in values)

    def _merged(self, *, across_epochs: bool) -> list[list[float]]:
        merged: list[list[float]] = []
        for epoch, steps, start_s, wait_s, period_s, warm_up in zip(*self._columns):
            last = merged[-1] if merged else None
            if (
                last is not None
                and last[1] + steps <= self._merged_steps
                and last[5] == warm_up
                and (across_epochs or last[0] == epoch)
            ):
                last[1] += steps
                last[3] += wait_s
                last[4] += period_s
            else:
                merged.append([epoch, steps, start_s, wait_s, period_s, warm_up])
        return merged


class _OpenStep:
    """The latest step, whose period is known only when the next one begins."""

    __slots__ = ("end_s", "excluded_s", "start_s", "wait_s", "warm_up")

    def __init__(self, start_s: float, wait_s: float, end_s: float, warm_up: bool) -> None:
        self.start_s = start_s
        self.wait_s = wait_s
        self.end_s = end_s
        self.warm_up = warm_up
        self.excluded_s = 0.0
