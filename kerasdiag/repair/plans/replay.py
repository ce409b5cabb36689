"""The seeded generator's own stream: its order of rows and its draws, batch by batch.

What iterating the generator directly gives: ``gen[0] ... gen[len - 1]``, then ``on_epoch_end()``, and
so on, from its present state, with one worker. Before each batch Keras seeds NumPy's global
generator with ``seed + total_batches_seen``; then come, before the very first batch only, the
permutation, and the draws of each image. At the end of an epoch it permutes from whatever state
the last batch left. The same calls on a generator of our own give the same numbers and leave
NumPy's global state alone. Source: ``Iterator`` and ``get_random_transform`` in Keras'
``legacy/preprocessing/image.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.ops import brightness, channel_shift
from kerasdiag.repair.ops.affine import Parameters
from kerasdiag.spec import AugmentationOptions, GeneratorSpec


class Replay:
    """The stream of a generator from its present state; epoch 0 is what it would yield next.

    Args:
        spec: The generator; its seed is not None.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        self._spec = spec
        self._batches = spec.batches_per_pass

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows of an epoch in its order."""
        spec = self._spec
        if epoch == 0 and spec.index_array is not None:
            return np.asarray(spec.index_array, np.int64)
        if not spec.shuffle:
            return np.arange(spec.num_rows)
        stream = self._seeded(0) if epoch == 0 else self._after_epoch(epoch - 1)
        return stream.permutation(spec.num_rows).astype(np.int64)

    def draw(self, epoch: int, batch: int) -> Parameters:
        """Return the parameters of the images of a batch, one array for each name."""
        count = self._count(batch)
        if self._spec.augmentation is None:
            return {name: np.zeros(count, bool) for name in ("flip_horizontal", "flip_vertical")}
        drawn = self._draws(self._before_draws(epoch, batch), count)
        return {name: np.array([one[name] for one in drawn]) for name in drawn[0]}

    def _count(self, batch: int) -> int:
        size = self._spec.batch_size
        return min(size, self._spec.num_rows - batch * size)

    def _seeded(self, batches: int) -> np.random.RandomState:
        assert self._spec.seed is not None
        return np.random.RandomState(self._spec.seed + self._spec.total_batches_seen + batches)

    def _before_draws(self, epoch: int, batch: int) -> np.random.RandomState:
        stream = self._seeded(epoch * self._batches + batch)
        if epoch == 0 and batch == 0 and self._spec.index_array is None and self._spec.shuffle:
            stream.permutation(self._spec.num_rows)
        return stream

    def _after_epoch(self, epoch: int) -> np.random.RandomState:
        last = self._batches - 1
        stream = self._before_draws(epoch, last)
        self._draws(stream, self._count(last))
        return stream

    def _draws(self, stream: np.random.RandomState, count: int) -> list[dict[str, Any]]:
        if self._spec.augmentation is None:
            return []
        shape = self._spec.image_shape
        return [draw_as_keras(self._spec.augmentation, shape, stream) for _ in range(count)]


def draw_as_keras(
    options: AugmentationOptions, shape: tuple[int, int, int], stream: np.random.RandomState
) -> dict[str, Any]:
    """Return what ``get_random_transform`` draws from this stream, call by call; no entry where it has None.

    Args:
        options: The generator's ranges.
        shape: Height, width, channels.
        stream: Is advanced.
    """
    drawn: dict[str, Any] = {"theta": _within(options.rotation_range, stream)}
    drawn["tx"] = _shift(options.height_shift_range, shape[0], stream)
    drawn["ty"] = _shift(options.width_shift_range, shape[1], stream)
    drawn["shear"] = _within(options.shear_range, stream)
    low, high = options.zoom_range
    drawn["zx"], drawn["zy"] = (1, 1) if low == 1 and high == 1 else stream.uniform(low, high, 2)
    drawn["flip_horizontal"] = (stream.random_sample() < 0.5) * options.horizontal_flip
    drawn["flip_vertical"] = (stream.random_sample() < 0.5) * options.vertical_flip
    if options.channel_shift_range != 0:
        drawn[channel_shift.NAME] = _within(options.channel_shift_range, stream)
    if options.brightness_range is not None:
        drawn[brightness.NAME] = stream.uniform(*options.brightness_range)
    return drawn


def _within(limit: Any, stream: np.random.RandomState) -> float:
    return stream.uniform(-limit, limit) if limit else 0


def _shift(limit: Any, size: int, stream: np.random.RandomState) -> float:
    if not limit:
        return 0
    try:  # a list, or a whole number
        shift: float = stream.choice(limit) * stream.choice([-1, 1])
    except ValueError:
        shift = stream.uniform(-limit, limit)
    return shift * size if np.max(limit) < 1 else shift
