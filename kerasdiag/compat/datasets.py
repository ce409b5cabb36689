"""Chains of tf.data operations, and which of them must not be iterated beside a training."""

from __future__ import annotations

import sys
from typing import Any  # TensorFlow has no types

from kerasdiag.compat.operations import nodes_of

# What gives every iterator the same and notes nothing.
_SOURCES = {
    "Csv",
    "FixedLengthRecord",
    "Load",
    "Range",
    "SparseTensorSlice",
    "Tensor",
    "TensorSlice",
    "TextLine",
    "TFRecord",
}
_PYTHON_CALLS = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}


def operation_name(dataset: Any) -> str:
    """Name of the operation that makes a dataset: ``_ParallelMapDataset`` is ``ParallelMap``."""
    return type(dataset).__name__.strip("_").replace("Dataset", "").replace("V2", "").replace("V1Adapter", "")


def operations_of(dataset: Any) -> list[Any]:
    """Return the dataset and what it is made from, source first."""
    chain = [_without_adapter(dataset)]
    while getattr(chain[-1], "_input_dataset", None) is not None:
        chain.append(_without_adapter(chain[-1]._input_dataset))
    return chain[::-1]


def _without_adapter(dataset: Any) -> Any:
    """``tf.compat.v1.data`` wraps each operation."""
    while any(base.__name__ == "DatasetV1Adapter" for base in type(dataset).__mro__):
        dataset = dataset._dataset
    return dataset


def why_not_iterate(dataset: Any) -> str | None:
    """Return why another iterator over a dataset would change a training, or None.

    It would consume a Python generator, count the calls of a Python function, use up the seed of the next epoch's
    order, fill a cache, or move the state of a function.
    """
    chain = operations_of(dataset)
    objection = next(filter(None, map(_objection, chain)), None)
    source = operation_name(chain[0])
    if objection is None and source not in _SOURCES:
        return f"{source or type(chain[0]).__name__} is not known to give the same to another iterator"
    names = getattr(chain[0], "_filenames", None)  # TFRecord and its like read a dataset of names
    return objection or (why_not_iterate(names) if hasattr(names, "_variant_tensor") else None)


def _objection(dataset: Any) -> str | None:
    name = operation_name(dataset)
    if name in ("FlatMap", "Generator") or "Interleave" in name:
        return f"{name} may read a Python generator, which another iterator would consume"
    if name in ("Shuffle", "ShuffleAndRepeat") and _has_order_to_keep(dataset):
        return "shuffle draws the order of the next epoch from a seed that another iterator would use up"
    if name in ("Cache", "Snapshot", "Save"):
        return f"{name} would be filled by another iterator"
    return _objection_to_functions(dataset, name)


def _objection_to_functions(dataset: Any, name: str) -> str | None:
    try:
        # Of TensorFlow 2.10 to 2.21: what it reads, and what it maps, filters, scans, groups, reduces by. The answer
        # of the first is wrong behind ``apply``, which writes over a concatenation's inputs.
        if name in ("Concatenate", "Zip") or len(dataset._inputs()) > 1:
            return f"{name} reads several datasets"
        functions = [wrapper.function for wrapper in dataset._functions()]
        kinds = {node.op for function in functions for node in nodes_of(function.graph)}
    except Exception as fault:  # not where it was in the versions that were looked at
        return f"{name} cannot be looked into ({type(fault).__name__})"
    if kinds & _PYTHON_CALLS:
        return f"{name} calls Python, which may count its calls"
    tensorflow = sys.modules["tensorflow"]
    if any(one.dtype == tensorflow.resource for function in functions for one in function.captured_inputs):
        return f"a function of {name} keeps state"
    return None


def _has_order_to_keep(shuffled: Any) -> bool:
    """Whether a shuffled dataset draws a new, repeatable order each time: without any seed nobody could repeat it."""
    if getattr(shuffled, "_reshuffle_each_iteration", True) is False:
        return False
    try:
        return any(int(seed) for seed in (shuffled._seed, shuffled._seed2))
    except (AttributeError, TypeError, ValueError):  # not where it was in the versions that were looked at
        return True
