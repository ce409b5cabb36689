"""Reads of files that are not in memory, by several threads at the same time. For the child process."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence

from kerasdiag.environment.cold_reads import MAX_FILE_BYTES, forget, is_small_file
from kerasdiag.environment.throughput.facts import ReadRate

LEAST_FILES = 8  # below it, one slow read turns the rate


def read_side_by_side(
    files: Sequence[str], threads: int, max_bytes: int, seconds: float
) -> tuple[ReadRate | None, int]:
    """Evict files, verify it, and read those that are out of memory with so many threads.

    Args:
        files: Paths; nothing of them is kept.
        threads: How many at a time.
        max_bytes: Most bytes to read.
        seconds: When to stop.

    Returns:
        The rate, None where fewer than ``LEAST_FILES`` could be read cold; and the bytes that were read.
    """
    cold = [name for name in files if _is_cold(name)]
    turn, left, end = itertools.count(), [max_bytes], time.perf_counter() + seconds
    sizes: list[int] = []
    start = threading.Barrier(threads + 1)

    def run() -> None:
        start.wait()
        while time.perf_counter() < end and left[0] > 0:
            number = next(turn)
            if number >= len(cold):
                return
            try:
                with open(cold[number], "rb", buffering=0) as file:
                    sizes.append(len(file.read(MAX_FILE_BYTES)))
            except OSError:  # gone, or not ours
                continue
            left[0] -= sizes[-1]

    running = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    for thread in running:
        thread.join()
    took_s = time.perf_counter() - begin
    rate = ReadRate(threads, len(sizes) / took_s, len(sizes)) if len(sizes) >= LEAST_FILES and took_s > 0 else None
    return rate, sum(sizes)


def _is_cold(name: str) -> bool:
    try:
        return is_small_file(name) and bool(forget(name))
    except OSError:
        return False
