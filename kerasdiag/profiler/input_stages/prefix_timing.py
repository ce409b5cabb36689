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
    until_s = clock() + budget_s
    final = _length(chain[-1])
    if isinstance(final, str):
        return f"the dataset is {final}"
    stages: list[StageTime] = []
    before_s = 0.0
    for place, one in enumerate(chain):
        length = _length(one)
        if isinstance(length, str):
            return f"{compat.operation_name(one)} is {length}"
        share_s = max(0.05, (until_s - clock()) / (len(chain) - place))
        each_s = _seconds_per_element(one, share_s, clock)
        per_batch_s = each_s * length / final
        stages.append(StageTime(compat.operation_name(one), max(0.0, per_batch_s - before_s), None, 1))
        before_s = max(before_s, per_batch_s)
    return InputStages("batch", SOURCE, tuple(stages), min(final, MOST_ELEMENTS))


def _length(dataset: Any) -> int | str:
    """Number of elements, or why there is none to calculate with."""
    length = int(dataset.cardinality())
    if length > 0:
        return length
    # tf.data.INFINITE_CARDINALITY, tf.data.UNKNOWN_CARDINALITY
    return {-1: "endless", -2: "of unknown length"}.get(length, "empty")


def _seconds_per_element(dataset: Any, share_s: float, clock: Callable[[], float]) -> float:
    iterator = iter(dataset)
    next(iterator)  # opening files and filling buffers
    begin_s, count = clock(), 0
    for _ in range(MOST_ELEMENTS):
        try:
            next(iterator)
        except StopIteration:
            break
        count += 1
        if clock() - begin_s > share_s:
            break
    return (clock() - begin_s) / count if count else 0.0
