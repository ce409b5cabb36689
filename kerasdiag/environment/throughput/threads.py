"""How much work threads get done, and how long they wait for the interpreter's lock meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Optional

Work = Callable[[], None]  # does one image


class Pace(NamedTuple):
    """What so many threads got done.

    Attributes:
        threads: How many.
        images_per_s: By all of them together.
        image_s: Seconds that one of them took for an image.
        cpu_s: Seconds of a core among them.
        blocked_s: Seconds among them that it neither ran nor wanted only a core: it waited for the lock. None
            where the system does not tell waiting for a core from waiting for a lock.
    """

    threads: int
    images_per_s: float
    image_s: float
    cpu_s: float
    blocked_s: Optional[float]


def pace_of(make_work: Callable[[], Work], threads: int, seconds: float) -> Pace:
    """Let threads do images for so long, each its own, and return their pace.

    Args:
        make_work: Called once for each thread; what it returns does one image.
        threads: How many.
        seconds: For how long; each finishes its last image.

    Raises:
        Exception: Whatever the work raises.
    """
    start = threading.Barrier(threads)
    done: list[_Done] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work = make_work()
            work()  # what is allocated or looked up once
            start.wait()
            done.append(_count(work, seconds))
        except BaseException as error:
            errors.append(error)
            start.abort()

    running = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    real = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    if errors:
        raise (real or errors)[0]
    images = sum(one.images for one in done)
    blocked = None
    if all(one.queued_s is not None for one in done):
        blocked = sum(max(0.0, one.wall_s - one.cpu_s - (one.queued_s or 0.0)) for one in done) / images
    return Pace(
        threads,
        sum(one.images / one.wall_s for one in done),
        sum(one.wall_s for one in done) / images,
        sum(one.cpu_s for one in done) / images,
        blocked,
    )


class _Done(NamedTuple):
    images: int
    wall_s: float
    cpu_s: float
    queued_s: Optional[float]  # ready to run, and no core was free


def _count(work: Work, seconds: float) -> _Done:
    images, queued = 0, _queued_s()
    cpu_s, begin = time.thread_time(), time.perf_counter()
    end = begin + seconds
    while True:
        work()
        images += 1
        now = time.perf_counter()
        if now >= end:
            break
    cpu_s = time.thread_time() - cpu_s
    after = _queued_s()
    return _Done(images, now - begin, cpu_s, None if queued is None or after is None else after - queued)


def _queued_s() -> float | None:
    """Seconds that this thread was ready and had no core, as Linux counts them; None where nothing counts them."""
    try:
        with open("/proc/thread-self/schedstat", "rb", buffering=0) as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
