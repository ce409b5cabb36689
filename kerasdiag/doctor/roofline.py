"""The input roofline: how many images a second a machine can make of its files, by what one image costs it.

Four things limit workers that are threads of one interpreter, and the narrowest sets the pace:

- each worker alone: an image takes its time, waiting for the disk and for the interpreter's lock included;
- the cores: all workers together get no more of them than there are;
- the interpreter's lock: what holds it, one worker at a time does;
- the disk: it gives so many files a second, to however many readers.

Values in, values out; ``image_cost.py`` makes them of what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Optional

from kerasdiag.environment.throughput.facts import READ
from kerasdiag.environment.throughput.lock import lock_wait_s

LOCK = "the interpreter's lock"
MOST_WORKERS = 16
WORKERS_PER_CORE = 2
# The smallest number of workers that gives about as much as any is enough; autofix chooses by the same share.
ENOUGH = 0.95
# The lock is what limits where the input would be so much faster without it: more workers or cores bring nothing then.
_LOCK_GAIN = 1.1
_NO_TIME_S = 1e-9


@dataclass(frozen=True)
class ImageCost:
    """What one image costs.

    Attributes:
        stages: Seconds of a core for each stage.
        held: Seconds among them that hold the interpreter's lock.
        cores: Cores' worth of work that many threads get; less than there are where others work, too.
        wait_s: Seconds that reading it waits for the disk.
        files_per_s: Files a second that the disk gives at most, None where nobody knows.
        crowding: How many times as long the work takes when ``crowd`` threads do it: cores share their memory.
        crowd: See ``crowding``.
    """

    stages: Mapping[str, float]
    held: Mapping[str, float]
    cores: float
    wait_s: float = 0.0
    files_per_s: Optional[float] = None
    crowding: float = 1.0
    crowd: int = 2

    @property
    def work_s(self) -> float:
        """Seconds of a core."""
        return sum(self.stages.values())

    def without(self, stage: str) -> ImageCost:
        """Return the cost if this stage, or the lock, took no time."""
        if stage == LOCK:
            return replace(self, held={})
        rest = {name: seconds for name, seconds in self.stages.items() if name != stage}
        held = {name: seconds for name, seconds in self.held.items() if name != stage}
        if stage == READ:
            return replace(self, stages=rest, held=held, wait_s=0.0, files_per_s=None)
        return replace(self, stages=rest, held=held)


def images_per_s(cost: ImageCost, workers: int) -> float:
    """Return how many images a second so many workers give.

    Args:
        cost: What an image costs.
        workers: Threads that make batches.
    """
    crowd = min(1.0, (workers - 1) / max(1, cost.crowd - 1))
    slower = 1 + (cost.crowding - 1) * crowd
    work_s, held_s = cost.work_s * slower, sum(cost.held.values()) * slower
    other_s = cost.wait_s + max(0.0, work_s - held_s)
    alone = workers / max(_NO_TIME_S, other_s + held_s + lock_wait_s(held_s, other_s, workers))
    by_cores = cost.cores / max(_NO_TIME_S, work_s)
    by_disk = float("inf") if cost.files_per_s is None else cost.files_per_s
    return min(alone, by_cores, by_disk)


@dataclass(frozen=True)
class Roofline:
    """The most that the input gives.

    Attributes:
        images_per_s: Images a second.
        workers: The smallest number of workers that gives as much but for 5 % (``ENOUGH``).
        limited_by: The stage without which it would give the most more, or ``LOCK``.
        by_workers: Images a second by number of workers, from 1.
    """

    images_per_s: float
    workers: int
    limited_by: str
    by_workers: tuple[float, ...]


def roofline(cost: ImageCost, cores: int, seen: Mapping[int, float] | None = None) -> Roofline:
    """Return the most that the input gives, with how many workers, and what stands in the way of more.

    Args:
        cost: What an image costs.
        cores: Cores that the process may use; it decides how many workers are worth trying.
        seen: Number of threads -> images a second that so many gave from memory. No prediction is above it: where the
            machine was busy, what four threads gave is not what two would.
    """
    most = min(MOST_WORKERS, max(2, WORKERS_PER_CORE * cores))
    predicted = [images_per_s(cost, workers) for workers in range(1, most + 1)]
    by_workers = tuple(min(rate, _seen_by(seen or {}, number)) for number, rate in enumerate(predicted, 1))
    best = max(by_workers)
    workers = next(number for number, rate in enumerate(by_workers, 1) if rate >= ENOUGH * best)
    return Roofline(best, workers, _limit(cost, max(predicted), most), by_workers)


def _seen_by(seen: Mapping[int, float], workers: int) -> float:
    """What so many threads gave; between two numbers that were tried, on the line from one to the other."""
    below = max((number for number in seen if number <= workers), default=None)
    above = min((number for number in seen if number >= workers), default=None)
    if below is None or above is None:
        return float("inf")
    share = (workers - below) / max(1, above - below)
    return seen[below] + share * (seen[above] - seen[below])


def _limit(cost: ImageCost, best: float, most: int) -> str:
    def best_without(stage: str) -> float:
        freed = cost.without(stage)
        return max(images_per_s(freed, workers) for workers in range(1, most + 1))

    if best_without(LOCK) >= _LOCK_GAIN * best:
        return LOCK
    return max(dict.fromkeys((*cost.stages, READ)), key=best_without)
