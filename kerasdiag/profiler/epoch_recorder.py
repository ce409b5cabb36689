"""What lies between the epochs of a fit, in bounded memory. Knows no Keras and reads no clock."""

from __future__ import annotations

from kerasdiag.step_times import MAX_EPOCH_ROWS, EpochTimes


class EpochRecorder:
    """Collects the epochs of one fit; all times are seconds on one monotonic clock of the caller."""

    def __init__(self) -> None:
        self._rows: list[_Epoch] = []
        self._boundary: _Boundary | None = None

    def begin(self, epoch: int) -> None:
        """Note that the steps to come belong to ``epoch``."""
        if len(self._rows) < MAX_EPOCH_ROWS:
            self._rows.append(_Epoch(epoch))

    def begin_step(self, start_s: float) -> None:
        """Note that a step begins; the first of an epoch ends the boundary before it."""
        if self._boundary is not None:
            self._boundary.epoch.boundary_s += self._boundary.length_s(start_s)
            self._boundary = None
        if not self._rows:
            self.begin(0)
        self._rows[-1].steps += 1

    def end(self, end_s: float) -> None:
        """Note that the last step of an epoch has ended; does nothing the second time."""
        if self._boundary is None and self._rows:
            self._boundary = _Boundary(self._rows[-1], end_s)

    def exclude(self, duration_s: float) -> None:
        """Take time out of the present boundary that is not the training's own."""
        if self._boundary is not None:
            self._boundary.excluded_s += duration_s

    def add_validation(self, duration_s: float) -> None:
        """Add time of validation."""
        if self._rows:
            self._owner.validation_s += duration_s

    def add_callback(self, duration_s: float, keeps_model: bool) -> None:
        """Add time of a callback outside of steps; what comes before the first step belongs to no epoch."""
        if not self._rows or (not self._rows[-1].steps and self._boundary is None):
            return
        if keeps_model:
            self._owner.checkpoint_s += duration_s
        else:
            self._owner.callbacks_s += duration_s

    def times(self, now_s: float) -> EpochTimes:
        """Return the epochs so far; the boundary of the last one lasts until ``now_s``."""
        rows = [one.as_row() for one in self._rows]
        if self._boundary is not None:
            place = self._rows.index(self._boundary.epoch)
            epoch, steps, boundary_s, *others = rows[place]
            rows[place] = (epoch, steps, boundary_s + self._boundary.length_s(now_s), *others)
        return EpochTimes(*zip(*rows)) if rows else EpochTimes()

    @property
    def _owner(self) -> _Epoch:
        """Whose time it is: hooks at the begin of an epoch are still in the boundary of the one before."""
        return self._boundary.epoch if self._boundary is not None else self._rows[-1]


class _Epoch:
    __slots__ = ("boundary_s", "callbacks_s", "checkpoint_s", "epoch", "steps", "validation_s")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.steps = 0
        self.boundary_s = self.validation_s = self.callbacks_s = self.checkpoint_s = 0.0

    def as_row(self) -> tuple[float, ...]:
        return self.epoch, self.steps, self.boundary_s, self.validation_s, self.callbacks_s, self.checkpoint_s


class _Boundary:
    __slots__ = ("epoch", "excluded_s", "start_s")

    def __init__(self, epoch: _Epoch, start_s: float) -> None:
        self.epoch = epoch
        self.start_s = start_s
        self.excluded_s = 0.0

    def length_s(self, end_s: float) -> float:
        return max(0.0, end_s - self.start_s - self.excluded_s)
