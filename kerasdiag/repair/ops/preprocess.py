"""Recognise ``keras.applications.*.preprocess_input`` and say what it does as operations in float32.

The three ways are those of ``_preprocess_numpy_input`` in Keras' ``applications/imagenet_utils.py``;
some models have a function that changes nothing. Which one a function is comes from trying it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KERAS_PACKAGES = ("keras", "tf_keras", "tensorflow", "keras_applications")
Links = tuple[tuple[str, Any], ...]
_CAFFE_MEANS = np.array([103.939, 116.779, 123.68], np.float32)
_TORCH_MEANS = np.array([0.485, 0.456, 0.406], np.float32)
_TORCH_DEVIATIONS = np.array([0.229, 0.224, 0.225], np.float32)
WAYS: dict[str, Links] = {
    "tf": (("divide", 127.5), ("subtract", 1.0)),
    "torch": (("divide", 255.0), ("subtract", _TORCH_MEANS), ("divide", _TORCH_DEVIATIONS)),
    "caffe": (("reverse channels", None), ("subtract", _CAFFE_MEANS)),
    "unchanged": (),
}


def is_of_keras(function: Any) -> bool:
    """Tell whether a function is the ``preprocess_input`` of one of Keras' applications."""
    module = (getattr(function, "__module__", None) or "").split(".")
    return (
        module[0] in _KERAS_PACKAGES
        and "applications" in module
        and getattr(function, "__name__", "") == "preprocess_input"
    )


def recognise(function: Callable[..., Any], channels: int) -> Links | None:
    """Return the operations of a ``preprocess_input``, or None where it is another function.

    Args:
        function: A ``preprocessing_function``.
        channels: Channels of an image; Keras' ways but the last two are those of three.
    """
    if not is_of_keras(function):
        return None
    values = np.linspace(0, 255, 85 * channels * 6).reshape(10, -1, channels).astype(np.float32)
    try:
        wanted = np.asarray(function(values.copy()))
    except Exception:  # one that fails here fails in training, where the error belongs
        return None
    for links in WAYS.values():
        if channels != 3 and any(np.ndim(operand) for _, operand in links):
            continue
        if wanted.dtype == np.float32 and np.array_equal(_apply(links, values), wanted):
            return links
    return None


def _apply(links: Links, values: NDArray[np.float32]) -> NDArray[np.float32]:
    x: NDArray[np.float32] = values.copy()
    for name, operand in links:
        if name == "reverse channels":
            x = x[..., ::-1].copy()
        elif name == "divide":
            x /= operand
        else:
            x -= operand
    return x
