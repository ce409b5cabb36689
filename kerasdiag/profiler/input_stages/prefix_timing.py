"""How long each operation of a tf.data pipeline takes, by timing what lies before it: for TensorFlow before 2.17.

A sample of elements is read through each beginning of the chain of operations; what one takes longer than the one
before is the operation's. Pipelines that another iterator would change are left alone: those that read a Python
generator or call Python (it would be consumed, or counted), that draw a new order from a shared seed each time, or
whose functions keep state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any  # TensorFlow has no types

from kerasdiag import compat
from kerasdiag.stage_timing import InputStages, StageTime

SOURCE = "timed prefixes"
BUDGET_S = 2.0
MOST_ELEMENTS = 256
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
        budget_s: Seconds that it may take.
        clock: Seconds.
    """
    objection = compat.why_not_iterate(dataset)
    if objection is not None:
        return objection
    chain = compat.operations_of(dataset)
    needed = _needed_for_a_batch(chain)
    if isinstance(needed, str):
        return needed
    until_s = clock() + budget_s
    stages: list[StageTime] = []
    each_s = before_s = fill_s = 0.0
    count = 0
    for place, (one, elements) in enumerate(zip(chain, needed)):
        fill_s += each_s * _read_first(one)
        left_s = (until_s - clock()) / (len(chain) - place)
        if fill_s > left_s and fill_s > 0.05:
            break  # a shuffle's buffer, say: what lies before it is known, and it is what takes the time
        share_s = max(0.05, left_s - fill_s)
        each_s, count = _seconds_per_element(one, share_s, clock)
        per_batch_s = each_s * elements
        own_s = max(0.0, per_batch_s - before_s)
        stages.append(StageTime(compat.operation_name(one), own_s, tuned=_is_tuned(one)))
        before_s = max(before_s, per_batch_s)
    if not count:
        return "the dataset has not two batches"
    return InputStages("batch", SOURCE, tuple(stages), count)


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


def _seconds_per_element(dataset: Any, share_s: float, clock: Callable[[], float]) -> tuple[float, int]:
    """How long one element takes, and how many were read for that."""
    iterator = iter(dataset)
    next(iterator, None)  # opening files and filling buffers
    begin_s, count = clock(), 0
    for _ in range(MOST_ELEMENTS):
        try:
            next(iterator)
        except StopIteration:
            break
        count += 1
        if clock() - begin_s > share_s:
            break
    return ((clock() - begin_s) / count, count) if count else (0.0, 0)
