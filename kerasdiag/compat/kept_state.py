"""State of a training that lies outside of variables and that a step moves, put back afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from kerasdiag.compat.models import keras_package, layers_of

# Any stands for foreign objects throughout: models, modules and tensors of whichever Keras runs.

_GONE = object()  # stands for an attribute that is not there
_GLOBAL_SEED_GENERATOR = "global_seed_generator"


@contextmanager
def attributes_kept(model: Any) -> Iterator[None]:
    """Put back what attributes of the model, its layers, schedule, losses and metrics refer to: counters, flags.

    A step of TensorFlow runs Python when it is traced, one of torch each time. What the first step builds stays as it
    is: to take back that it is built, and not its variables, would have Keras make these twice.
    """
    parts = [*parts_of(model), *_trained_with(model)]
    kept = [(vars(one), dict(vars(one))) for one in parts if hasattr(one, "__dict__") and _is_built(one)]
    try:
        yield
    finally:
        for attributes, before in kept:
            for name in [*attributes]:
                if name not in before:
                    del attributes[name]
            for name, value in before.items():
                if attributes.get(name, _GONE) is not value:
                    attributes[name] = value


@contextmanager
def global_seed_kept(model: Any) -> Iterator[None]:
    """Put back the generator of seeds that Keras 3 draws from wherever a random operation is given none."""
    package = keras_package(model)
    state = sys.modules.get(f"{package[0]}.src.backend.common.global_state") if package is not None else None
    if state is None:  # Keras 2
        yield
        return
    generator = state.get_global_attribute(_GLOBAL_SEED_GENERATOR)
    value = None if generator is None else np.asarray(generator.state).copy()
    try:
        yield
    finally:
        state.set_global_attribute(_GLOBAL_SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(value)


@contextmanager
def buffers_kept(model: Any) -> Iterator[None]:
    """Put back the buffers of torch modules, which are no variables of Keras, and the gradients."""
    torch = sys.modules["torch"]
    modules = parts_of(model)
    buffers = [
        (module._buffers, name, buffer, buffer.detach().clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    parameters = {id(one): one for module in modules for one in module._parameters.values() if one is not None}
    # A step makes new gradients and leaves the old ones as they are.
    gradients = [(one, one.grad) for one in parameters.values()]
    try:
        yield
    finally:
        with torch.no_grad():
            for owner, name, buffer, value in buffers:
                buffer.copy_(value)
                owner[name] = buffer
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _trained_with(model: Any) -> list[Any]:
    """Schedule, losses and metrics, as far as they are found; the optimizer's own state is its variables."""
    loss = getattr(model, "loss", None)
    losses = list(loss.values()) if isinstance(loss, dict) else loss if isinstance(loss, (list, tuple)) else [loss]
    metrics = [one for metric in getattr(model, "metrics", ()) for one in (metric, *getattr(metric, "metrics", ()))]
    schedule = getattr(getattr(model, "optimizer", None), "_learning_rate", None)
    return [one for one in (schedule, *losses, *metrics) if one is not None]


def _is_built(one: Any) -> bool:
    return all(getattr(one, name, True) is not False for name in ("built", "_built"))


def parts_of(model: Any) -> list[Any]:
    """The model, its layers and, on torch, the modules within them."""
    torch = sys.modules.get("torch")
    found: list[Any] = []
    for one in (model, *layers_of(model)):
        found += one.modules() if torch is not None and isinstance(one, torch.nn.Module) else [one]
    return list({id(one): one for one in found}.values())
