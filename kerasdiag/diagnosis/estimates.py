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


class Ratios:
    """Ratios of sums over the same rows; the draws of their intervals are made once.

    Neighbouring waits depend on each other (a full queue serves several steps), so an interval comes from a moving-block
    bootstrap: blocks of neighbours are drawn instead of single steps (Kuensch 1989). The draws are seeded: the same
    profile gives the same interval.

    Args:
        rows: How many rows there are.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._block = min(max(MIN_BLOCK_ROWS, round(rows**0.5)), rows // 2)
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

        if self._rows < MIN_MEASURED_STEPS:
            return None
        if self._drawn is None:
            random = np.random.default_rng(20)
            shape = (BOOTSTRAP_RESAMPLES, -(-self._rows // self._block))
            self._drawn = random.integers(0, self._rows - self._block + 1, size=shape)
        over, under = (self._block_sums(np.asarray(column)) for column in (numerators, denominators))
        ratios = over[self._drawn].sum(axis=1) / under[self._drawn].sum(axis=1)
        tail = (1 - INTERVAL_LEVEL) / 2
        low, high = np.quantile(ratios, [tail, 1 - tail])
        return float(low), float(high)

    def _block_sums(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Sum of each run of neighbours; shape (rows,) to (rows - block + 1,)."""
        import numpy as np

        running = np.concatenate([[0.0], np.cumsum(values)])
        sums: np.ndarray[Any, Any] = running[self._block :] - running[: -self._block]
        return sums


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate | None:
    """Return one ratio; see ``Ratios.of``."""
    return Ratios(len(numerators)).of(numerators, denominators)
