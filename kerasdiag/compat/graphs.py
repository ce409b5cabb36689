"""The graph of layers of a model of each Keras."""

from __future__ import annotations

from typing import Any

from kerasdiag.compat.models import is_of_keras

# Any stands for foreign objects throughout: models and layers of whichever Keras runs.


def is_sequential(model: Any) -> bool:
    """Tell whether data pass the layers of a model in their order."""
    return _has_base(model, "Sequential")


def is_graph(model: Any) -> bool:
    """Tell whether the layers of a model and their order are known: no subclass with a ``call`` of its own."""
    own = next((base for base in type(model).__mro__ if "call" in vars(base)), None)
    return _has_base(model, "Functional") and own is not None and is_of_keras(own)


def trains_as_keras_does(model: Any) -> bool:
    """Tell whether a model trains as Keras' own do: no subclass has a ``train_step``."""
    return is_of_keras(next(base for base in type(model).__mro__ if "train_step" in vars(base)))


def input_layers(model: Any) -> list[Any]:
    """Return the layers through which data come into a model that is a graph."""
    histories = [one._keras_history for one in model.inputs]
    return [getattr(one, "operation", None) or getattr(one, "layer", None) for one in histories]


def next_layers(model: Any, layer: Any) -> list[Any]:
    """Return what computes on the output of a layer within a model that is a graph: layers, or operations."""
    nodes = layer._outbound_nodes
    followers = [getattr(node, "operation", None) or getattr(node, "layer", None) for node in nodes]
    # A layer may lie in several models, and has the nodes of all.
    own = {id(one) for one in (getattr(model, "operations", None) or model.layers)}
    return list({id(one): one for one in followers if id(one) in own}.values())


def loss_name(model: Any) -> str | None:
    """Return the name of Keras' own loss that a model was compiled with, as ``sparse_categorical_crossentropy``.

    None for several, for one that passes over a class, and for anybody else's.
    """
    loss = getattr(model, "loss", None)
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        loss = loss[0]
    if isinstance(loss, str):
        return loss
    is_own = is_of_keras(loss if hasattr(loss, "__name__") else type(loss))  # somebody's may do anything
    name = getattr(loss, "__name__", None) or getattr(loss, "name", None)
    ignores = (getattr(loss, "ignore_class", None), getattr(loss, "_fn_kwargs", {}).get("ignore_class"))
    return name if is_own and ignores == (None, None) and isinstance(name, str) else None


def _has_base(model: Any, name: str) -> bool:
    return any(base.__name__ == name and is_of_keras(base) for base in type(model).__mro__)
