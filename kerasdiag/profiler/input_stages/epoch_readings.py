"""When in an epoch tf.data's own model is read, and which of the readings stands for the fit.

At the end of an epoch the model holds little more than the last operation: iterators that have delivered everything are
forgotten, and a pipeline that prefetches or shuffles gets there before the training does. So it is read in the middle.
"""

from __future__ import annotations

from kerasdiag.stage_timing import InputStages

FIRST_LOOK = 4  # steps, where nobody knows how many an epoch has
MOST_TRIES = 16  # in an epoch, where the model does not tell all


class EpochReadings:
    """The readings of one fit.

    Args:
        epoch_steps: Steps of an epoch as Keras has planned them; None where it does not know.
    """

    def __init__(self, epoch_steps: int | None) -> None:
        self._epoch_steps = epoch_steps
        self._reading: InputStages | None = None  # of this epoch
        self._kept: InputStages | None = None
        self._kept_wait_s = -1.0
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._next = FIRST_LOOK if self._epoch_steps is None else max(1, self._epoch_steps // 2)
        self._tries = 0

    def is_due(self, position: int) -> bool:
        """Whether to read the model after this many steps of the epoch."""
        return position >= self._next and self._tries < MOST_TRIES and not self._is_end(position)

    def may_look(self, position: int) -> bool:
        """Whether a reading tells anything after this many steps of the epoch, if somebody wants one."""
        return position > 0 and (self._epoch_steps is None or position <= self._epoch_steps // 2)

    def _is_end(self, position: int) -> bool:
        return self._epoch_steps is not None and position >= self._epoch_steps

    def note(self, reading: InputStages | None, position: int) -> None:
        """Keep a reading for this epoch, None where the model did not tell: an operation had just been made, say."""
        if reading is None:
            self._tries += 1
            self._next = max(self._next, position + 1)
            return
        if self._reading is None or len(reading.stages) >= len(self._reading.stages):
            self._reading = reading
        if self._epoch_steps is None:
            self._next = 2 * max(position, FIRST_LOOK)
        elif position >= self._next:
            self._tries = MOST_TRIES

    def end_epoch(self, steps: int, waited_s: float) -> None:
        """Keep this epoch's reading for the fit if this is the epoch that has waited longest; a cache fills in the first.

        Args:
            steps: How many it had.
            waited_s: How long they have waited.
        """
        if self._reading is not None and waited_s > self._kept_wait_s:
            self._kept, self._kept_wait_s = self._reading, waited_s
        self._reading = None
        if self._epoch_steps is None and steps:
            self._epoch_steps = steps
        self._begin_epoch()

    @property
    def best(self) -> InputStages | None:
        """The reading that stands for the fit so far."""
        return self._kept or self._reading
