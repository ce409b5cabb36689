"""How many images a second a source gives when nobody holds it up: the ceiling of any training that reads from it."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any  # generators are foreign objects

import numpy as np
from numpy.typing import NDArray

from kerasdiag.random_streams import streams_kept

# Long enough that a garbage collection or a busy neighbour moves it by a few percent only.
WINDOW_S = 0.8
# A source that is slower than that is known well enough by what it gave until then.
MOST_S = 8.0
# Rows of one call: a worker that makes whole batches finishes too few of them in such a window.
_ROWS_PER_CALL = 4
_LEAST_CALLS, _LEAST_BATCHES = 3, 4


@dataclass(frozen=True)
class Rate:
    """What a source gives.

    Attributes:
        images_per_s: Images a second, by all threads together.
        cpu_s: Seconds of a core that an image took, in the threads that were watched; None where none was.
    """

    images_per_s: float
    cpu_s: float | None = None

    def at_most(self, workers: int, threads: int, cores: int) -> float:
        """Return what so many threads could give if they never met: the cores and the waiting divided among them.

        Args:
            workers: Threads that gave this rate.
            threads: Threads asked about.
            cores: Cores that the process may use.
        """
        by_waiting = self.images_per_s * threads / workers
        return by_waiting if not self.cpu_s else min(by_waiting, cores / self.cpu_s)


def rate_of_generator(generator: Any, workers: int, rows: NDArray[np.int64], window_s: float = WINDOW_S) -> Rate:
    """Measure an ImageDataGenerator iterator with so many threads, as Keras' workers are threads.

    Its counters, its order and the global random numbers stay as they are.

    Args:
        generator: The iterator.
        workers: Threads.
        rows: Rows to make, in this order, from the beginning again when they are through.
        window_s: Seconds to measure for at least.

    Raises:
        Exception: Whatever the generator raises on these rows.
    """
    chunks = np.array_split(rows, -(-len(rows) // _ROWS_PER_CALL))
    work = generator._get_batches_of_transformed_samples
    return rate_of_items([(functools.partial(work, chunk), len(chunk)) for chunk in chunks], workers, window_s)


def rate_of_items(items: Sequence[tuple[Callable[[], object], int]], workers: int, window_s: float = WINDOW_S) -> Rate:
    """Measure calls that each make some images, by so many threads. Global random numbers stay as they are.

    Args:
        items: Calls, and the images that each makes; from the beginning again when they are through.
        workers: Threads.
        window_s: Seconds to measure for at least.

    Raises:
        Exception: Whatever a call raises.
    """
    turns = itertools.cycle(items)
    take, stop = threading.Lock(), threading.Event()
    marks: list[list[tuple[float, int]]] = [[] for _ in range(workers)]
    errors: list[BaseException] = []
    cpu_s = [0.0] * workers

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                with take:
                    call, count = next(turns)
                before = time.thread_time()
                call()
                cpu_s[number] += time.thread_time() - before
                marks[number].append((time.perf_counter(), count))
                elapsed_s = marks[number][-1][0] - started
                if elapsed_s > MOST_S or (elapsed_s > window_s and len(marks[number]) >= _LEAST_CALLS):
                    return
        except BaseException as error:
            errors.append(error)
            stop.set()

    with streams_kept():
        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(workers)]
        started = time.perf_counter()
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            stop.set()  # Ctrl-C
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
    if errors:
        raise errors[0]
    made = sum(count for of_thread in marks for _, count in of_thread)
    # From the moment when all of them are at work until the first one stops.
    begin, end = max(of_thread[0][0] for of_thread in marks), min(of_thread[-1][0] for of_thread in marks)
    counted = sum(count for of_thread in marks for at, count in of_thread if begin < at <= end)
    rate = counted / (end - begin) if counted and end > begin else made / (time.perf_counter() - started)
    return Rate(rate, sum(cpu_s) / made)


def rate_of_batches(
    batches: Iterable[Any], images_in: Callable[[Any], int], warm_up: int, window_s: float = WINDOW_S
) -> Rate:
    """Measure something that makes batches ahead of who takes them, such as a ``tf.data.Dataset``.

    Args:
        batches: The batches, more than a window holds.
        images_in: Number of images in a batch.
        warm_up: Batches that may have been made ahead, before anybody looked at the clock.
        window_s: Seconds to measure for at least.
    """
    marks: list[tuple[float, int]] = []
    for batch in batches:
        marks.append((time.perf_counter(), images_in(batch)))
        begin = marks[min(warm_up, len(marks) - 1)][0]
        enough = len(marks) > warm_up + _LEAST_BATCHES and marks[-1][0] - begin > window_s
        if enough or marks[-1][0] - marks[0][0] > MOST_S:
            break
    first = warm_up if len(marks) > warm_up + _LEAST_BATCHES else 0
    images, taken_s = sum(count for _, count in marks[first + 1 :]), marks[-1][0] - marks[first][0]
    return Rate(images / taken_s if taken_s > 0 else float("inf"))
