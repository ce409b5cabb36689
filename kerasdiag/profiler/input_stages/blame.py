"""Finds out which stage of an input is slow: cheaply while it runs, thoroughly once the training is over."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Optional

from kerasdiag import input_identity as kinds
from kerasdiag.profiler.input_stages import pipeline_model
from kerasdiag.profiler.input_stages.epoch_readings import EpochReadings
from kerasdiag.profiler.input_stages.prefix_timing import time_prefixes
from kerasdiag.stage_timing import InputStages, time_generator

# Any stands for what fit was given.

# Returns the number of batches that lie ready, None where nobody knows.
Queue = Callable[[], Optional[int]]


class StageBlame:
    """Looks at the training input of one fit; holds it weakly, as a profiler outlives its data.

    Args:
        data: What ``fit`` trained on.
        kind: Its kind.
        queue: Counts the batches that lie ready, None where there is no queue.
        epoch_steps: Steps of an epoch as Keras has planned them; None where it does not know.
    """

    def __init__(self, data: Any, kind: str, queue: Queue | None, epoch_steps: int | None = None) -> None:
        self._data = _weak(data)
        self._kind = kind
        self._queue = queue
        self._depths = self._empties = self._pulls = 0
        self._sample: InputStages | None = None
        self._readings = EpochReadings(epoch_steps)

    @property
    def data(self) -> Any:
        """What ``fit`` trained on, None if it is gone."""
        return self._data()

    @property
    def has_queue(self) -> bool:
        """Whether workers put batches into a queue."""
        return self._queue is not None

    def count_queue(self) -> None:
        """Note how many batches lie ready, just before one is taken."""
        depth = self._queue() if self._queue is not None else None
        if depth is not None:
            self._pulls += 1
            self._depths += depth
            self._empties += not depth

    @property
    def can_look(self) -> bool:
        """Whether the input tells something while it runs."""
        return self._kind == kinds.TF_DATA and pipeline_model.is_known()

    def is_due(self, position: int) -> bool:
        """Whether to look after this many steps of an epoch."""
        return self._readings.is_due(position)

    def look(self, iterator: Any, position: int) -> str | None:
        """Read what tf.data knows of a pipeline, if it is the time for that; takes a few milliseconds.

        Args:
            iterator: What the training reads, or None.
            position: How many steps of this epoch are over.
        """
        if self.can_look and (self.is_due(position) or self._readings.may_look(position)):
            reading = pipeline_model.read_model(iterator) if iterator is not None else None
            self._readings.note(reading, position)
        return None

    def end_epoch(self, steps: int, waited_s: float) -> None:
        """Note that an epoch is over, how many steps it had, and how long they have waited."""
        self._readings.end_epoch(steps, waited_s)

    def conclude(self, waited_s: float) -> str | None:
        """Take a sample of the input apart, once the training is over, unless what is known explains its wait.

        Args:
            waited_s: Seconds that the training waited for a batch.

        Returns:
            Why it was not possible, or None.
        """
        data, known = self._data(), self._readings.best
        if data is None or (known is not None and known.explain(waited_s)):
            return None
        if self._kind in (kinds.IMAGE_DATA_GENERATOR, kinds.TF_DATA):
            found = time_generator(data) if self._kind == kinds.IMAGE_DATA_GENERATOR else time_prefixes(data)
            if isinstance(found, str):
                return None if known is not None else found
            if known is None or found.explain(waited_s):
                self._sample = found
        return None

    def stages(self) -> InputStages | None:
        """Return what is known so far."""
        found = self._sample or self._readings.best
        if not self._pulls:
            return found
        known = found or InputStages("batch", "queue of the workers")
        return replace(
            known,
            queue_depth=round(self._depths / self._pulls, 3),
            queue_empty_fraction=round(self._empties / self._pulls, 4),
        )

    def release(self) -> None:
        """Forget queue and input."""
        self._queue = None
        self._data = _nothing


def _nothing() -> Any:
    return None


def _weak(data: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(data)
    except TypeError:  # a tuple of arrays: nothing to take apart
        return _nothing
