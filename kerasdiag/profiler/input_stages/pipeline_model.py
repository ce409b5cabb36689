"""What tf.data itself knows of a running pipeline: how long each operation has worked.

``tf.data.experimental.get_model_proto`` (TensorFlow 2.17 and newer) reads the model that autotuning keeps, in
milliseconds and without touching the pipeline. Each of its nodes counts its own elements and the time it worked for
them, since it was made: iterators that end are forgotten, and those of the next file or epoch begin at zero. So an
operation's cost is its time for one element, times the elements of it that a batch needs.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any  # TensorFlow has no types

from kerasdiag.stage_timing import InputStages, StageTime

SOURCE = "tf.data model"
# Nodes of the model that are no operation of anybody's.
_PLUMBING = ("Root", "MaxIntraOpParallelism", "PrivateThreadPool", "Model", "Options", "AssertCardinality")
# NodeClass of tensorflow/core/framework/model.proto: operations that read a dataset made for each of their inputs, and
# those with threads of their own.
_INTERLEAVES, _ASYNC_INTERLEAVES = 1, 2
_UNKNOWN_RATIO, _ASYNC_UNKNOWN_RATIO = 5, 6
_ASYNC = (_ASYNC_INTERLEAVES, 4, _ASYNC_UNKNOWN_RATIO)
_READS_BACK = ("Cache", "Snapshot")  # from the second time on they need nobody


def is_known() -> bool:
    """Whether this TensorFlow tells what it knows."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and hasattr(tensorflow.data.experimental, "get_model_proto")


def read_model(iterator: Any) -> InputStages | None:
    """Return the operations of a running pipeline, in the order in which the data pass them.

    Args:
        iterator: The iterator that the training reads.

    Returns:
        Seconds for each batch that leaves the pipeline, or None where the model does not tell: autotuning is off, nothing
        has been read, or an operation has been made just now.
    """
    tensorflow = sys.modules["tensorflow"]
    try:
        model = tensorflow.data.experimental.get_model_proto(iterator)
    except Exception:  # NotFoundError: no model is kept; TypeError: the iterator of a strategy
        return None
    return stages_of(model)


def stages_of(model: Any) -> InputStages | None:
    """Return the operations of a ModelProto; see ``read_model``."""
    root = model.nodes.get(model.output) if model.output in model.nodes else None
    batches = 0 if root is None else int(root.num_elements)
    if not batches:
        return None
    stages: list[StageTime] = []
    walk = _Walk(model, stages)
    if not walk.along([root], needed=1.0, threads=1) or not stages:
        return None
    missed = {walk.incomplete: "it had delivered everything by then"} if walk.incomplete else {}
    return InputStages("batch", SOURCE, tuple(stages), batches, not_measured=missed)


