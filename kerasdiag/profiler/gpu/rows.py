"""Samples of one GPU that a run of days does not let grow without bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional  # Python 3.9 evaluates Row

MAX_ROWS = 4096  # per GPU: at 0.2 s the first merge comes after 13.6 minutes, a day ends at one row per 25.6 s

Row = tuple[float, tuple[Optional[float], ...]]  # time in seconds; one value per column


class Rows:
    """Rows in the order of time, fewer than ``MAX_ROWS``.

    When they are full, neighbours are merged in pairs and every later row stands for twice as many
    samples: all rows weigh the same, so sums and means over a run of days stay right.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._unmerged: list[Row] = []  # samples of the row that is being filled
        self._samples_per_row = 1

    def append(self, row: Row) -> None:
        """Add the sample of one moment."""
        self._unmerged.append(row)
        if len(self._unmerged) < self._samples_per_row:
            return
        self._rows.append(_merge(self._unmerged))
        self._unmerged = []
        if len(self._rows) >= MAX_ROWS:
            self._rows = [_merge(self._rows[start : start + 2]) for start in range(0, len(self._rows), 2)]
            self._samples_per_row *= 2

    def so_far(self) -> list[Row]:
        """Return all rows, the one that is being filled too."""
        return self._rows + ([_merge(self._unmerged)] if self._unmerged else [])


def _merge(rows: Sequence[Row]) -> Row:
    """Return one row: the first time stamp, and per column the mean of what was measured."""
    known = ([value for value in column if value is not None] for column in zip(*(values for _, values in rows)))
    return rows[0][0], tuple(sum(values) / len(values) if values else None for values in known)
