"""What tf.data itself knows of a running pipeline: how long each operation has worked.

``tf.data.experimental.get_model_proto`` (TensorFlow 2.17 and newer) reads the model that autotuning keeps, in
milliseconds and without touching the pipeline.
"""

from __future__ import annotations

import sys
from typing import Any  # TensorFlow has no types

from kerasdiag.stage_timing import InputStages, StageTime

SOURCE = "tf.data model"
# Nodes of the model that are no operation of anybody's.
_PLUMBING = ("Root", "MaxIntraOpParallelism", "PrivateThreadPool", "Model", "Options", "AssertCardinality")


def is_known() -> bool:
    """Whether this TensorFlow tells what it knows."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and hasattr(tensorflow.data.experimental, "get_model_proto")


def read_model(iterator: Any) -> InputStages | None:
    """Return the operations of a running pipeline, in the order in which the data pass them.

    Args:
        iterator: The iterator that the training reads.

    Returns:
        Seconds for each batch that left the pipeline, or None where there is no model: autotuning is off, or nothing
        has been read.
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
    stages = []
    for node in _downstream(model, model.output):
        if node.name in _PLUMBING:
            continue
        threads = next((int(one.state_value) for one in node.parameters if one.name == "parallelism"), 1)
        stages.append(StageTime(str(node.name), node.processing_time * 1e-9 / batches, None, max(1, threads)))
    return InputStages("batch", SOURCE, tuple(stages), batches) if stages else None


def _downstream(model: Any, key: int) -> list[Any]:
    """Nodes below a key, sources first."""
    node = model.nodes[key]
    return [one for below in node.inputs for one in _downstream(model, below)] + [node]