class _Walk:
    """Goes from the batches that leave a pipeline to its sources.

    Args:
        model: The ModelProto.
        stages: Where the operations are put, sources first.

    Attributes:
        incomplete: What could not be priced because it had delivered everything, None if there is nothing.
    """

    def __init__(self, model: Any, stages: list[StageTime]) -> None:
        self._model = model
        self._stages = stages
        self.incomplete: str | None = None

    def along(self, nodes: list[Any], needed: float, threads: int) -> bool:
        """Price the same operation of one or several iterators, after all that it reads; return whether all is known.

        Args:
            nodes: Several below an interleave: each open file, say, has its own.
            needed: How many elements of them all a batch needs.
            threads: How many of the iterators are read at once.
        """
        begun = [one for one in nodes if one.num_elements]
        nodes = [one for one in begun if not _has_lost_its_input(one)] or begun
        if not nodes:
            return False
        if _has_lost_its_input(nodes[0]):
            self.incomplete = f"what lies before {operation_of(nodes[0].name)}"
        node, elements = nodes[0], sum(one.num_elements for one in nodes)
        seconds = sum(one.processing_time for one in nodes) * 1e-9 * needed / elements
        if node.node_class in (_INTERLEAVES, _ASYNC_INTERLEAVES):
            waited_s = self._below_interleave(nodes, needed, elements, threads)
            if waited_s is None:
                return False
            threads = max(threads, self._read_at_once(nodes))
            seconds = max(0.0, seconds - waited_s)
        else:
            below = needed * node.ratio if node.ratio else None
            for inputs in zip_longest(*(self._inputs(one) for one in nodes)):
                if node.name == "Concatenate":  # its first part may be over
                    self._along_what_may_be_over(inputs, needed / elements, threads)
                elif not self._along_groups(inputs, below, needed / elements, threads):
                    return False
            threads = max(_parallelism(node), threads)
        if node.name not in _PLUMBING:
            tuned = any(one.name == "parallelism" and one.tunable for one in node.parameters)
            self._stages.append(StageTime(operation_of(node.name), seconds, None, threads, tuned))
        return True

    def _below_interleave(self, nodes: list[Any], needed: float, elements: int, threads: int) -> float | None:
        """Price what names the datasets to read, the first input, and the datasets that are open now, all others.

        Returns:
            Seconds among the interleave's own in which it waited for threads of theirs; None where something is not known.
        """
        inputs = [self._inputs(one) for one in nodes]
        opened = [below for one in inputs for below in one[1:] if below.num_elements]
        if not opened:
            return None
        # Where no more will be opened, what has named them is over.
        self._along_what_may_be_over([one[0] for one in inputs if one], needed / elements, threads)
        first = len(self._stages)
        if not self._along_groups(opened, needed, 0.0, max(threads, self._read_at_once(nodes))):
            return None
        is_waited_for = any(one.node_class in _ASYNC for one in opened)
        return sum(one.wall_s for one in self._stages[first:]) if is_waited_for else 0.0

    def _along_what_may_be_over(self, nodes: Iterable[Any], each: float, threads: int) -> None:
        incomplete = self.incomplete
        self._along_groups(nodes, None, each, threads)
        self.incomplete = incomplete

    def _read_at_once(self, nodes: list[Any]) -> int:
        """How many datasets interleaves read at once: they may have more threads than datasets."""
        if nodes[0].node_class != _ASYNC_INTERLEAVES:
            return 1
        return max(1, sum(min(_parallelism(one), len(one.inputs) - 1) for one in nodes))

    def _along_groups(self, nodes: Iterable[Any], needed: float | None, each: float, threads: int) -> bool:
        """Go on along nodes that do not all have the same operation.

        Args:
            nodes: Inputs in the same place.
            needed: How many of their elements a batch needs; None where only counting tells.
            each: What one that they have delivered stands for, if so.
            threads: See ``along``.
        """
        groups = defaultdict(list)
        for one in nodes:
            if one is not None:
                groups[one.name].append(one)
        counts = {name: sum(one.num_elements for one in group) for name, group in groups.items()}
        in_all = sum(counts.values())
        if not in_all:
            return not groups
        first = len(self._stages)
        for name, group in groups.items():
            if not self.along(group, (each if needed is None else needed / in_all) * counts[name], threads):
                del self._stages[first:]
                return False
        return True

    def _inputs(self, node: Any) -> list[Any]:
        return [self._model.nodes[key] for key in node.inputs]


def operation_of(name: str) -> str:
    """Name of an operation without the version of its kernel: ``BatchV2`` is ``Batch``."""
    return re.sub(r"V\d+$", "", name)


def _has_lost_its_input(node: Any) -> bool:
    """Whether an operation has outlived what it read: the source has ended, and a shuffle, say, still has elements."""
    is_source = not node.ratio and node.node_class not in (_UNKNOWN_RATIO, _ASYNC_UNKNOWN_RATIO)
    return not node.inputs and not is_source and not any(one in node.name for one in _READS_BACK)


def _parallelism(node: Any) -> int:
    return max(1, next((int(one.state_value) for one in node.parameters if one.name == "parallelism"), 1))
