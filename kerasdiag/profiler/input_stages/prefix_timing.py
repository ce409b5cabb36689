"""How long each operation of a tf.data pipeline takes, by timing what lies before it: for TensorFlow before 2.17.

A sample of elements is read through each beginning of the chain of operations; what one takes longer than the one
before is the operation's. Pipelines that another iterator would change are left alone: those that read a Python
generator or call Python (it would be consumed, or counted), that draw a new order from a shared seed each time, or
whose functions keep state.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any  # TensorFlow has no types

from kerasdiag import compat
from kerasdiag.stage_timing import InputStages, StageTime

SOURCE = "timed prefixes"
BUDGET_S = 2.0
MOST_ELEMENTS = 256
# Asking for an element from Python costs 0.1 ms. What is faster than this is asked for a chunk at a time.
SHORT_S = 0.001
CHUNK = 64
# What reads one element for each of its own, as long as it runs: what it leaves out or repeats changes the number of
# elements, and not what one costs.
_ONE_FOR_ONE = {
    "AssertCardinality", "DenseToRagged", "DenseToSparse", "IgnoreErrors", "Map", "Options", "ParallelMap", "Prefetch",
    "Repeat", "Restructured", "Scan", "Shuffle", "ShuffleAndRepeat", "Skip", "Sleep", "Take", "TakeWhile",
}  # fmt: skip


def time_prefixes(
    dataset: Any, budget_s: float = BUDGET_S, clock: Callable[[], float] = time.perf_counter
) -> InputStages | str:
    """Return the operations of a dataset with their times for each batch, or why they cannot be timed.

    Args:
        dataset: What ``fit`` was given.
        budget_s: Seconds that it may take; two elements of the first slow operation are the least.
        clock: Seconds.
    """
    objection = compat.why_not_iterate(dataset)
    if objection is not None:
        return objection
    chain = compat.operations_of(dataset)
    needed = _needed_for_a_batch(chain)
    if isinstance(needed, str):
        return needed
    # Options, wherever they were given, hold for the whole pipeline: each beginning of it is timed with all of them.
    options = dataset.options()
    timed = [(one, elements) for one, elements in zip(chain, needed) if compat.operation_name(one) != "Options"]
    until_s = clock() + budget_s
    price = _Price(clock)
    stages: list[StageTime] = []
    each_s = before_s = fill_s = 0.0
    count = 0.0
    for place, (one, elements) in enumerate(timed):
        fill_s += each_s * _read_first(one)
        left_s = (until_s - clock()) / (len(timed) - place)
        # Two iterators are filled; two elements are the least that is read.
        if 2 * fill_s + 2 * before_s / elements > max(left_s, 0.05):
            break  # What lies before is known, and it is what takes the time.
        found = _seconds_per_element(one.with_options(options), max(0.05, left_s - 2 * fill_s), price, clock)
        if found is None and place == len(timed) - 1:
            return "the dataset has not two batches"
        each_s, read = found or (0.0, 1)  # one element, which is repeated or taken apart
        count = read / elements
        own_s = max(0.0, each_s * elements - before_s)
        stages.append(StageTime(compat.operation_name(one), own_s, tuned=_is_tuned(one)))
        before_s = max(before_s, each_s * elements)
    missed = [f"{compat.operation_name(one)} and what comes after it" for one, _ in timed[len(stages) :]]
    why = "to fill a buffer, or to make two batches, takes longer than the time there is"
    return InputStages("batch", SOURCE, tuple(stages), max(1, int(count)), not_measured=dict.fromkeys(missed[:1], why))


def _needed_for_a_batch(chain: list[Any]) -> list[float] | str:
    """How many elements of each operation make one of the last, source first; or why that is not known."""
    needed = [1.0]
    for before, one in zip(chain[-2::-1], chain[:0:-1]):
        ratio = _read_for_one(before, one)
        if isinstance(ratio, str):
            return ratio
        needed.append(needed[-1] * ratio)
    return needed[::-1]


def _read_for_one(before: Any, one: Any) -> float | str:
    """How many elements an operation reads of the one before, for one of its own; or why that is not known."""
    name = compat.operation_name(one)
    if name in _ONE_FOR_ONE:
        return 1.0
    size = getattr(one, "_batch_size", getattr(one, "_batch_size_t", None))
    if size is not None:
        return float(size)
    lengths = int(before.cardinality()), int(one.cardinality())
    if min(lengths) > 0:
        return lengths[0] / lengths[1]
    return f"how many elements {name} reads for one of its own is not known"


def _read_first(one: Any) -> int:
    """How many elements an operation reads before it has one of its own."""
    attribute = {"Shuffle": "_buffer_size", "ShuffleAndRepeat": "_buffer_size", "Skip": "_count"}.get(
        compat.operation_name(one)
    )
    if attribute is None:
        return 0
    count, length = int(getattr(one, attribute, 0)), int(one._input_dataset.cardinality())
    return length if length >= 0 and not 0 <= count < length else max(0, count)


def _is_tuned(one: Any) -> bool:
    calls = getattr(one, "_num_parallel_calls", getattr(one, "_num_parallel_calls_t", None))
    return calls is not None and int(calls) == -1  # tf.data.AUTOTUNE


class _Price:
    """What asking costs: a dataset that is always ready shows it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        ready = sys.modules["tensorflow"].data.Dataset.range(10**9)
        self.element_s, _ = _pace(iter(ready), 0.02, clock)
        self.chunk_s, _ = _pace(iter(_in_chunks(ready)), 0.05, clock)


def _seconds_per_element(
    dataset: Any, share_s: float, price: _Price, clock: Callable[[], float]
) -> tuple[float, int] | None:
    """How long one element takes, and how many were read for that; None if there are not two."""
    iterator = iter(dataset)
    each_s, count = _pace(iterator, min(share_s, 0.02), clock)
    if not count:
        return None
    if each_s < SHORT_S:
        del iterator  # with its buffers
        chunk_s, chunks = _pace(iter(_in_chunks(dataset)), share_s, clock)
        if chunks:
            return max(0.0, chunk_s - price.chunk_s) / CHUNK, chunks * CHUNK
    else:
        more_s, more = _pace(iterator, share_s - count * each_s, clock, is_warm=True)
        each_s, count = (count * each_s + more * more_s) / (count + more), count + more
    return max(0.0, each_s - price.element_s), count


def _pace(iterator: Any, share_s: float, clock: Callable[[], float], *, is_warm: bool = False) -> tuple[float, int]:
    """Seconds for one of what an iterator gives, behind the first, and how many they were."""
    if not is_warm:
        next(iterator, None)  # opening files and filling buffers
    begin_s, count = clock(), 0
    while count < MOST_ELEMENTS and clock() - begin_s < share_s and next(iterator, None) is not None:
        count += 1
    return ((clock() - begin_s) / count if count else 0.0), count


def _in_chunks(dataset: Any) -> Any:
    """Let every ``CHUNK``-th element through: the others are read without Python, whatever their shapes."""
    is_last = sys.modules["tensorflow"].autograph.experimental.do_not_convert(
        lambda number, _: number % CHUNK == CHUNK - 1
    )
    return dataset.enumerate().filter(is_last)
