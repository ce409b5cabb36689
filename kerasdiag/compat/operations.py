"""The operations of TensorFlow's own graphs."""

from __future__ import annotations

from typing import Any  # TensorFlow has no types


def nodes_of(graph: Any) -> list[Any]:
    """Return the operations of a function's graph, and of the functions that it calls."""
    definition = graph.as_graph_def()
    return [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
