"""What it costs to ask for a batch that is already there, or to start a step that computes nothing.

Neither is the training's own. A pull that never waits is no data wait, and is taken out of it; the start of a step is
what a training of very short steps consists of. In a tight loop both cost half of what they cost between two training
steps, where caches are cold (a pull 44 against 97 us on Keras 3.15, 43 against 130 on 3.6): on steps of half a
millisecond that would make an idle pipeline look input-bound. So they are priced where they are paid: between the
steps of the training. And on a machine that others share the price moves within a training by half, so the price of a
pull is looked at again and again; on Keras 3.6 the first twelve alone left 5 to 14 % of steps of 0.7 ms looking like
waits.
"""

from __future__ import annotations

import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Optional

from kerasdiag import compat

# From a batch to an input of such batches that is always ready, as Keras hands them on; None where there is none.
ReadyInput = Callable[[Any], Optional[Iterator[Any]]]

SAMPLES = 12
SAMPLE_AGAIN_STEPS = 64
KEPT_SAMPLES = 256
# Dearer than this is not the pull: then the loader's threads hold the interpreter, which is the
# loader's doing and stays in the wait.
PULL_LIMIT_S = 300e-6
# Where Keras hands each batch on as NumPy arrays (JAX, torch): its own work (0.6 ms here), and a copy by slow memory.
CONVERSION_LIMIT_S = 1e-3
COPY_BYTES_PER_S = 4e9
LAUNCH_LIMIT_S = 1e-3
# A sample is only ever disturbed upwards: by one half above the undisturbed ones is as far as a price goes.
MOST_OVER_LOWER_QUARTILE = 1.5
MOST_SPREAD_S = 150e-6


class Price:
    """Prices something that is done once per step.

    Keep it until the fit is over: to destroy a tf.data iterator while a Python loader is busy can
    stall the thread for many batches.
    """

    def __init__(self, action: Callable[[], object], clock: Callable[[], float], limit_s: float) -> None:
        """Do it once, for what is done only the first time.

        Args:
            action: What is priced.
            clock: Seconds.
            limit_s: What it costs at most.
        """
        self._action: Callable[[], object] | None = action
        self._clock = clock
        self.limit_s = limit_s
        self._durations: deque[float] = deque(maxlen=KEPT_SAMPLES)
        action()

    @property
    def is_known(self) -> bool:
        """Whether enough samples have been taken."""
        return len(self._durations) >= SAMPLES

    def is_due(self, steps: int) -> bool:
        """Whether to take a sample after this many steps, where a price is followed through the training."""
        return not self.is_known or steps % SAMPLE_AGAIN_STEPS == 0

    @property
    def seconds(self) -> float:
        """The price so far: the median of what was not much disturbed."""
        ordered = sorted(self._durations)
        if not ordered:
            return 0.0
        quartile_s = ordered[len(ordered) // 4]
        return min(statistics.median(ordered), MOST_OVER_LOWER_QUARTILE * quartile_s, self.limit_s)

    @property
    def longest_s(self) -> float:
        """What it may take without anything to wait for: nine in ten do, and no more than 0.15 ms above the price."""
        ordered = sorted(self._durations)
        if not ordered:
            return 0.0
        spread_s = ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)] - self.seconds
        return self.seconds + min(max(0.0, spread_s), MOST_SPREAD_S)

    def release(self) -> None:
        """Drop what is priced, once the fit is over."""
        self._action = None

    def sample(self) -> float:
        """Take one sample; return how much of its time was the price, and not a disturbance."""
        assert self._action is not None, "nobody asks once the fit is over"
        start_s = self._clock()
        self._action()
        duration_s = self._clock() - start_s
        self._durations.append(duration_s)
        return min(duration_s, self.limit_s)


def price_of_pull(element_spec: Any, clock: Callable[[], float]) -> Price:
    """Return what prices a pull from tf.data.

    Args:
        element_spec: Structure of ``tf.TypeSpec`` of the batches.
        clock: Seconds.
    """
    ready = _ready_dataset(element_spec)
    return Price(lambda: next(ready), clock, PULL_LIMIT_S)


def price_of_launch(element_spec: Any, clock: Callable[[], float]) -> Callable[[Any], Price]:
    """Return what, given a batch, prices the start of a graph that computes nothing.

    Args:
        element_spec: Structure of ``tf.TypeSpec`` of the batches.
        clock: Seconds.
    """
    tensorflow = sys.modules["tensorflow"]

    def nothing(batch: Any) -> Any:  # noqa: ARG001 - TensorFlow warns where a name begins with "_"
        return tensorflow.zeros([])

    function = tensorflow.function(nothing, input_signature=[element_spec], autograph=False)
    start = compat.as_called(function, element_spec)
    return lambda batch: Price(lambda: start(batch), clock, LAUNCH_LIMIT_S)


def price_of_conversion(ready_input: ReadyInput, batch: Any, clock: Callable[[], float]) -> Price | None:
    """Return what prices a pull that ends in arrays of another library; None where such a batch cannot be made.

    Args:
        ready_input: Makes the input.
        batch: A batch of the training.
        clock: Seconds.
    """
    try:
        ready = ready_input(batch)
        if ready is None:
            return None
        limit_s = CONVERSION_LIMIT_S + sum(map(_num_bytes, leaves(batch))) / COPY_BYTES_PER_S
        return Price(lambda: next(ready), clock, limit_s)
    except Exception:  # Strings, sparse and other odd batches cannot be made anew: the pull stays in the wait.
        return None


def leaves(batch: Any) -> list[Any]:
    """Return the arrays of a batch, whatever their nesting."""
    if isinstance(batch, dict):
        return [leaf for part in batch.values() for leaf in leaves(part)]
    if isinstance(batch, (tuple, list)):
        return [leaf for part in batch for leaf in leaves(part)]
    return [] if batch is None else [batch]


def _num_bytes(array: Any) -> int:
    return int(getattr(array, "nbytes", 0) or 0)


def _ready_dataset(element_spec: Any) -> Iterator[Any]:
    """Return an endless tf.data iterator that never makes anybody wait.

    Args:
        element_spec: Structure of ``tf.TypeSpec`` of the batches.
    """
    tensorflow = sys.modules["tensorflow"]
    with tensorflow.device("CPU:0"):
        tensors = tuple(_ready_tensor(tensorflow, spec) for spec in tensorflow.nest.flatten(element_spec))
        dataset = tensorflow.data.Dataset.from_tensors(tensors).repeat().prefetch(2)
        # Its autotune thread sleeps ever longer between two looks, and whoever destroys the iterator waits for it to
        # wake: 1.2 s at the end of a short fit.
        options = tensorflow.data.Options()
        options.autotune.enabled = False
        return iter(dataset.with_options(options))


def _ready_tensor(tensorflow: Any, spec: Any) -> Any:
    """A tensor of this shape with unknown sides of 1. Parts that are no dense numbers cost as much as a scalar."""
    if isinstance(spec, tensorflow.TensorSpec) and spec.shape.rank is not None:
        kind = spec.dtype
        if kind.is_floating or kind.is_integer or kind.is_bool:
            return tensorflow.zeros([side or 1 for side in spec.shape], kind)
    return tensorflow.constant(0)
