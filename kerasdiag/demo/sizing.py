"""Find a model of the size that shows the story on this machine, whatever its cores and GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any  # models

# A model that needs a fifth of the generator's time: the usual case of a fast GPU before an
# ImageDataGenerator, and a repair has something to gain.
_AIM = 0.20
# Nearer than this, a busy machine cannot push it out of the range before it is used.
_NEAR = 0.03
_MOST_TRIES = 7
_MOST_FILTERS = 1024
_FIRST_FILTERS = 16


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
