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
MIN_BLOCK_STEPS = 8
MIN_ROWS = 5  # fewer cannot be drawn in different ways


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; None where there are too few steps for one."""

    value: float
    interval: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return both ready for JSON."""
        return {"value": self.value, "interval": list(self.interval) if self.interval else None}


class Ratios:
    """Ratios of sums over the same rows; the draws of their intervals are made once.

    Neighbouring waits depend on each other (a full queue serves several steps), so an interval comes from a circular
    block bootstrap: blocks of neighbours are drawn instead of single steps, and the last row has the first one as its
    neighbour, so that all rows are drawn equally often (Politis and Romano 1992). The draws are seeded: the same profile
    gives the same interval.

    Args:
        rows: How many rows there are.
        steps: How many steps they hold, where that is not one each.
    """

    def __init__(self, rows: int, steps: int | None = None) -> None:
        self._rows = rows
        self._steps = rows if steps is None else steps
        least = -(-MIN_BLOCK_STEPS * rows // max(1, self._steps))
        self._block = min(max(least, round(rows**0.5)), rows // 2)
        self._drawn: np.ndarray[Any, Any] | None = None

    def of(self, numerators: Sequence[float], denominators: Sequence[float]) -> Estimate | None:
        """Return the sum of some column over the sum of another one, or None where the second is nothing.

        A ratio of sums, not the mean of ratios and no ratio of medians: a loader that delivers in bursts makes few
        steps wait long.

        Args:
            numerators: One entry for each row of the measured steps, in order.
            denominators: The same.
        """
        total = sum(denominators)
        if total <= 0:
            return None
        return Estimate(sum(numerators) / total, self._interval(numerators, denominators))

    def _interval(self, numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, float] | None:
        import numpy as np  # here, so that `import kerasdiag` stays fast

        if self._steps < MIN_MEASURED_STEPS or self._rows < MIN_ROWS:
            return None
        if self._drawn is None:
            random = np.random.default_rng(20)
            self._drawn = random.integers(0, self._rows, size=(BOOTSTRAP_RESAMPLES, -(-self._rows // self._block)))
        over, under = (self._sums(np.asarray(column), self._drawn) for column in (numerators, denominators))
        ratios = over / under
        tail = (1 - INTERVAL_LEVEL) / 2
        low, high = np.quantile(ratios, [tail, 1 - tail])
        return float(low), float(high)

    def _sums(self, values: np.ndarray[Any, Any], drawn: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Sums over blocks that begin at ``drawn``, (resamples, blocks), the last cut so that there are ``rows`` in all."""
        last = self._rows - self._block * (drawn.shape[1] - 1)
        whole, cut = (_sums_of_runs(values, length) for length in (self._block, last))
        sums: np.ndarray[Any, Any] = whole[drawn[:, :-1]].sum(axis=1) + cut[drawn[:, -1]]
        return sums


def _sums_of_runs(values: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    """Sum of as many neighbours from each row on, in a circle; shape (rows,) to (rows,)."""
    import numpy as np

    running = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[: length - 1]]))])
    sums: np.ndarray[Any, Any] = running[length:] - running[:-length]
    return sums


def ratio(numerators: Sequence[float], denominators: Sequence[float], steps: int | None = None) -> Estimate | None:
    """Return one ratio; see ``Ratios``."""
    return Ratios(len(numerators), steps).of(numerators, denominators)
