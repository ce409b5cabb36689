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
    chain = _chain(dataset)
    objection = next(filter(None, map(_objection, chain)), None)
    if objection is not None:
        return objection
    until_s = clock() + budget_s
    final = _length(chain[-1])
    stages: list[StageTime] = []
    before_s = 0.0
    for place, one in enumerate(chain):
        length = _length(one)
        if length is None or final is None:
            return f"the length of {type(one).__name__} is not known"
        share_s = max(0.05, (until_s - clock()) / (len(chain) - place))
        each_s = _seconds_per_element(one, share_s, clock)
        per_batch_s = each_s * length / final
        stages.append(StageTime(operation_name(one), max(0.0, per_batch_s - before_s), None, 1))
        before_s = max(before_s, per_batch_s)
    return InputStages("batch", SOURCE, tuple(stages), min(final or 1, MOST_ELEMENTS))


def operation_name(dataset: Any) -> str:
    """Name of the operation that makes a dataset: ``_ParallelMapDataset`` is ``ParallelMap``."""
    return type(dataset).__name__.strip("_").replace("Dataset", "").replace("V2", "").replace("V1Adapter", "")


def _chain(dataset: Any) -> list[Any]:
    """The dataset and what it is made from, source first."""
    chain = [dataset]
    while getattr(chain[-1], "_input_dataset", None) is not None:
        chain.append(chain[-1]._input_dataset)
    return chain[::-1]


def _objection(dataset: Any) -> str | None:
    name = operation_name(dataset)
    if name in ("FlatMap", "Generator") or "Interleave" in name:
        return f"{name} may read a Python generator, which another iterator would consume"
    if name in ("Shuffle", "ShuffleAndRepeat") and getattr(dataset, "_reshuffle_each_iteration", True) is not False:
        return "shuffle draws the order of the next epoch from a seed that another iterator would use up"
    if name in ("Cache", "Snapshot", "Save"):
        return f"{name} would be filled by another iterator"
    if name == "Zip" or (hasattr(dataset, "_datasets") or hasattr(dataset, "_input_datasets")):
        return f"{name} reads several datasets"
    function = getattr(getattr(dataset, "_map_func", None), "function", None)
    graph = getattr(function, "graph", None)
    if graph is not None:
        kinds = {operation.type for operation in graph.get_operations()}
        if kinds & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}:
            return f"{name} calls Python, which may count its calls"
        tensorflow = sys.modules["tensorflow"]
        if any(one.dtype == tensorflow.resource for one in getattr(function, "captured_inputs", ())):
            return f"a function of {name} keeps state"
    return None


def _length(dataset: Any) -> int | None:
    length = int(dataset.cardinality())
    return length if length > 0 else None


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
