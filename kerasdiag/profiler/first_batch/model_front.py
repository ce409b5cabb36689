"""What images meet first in a model: the layers before all computing, followed as far as each is known."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from kerasdiag import compat
from kerasdiag.applications import family_of_layers
from kerasdiag.first_batch import ModelFront
from kerasdiag.profiler.first_batch.arrays import is_like_images

# Any stands for Keras' own objects: models, layers, variables.

# They give images on the scale on which they get them.
_KEEP_SCALE = (
    "InputLayer", "Resizing", "CenterCrop", "Cropping2D", "ZeroPadding2D", "Identity", "RandomFlip", "RandomRotation",
    "RandomZoom", "RandomTranslation", "RandomCrop", "RandomHeight", "RandomWidth", "RandomShear", "RandomContrast",
    "Dropout", "SpatialDropout2D", "Flatten", "Reshape",
)  # fmt: skip
_COMPUTE = (
    "Conv2D", "Convolution2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "Conv3D", "BatchNormalization",
    "LayerNormalization",
)  # fmt: skip
_MOST_LAYERS = 12  # among which one has a bias or a moving mean
_NESTED = 6  # models in models
_FRESH: weakref.WeakSet[Any] = weakref.WeakSet()  # models that were not trained when they were first seen


def front_of(model: Any) -> ModelFront:
    """Return what is known of the front of a model, its loss and its output. Reads a few small variables."""
    outputs = _output_shape(model)
    known: dict[str, Any] = {
        "loss": compat.loss_name(model),
        "outputs": outputs[-1] if outputs and isinstance(outputs[-1], int) else None,
        "output_rank": len(outputs) if outputs else None,
        "normalizes": any("Norm" in type(layer).__name__ for layer in compat.layers_of(model)),
    }
    if not compat.trains_as_keras_does(model):  # which may well prepare the images
        return ModelFront(**known)
    return _follow(model, known)


def _follow(model: Any, known: dict[str, Any]) -> ModelFront:
    """Go along the way of the images until a layer computes on them."""
    factor, offset, deviation = 1.0, 0.0, None
    for holder, layer in _way(model):
        kind = type(layer).__name__
        if layer is None or not compat.is_of_keras(type(layer)):
            break
        if kind == "Rescaling" and deviation is None:
            scale, shift = float(np.mean(layer.scale)), float(np.mean(layer.offset))
            factor, offset = factor * scale, offset * scale + shift
        elif kind == "Normalization" and deviation is None:
            deviation = _deviation(layer)
        elif kind in _COMPUTE:
            family = family_of_layers([one.name for one in holder.layers])
            module = family.module if family is not None else None
            trained = _came_trained(holder) and not _has_updates(model)
            return ModelFront(module, factor, offset, deviation, kind, is_trained=trained, **known)
        elif kind not in _KEEP_SCALE and kind != "Rescaling":
            break
    return ModelFront(None, factor, offset, deviation, **known)


def _way(model: Any, nested: int = _NESTED) -> Iterator[tuple[Any, Any]]:
    """Yield the layers that images pass, each with the model in which it lies; None where the way is not known."""
    if not nested:
        yield model, None
    elif compat.is_sequential(model):
        for layer in model.layers:
            yield from _through(model, layer, nested)
    elif compat.is_graph(model):
        inputs = [layer for layer in compat.input_layers(model) if is_like_images(_shape(layer))]
        followers = inputs
        while followers:
            if len(followers) > 1:
                yield model, None
                return
            yield from _through(model, followers[0], nested)
            followers = compat.next_layers(model, followers[0])
        if not inputs:
            yield model, None
    else:
        yield model, None


def _through(model: Any, layer: Any, nested: int) -> Iterator[tuple[Any, Any]]:
    is_model = hasattr(layer, "layers") and hasattr(layer, "fit")
    if is_model:
        yield from _way(layer, nested - 1)
    else:
        yield model, layer


def _has_updates(model: Any) -> bool:
    """Tell whether the model has trained since it was compiled, on whatever it was given: a run that goes on."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    return iterations is not None and bool(_numbers(iterations))


def _came_trained(model: Any) -> bool:
    """Tell whether a model has weights of a training that was not seen here to begin with fresh ones."""
    if not _is_trained(model):
        _FRESH.add(model)
    return model not in _FRESH


def _is_trained(model: Any) -> bool:
    """Tell whether the first layers of a model have been trained: biases and moving means of a fresh one are zero."""
    for layer in islice(model.layers, _MOST_LAYERS):
        for name in ("moving_mean", "bias"):
            variable = getattr(layer, name, None)
            if variable is not None and np.any(_numbers(variable)):
                return True
    return False


def _deviation(layer: Any) -> float | None:
    """Of the values that a Normalization layer was made for; None where nobody told it."""
    variance = layer.input_variance if layer.input_variance is not None else layer.variance
    mean = layer.input_mean if layer.input_mean is not None else layer.mean
    if variance is None or getattr(layer, "invert", False):
        return None
    variances = _numbers(variance)
    if (variances == 1).all() and not _numbers(mean).any():  # never adapted
        return None
    return float(np.sqrt(np.mean(variances))) or None


def _numbers(variable: Any) -> Any:
    if hasattr(variable, "detach"):  # torch
        variable = variable.detach().cpu()
    return np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable, dtype="float64")


def _shape(layer: Any) -> Any:
    shape = getattr(layer, "batch_shape", None) or getattr(layer, "_batch_input_shape", None)
    return shape or getattr(layer, "input_shape", None)


def _output_shape(model: Any) -> tuple[Any, ...] | None:
    try:
        shape = model.output_shape
    except (AttributeError, RuntimeError, ValueError):  # not built yet, or a model with a call of its own
        return None
    return tuple(shape) if isinstance(shape, tuple) and shape and not isinstance(shape[-1], tuple) else None
