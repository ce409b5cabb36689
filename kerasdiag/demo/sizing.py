"""Find a batch and a model of the size that show the story on this machine, whatever its memory, cores and GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any  # models

from kerasdiag.environment.memory import memory_limit
from kerasdiag.errors import DataError
from kerasdiag.repair.progress import size as byte_size

# A model that needs a fifth of the generator's time: the usual case of a fast GPU before an
# ImageDataGenerator, and a repair has something to gain.
_AIM = 0.20
# Nearer than this, a busy machine cannot push it out of the range before it is used.
_NEAR = 0.03
_MOST_TRIES = 7
_MOST_FILTERS = 1024
_FIRST_FILTERS = 16
_BATCH_SIZE = 32
# Keras keeps ten batches ready, while others are in the making.
_BATCHES_AT_ONCE = 10
_BYTES_OF_A_PIXEL = 3 * 4  # float32


def fitting_batch_size(wanted: int | None, num_images: int, size: int) -> int:
    """Return how many images a batch has.

    Args:
        wanted: What the user asked for, or None.
        num_images: How many there are.
        size: Their height and width, in pixels.

    Raises:
        DataError: There are not so many images, or such batches do not fit into the memory.
    """
    if wanted is not None and wanted > num_images:
        raise DataError(
            f"--batch-size {wanted} is more than there are images ({num_images:,}). Expected at most as many: give fewer "
            "of them to a batch, or more --images."
        )
    batch_size = min(_BATCH_SIZE, num_images) if wanted is None else wanted
    needed, available = _BATCHES_AT_ONCE * batch_size * size**2 * _BYTES_OF_A_PIXEL, memory_limit().available_bytes
    if 0 < available < needed:  # 0: the system does not say
        raise DataError(
            f"{_BATCHES_AT_ONCE} batches of {batch_size} images of {size}x{size} are held at once. They take "
            f"{byte_size(needed)}, and {byte_size(available)} of memory are left. Choose a smaller --batch-size or --size."
        )
    return batch_size


@dataclass(frozen=True)
class SizedModel:
    """A model and what its step costs.

    Attributes:
        model: The model.
        filters: Filters of its first convolution.
        step_s: Step on a batch that lies in memory, in seconds.
    """

    model: Any
    filters: int
    step_s: float


def size_model(
    make: Callable[[int], Any],
    step_s: Callable[[Any], float],
    batch_s: float,
    on_try: Callable[[SizedModel], None] = lambda _: None,
) -> SizedModel:
    """Return a model whose step takes about a fifth of ``batch_s``.

    The cost of a step grows with the square of the filters, more slowly where it is small; so each
    try starts from the one before.

    Args:
        make: Makes a model with so many filters.
        step_s: Measures its step on a batch in memory, in seconds.
        batch_s: What the generator at its best needs for a batch, in seconds.
        on_try: Called with each model that was measured.

    Returns:
        The nearest of the models that were tried; the smallest or largest possible one may still
        be out of the range.
    """
    filters = _FIRST_FILTERS
    tried: dict[int, SizedModel] = {}
    while len(tried) < _MOST_TRIES and filters not in tried:
        model = make(filters)
        found = tried[filters] = SizedModel(model, filters, step_s(model))
        on_try(found)
        share = found.step_s / batch_s
        if abs(share - _AIM) <= _NEAR:
            break
        factor = min(4.0, max(0.25, (_AIM / share) ** 0.5))
        filters = _between(tried, min(_MOST_FILTERS, max(1, round(filters * factor))), batch_s)
    return min(tried.values(), key=lambda one: abs(one.step_s / batch_s - _AIM))


def _between(tried: dict[int, SizedModel], filters: int, batch_s: float) -> int:
    """Move a guess between the largest model that is too fast and the smallest that is too slow."""
    fast = [known for known, one in tried.items() if one.step_s / batch_s < _AIM]
    slow = [known for known, one in tried.items() if one.step_s / batch_s >= _AIM]
    if fast and slow and not max(fast) < filters < min(slow):
        return (max(fast) + min(slow)) // 2
    return filters
