"""What it costs to ask for a batch that is already there. That is no data wait, and is taken out of it.

Pulled in a tight loop such a batch costs half of what it costs between two training steps, where
caches are cold (44 against 97 us on Keras 3.15, 43 against 130 on 3.6). On steps of half a
millisecond the difference would make an idle pipeline look input-bound. So the price is taken
where it is paid: just before a pull of the training, in its first steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

SAMPLES = 12
# Dearer than this is not the pull: then the loader's threads hold the interpreter, which is the
# loader's doing and stays in the wait.
LIMIT_S = 300e-6


class PullOverhead:
    """Prices a pull from an input of the same structure that is always ready.

    Keep it until the fit is over: to destroy a tf.data iterator while a Python loader is busy can
    stall the thread for many batches.
    """

    def __init__(self, element_spec: Any, clock: Callable[[], float]) -> None:
        """Make the input.

        Args:
            element_spec: Structure of ``tf.TypeSpec`` of the batches.
            clock: Seconds.
        """
        tensorflow = sys.modules["tensorflow"]
        with tensorflow.device("CPU:0"):
            tensors = tuple(_ready_tensor(tensorflow, spec) for spec in tensorflow.nest.flatten(element_spec))
            self._ready = iter(tensorflow.data.Dataset.from_tensors(tensors).repeat().prefetch(2))
        self._clock = clock
        self._durations: list[float] = []
        next(self._ready)

    @property
    def is_known(self) -> bool:
        """Whether enough samples have been taken."""
        return len(self._durations) >= SAMPLES

    @property
    def seconds(self) -> float:
        """The price so far: the lower quartile, for a sample is only ever disturbed upwards."""
        ordered = sorted(self._durations)
        return min(ordered[len(ordered) // 4], LIMIT_S) if ordered else 0.0

    def release(self) -> None:
        """Destroy the input, once the fit is over."""
        self._ready = None

    def sample(self) -> None:
        """Take one sample."""
        start_s = self._clock()
        next(self._ready)
        self._durations.append(self._clock() - start_s)


def _ready_tensor(tensorflow: Any, spec: Any) -> Any:
    """A tensor of this shape with unknown sides of 1. Parts that are no dense numbers cost as much as a scalar."""
    if isinstance(spec, tensorflow.TensorSpec) and spec.shape.rank is not None:
        kind = spec.dtype
        if kind.is_floating or kind.is_integer or kind.is_bool:
            return tensorflow.zeros([side or 1 for side in spec.shape], kind)
    return tensorflow.constant(0)
