"""Waiting for the interpreter's lock: how long threads wait that hold it for a while, and the reverse.

The lock is a counter with one clerk. What a thread does beside it takes as long however many threads there are, so
that mean value analysis (Reiser and Lavenberg 1980) gives the mean wait. It takes the times at the lock as
exponential; threads that happen to keep in step wait less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasdiag.environment.throughput.threads import Pace

_STEPS = 30  # of the bisection: a billionth


def lock_wait_s(held_s: float, other_s: float, threads: int) -> float:
    """Return how long a thread waits for the lock at each image.

    Args:
        held_s: Seconds that it holds the lock for an image.
        other_s: Seconds that it takes for the rest of the image.
        threads: Threads that share the lock.
    """
    waiting = 0.0  # threads at the lock, the one that holds it included
    at_lock_s = held_s
    for number in range(1, threads + 1):
        at_lock_s = held_s * (1 + waiting)
        waiting = number * at_lock_s / max(at_lock_s + other_s, 1e-12)
    return at_lock_s - held_s


def held_fraction(paces: Sequence[Pace]) -> float | None:
    """Return which share of its work holds the lock (0-1), by how long several threads waited for it.

    A thread that waits for a core may hold the lock meanwhile: its time at the lock is as much longer as the rest.
    Whatever else stops threads looks like the lock, too, so that the least of the shares is the nearest.

    Args:
        paces: The same work by several numbers of threads.

    Returns:
        None where no number of threads above 1 was measured, or the system does not tell waiting for a lock.
    """
    shares = []
    for pace in paces:
        if pace.threads > 1 and pace.blocked_s is not None:
            low, high = 0.0, 1.0
            for _ in range(_STEPS):
                share = (low + high) / 2
                runs_s = max(0.0, pace.image_s - pace.blocked_s)
                if lock_wait_s(share * runs_s, (1 - share) * runs_s, pace.threads) < pace.blocked_s:
                    low = share
                else:
                    high = share
            shares.append((low + high) / 2)
    return min(shares, default=None)
