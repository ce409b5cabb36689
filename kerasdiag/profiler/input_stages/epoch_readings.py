"""When in an epoch tf.data's own model is read, and which of the readings stands for the fit.

At the end of an epoch the model holds little more than the last operation: iterators that have delivered everything are
forgotten, and a pipeline that prefetches or shuffles gets there before the training does. So it is read in the middle.
"""

from __future__ import annotations

from kerasdiag.stage_timing import InputStages

FIRST_LOOK = 4  # steps, where nobody knows how many an epoch has
MOST_TRIES = 8  # after one step and another, where the model does not tell all


class EpochReadings:
    """The readings of one fit.

    Args:
        epoch_steps: Steps of an epoch as Keras has planned them; None where it does not know.
    """

    def __init__(self, epoch_steps: int | None) -> None:
        self._epoch_steps = epoch_steps
        self._reading: InputStages | None = None  # of this epoch
        # Of each form that the pipeline had: how long its epochs have waited, and the latest reading.
        self._forms: dict[tuple[str, ...], tuple[float, InputStages]] = {}
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        half = None if self._epoch_steps is None else max(1, self._epoch_steps // 2)
        self._due = [FIRST_LOOK] if half is None else sorted({min(FIRST_LOOK, half), half})
        self._tries = 0

    def is_due(self, position: int) -> bool:
        """Whether to read the model after this many steps of the epoch."""
        return bool(self._due) and position >= self._due[0] and not self._is_end(position)

    def may_look(self, position: int) -> bool:
        """Whether a reading tells anything after this many steps of the epoch, if somebody wants one."""
        return position > 0 and (self._epoch_steps is None or position <= self._epoch_steps // 2)

    def _is_end(self, position: int) -> bool:
        return self._epoch_steps is not None and position >= self._epoch_steps

    def note(self, reading: InputStages | None, position: int) -> None:
        """Keep a reading for this epoch, None where the model did not tell: an operation had just been made, say."""
        if reading is not None and (self._reading is None or _worth(reading) >= _worth(self._reading)):
            self._reading = reading
        if not self.is_due(position):
            return
        self._tries += reading is None
        if reading is None and self._tries % MOST_TRIES:
            return  # again after the next step
        self._due = [one for one in self._due if one > position]
        if self._epoch_steps is None:
            self._due = [2 * position]

    def end_epoch(self, steps: int, waited_s: float) -> None:
        """Note how long an epoch waited.

        A pipeline may have another form in the first epoch, when a cache fills, than in all others. What stands for the
        fit is the latest reading of the form that has waited longest.

        Args:
            steps: How many it had.
            waited_s: How long they have waited.
        """
        if self._reading is not None:
            form = tuple(one.name for one in self._reading.stages)
            self._forms[form] = (self._forms.get(form, (0.0, None))[0] + waited_s, self._reading)
        self._reading = None
        if self._epoch_steps is None and steps:
            self._epoch_steps = steps
        self._begin_epoch()

    @property
    def best(self) -> InputStages | None:
        """The reading that stands for the fit so far."""
        if not self._forms:
            return self._reading
        return max(self._forms.values(), key=lambda one: one[0])[1]


def _worth(reading: InputStages) -> tuple[bool, int]:
    return not reading.not_measured, len(reading.stages)
