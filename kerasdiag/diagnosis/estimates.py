"""Ratios of sums over steps, with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerasdiag.diagnosis.verdict import MIN_MEASURED_STEPS

if TYPE_CHECKING:
    import numpy as np

BOOTSTRAP_RESAMPLES = 1000
INTERVAL_LEVEL = 0.95
# With several workers the batches come in bursts; a block must be longer than a burst.
MIN_BLOCK_ROWS = 8


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; None where there are too few steps for one."""

    value: float
    interval: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return both ready for JSON."""
        return {"value": self.value, "interval": list(self.interval) if self.interval else None}


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate | None:
    """Return the sum of some column over the sum of another one, or None where the second is nothing.

    A ratio of sums, not the mean of ratios and no ratio of medians: a loader that delivers in bursts makes few steps
    wait long.

    Args:
        numerators: One entry for each row of the measured steps, in order.
        denominators: The same.
    """
    total = sum(denominators)
    if total <= 0:
        return None
    return Estimate(sum(numerators) / total, _interval(numerators, denominators))


def _interval(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval by a moving-block bootstrap.

    Neighbouring waits depend on each other (a full queue serves several steps), so blocks of
    neighbours are drawn instead of single steps (Kuensch 1989). The draws are seeded: the same
    profile gives the same interval.
    """
    import numpy as np  # here, so that `import kerasdiag` stays fast

    rows = len(numerators)
    if rows < MIN_MEASURED_STEPS:
        return None
    block = min(max(MIN_BLOCK_ROWS, round(rows**0.5)), rows // 2)
    over, under = _block_sums(np.asarray(numerators), block), _block_sums(np.asarray(denominators), block)
    random = np.random.default_rng(20)
    drawn = random.integers(0, rows - block + 1, size=(BOOTSTRAP_RESAMPLES, -(-rows // block)))
    ratios = over[drawn].sum(axis=1) / under[drawn].sum(axis=1)
    tail = (1 - INTERVAL_LEVEL) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _block_sums(values: np.ndarray[Any, Any], block: int) -> np.ndarray[Any, Any]:
    """Sum of each run of ``block`` neighbours; shape (rows,) to (rows - block + 1,)."""
    import numpy as np

    running = np.concatenate([[0.0], np.cumsum(values)])
    sums: np.ndarray[Any, Any] = running[block:] - running[:-block]
    return sums
