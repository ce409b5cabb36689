"""What ``ImageDataGenerator.standardize`` does to an image, step by step, and as a chain for the compiled kernel.

Source: ``standardize`` in Keras' ``legacy/preprocessing/image.py``, the same since 2.10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.ops import preprocess
from kerasdiag.spec import AugmentationOptions

STD_EPSILON = 1e-6  # Keras adds it to a standard deviation


def apply(options: AugmentationOptions, x: NDArray[Any]) -> NDArray[Any]:
    """Return a standardised image; ``x`` may be changed in place.

    Args:
        options: The generator's switches and what its ``fit`` left behind.
        x: One image in the dtype that the generator computes in.
    """
    if options.preprocessing_function:
        x = options.preprocessing_function(x)
    if options.rescale:
        x *= options.rescale
    if options.samplewise_center:
        x -= np.mean(x, keepdims=True)
    if options.samplewise_std_normalization:
        x /= np.std(x, keepdims=True) + STD_EPSILON
    if options.featurewise_center and options.mean is not None:
        x -= options.mean
    if options.featurewise_std_normalization and options.std is not None:
        x /= options.std + STD_EPSILON
    if options.zca_whitening and options.zca_whitening_matrix is not None:
        x = np.reshape(x.reshape(1, -1) @ options.zca_whitening_matrix, x.shape)
    return x


@dataclass(frozen=True, eq=False)
class Chain:
    """The same as elementwise operations in float32.

    Attributes:
        scale: Factor right behind the warp; 1 for none.
        links: Name of each further operation, and its second operand for each channel (None for
            ``"reverse channels"``, ``"center sample"`` and ``"scale sample"``).
    """

    scale: np.float32
    links: tuple[tuple[str, NDArray[np.float32] | None], ...] = ()


def make_chain(options: AugmentationOptions, channels: int) -> Chain | str:
    """Return the steps as a chain, or why they are none.

    Args:
        options: The generator's switches.
        channels: Channels of an image, which come last.
    """
    links: list[tuple[str, Any]] = []
    if options.preprocessing_function:
        known = preprocess.recognise(options.preprocessing_function, channels)
        if known is None:
            name = getattr(options.preprocessing_function, "__qualname__", options.preprocessing_function)
            return f"preprocessing_function={name} is a Python function"
        links.extend(known)
    if options.rescale:
        links.append(("multiply", options.rescale))
    if options.samplewise_center:
        links.append(("center sample", None))
    if options.samplewise_std_normalization:
        links.append(("scale sample", None))
    if options.featurewise_center and options.mean is not None:
        links.append(("subtract", options.mean))
    if options.featurewise_std_normalization and options.std is not None:
        links.append(("divide", options.std + STD_EPSILON))
    if options.zca_whitening and options.zca_whitening_matrix is not None:
        return "zca_whitening multiplies each image by a matrix"
    prepared: list[tuple[str, NDArray[np.float32] | None]] = []
    for name, operand in links:
        if operand is None:
            prepared.append((name, None))
            continue
        values = _per_channel(operand, channels)
        if values is None:
            return (
                f"{name} by {np.asarray(operand).dtype} {np.shape(operand)} is neither a number nor one number a "
                "channel in single precision"
            )
        prepared.append((name, values))
    if prepared and prepared[0][0] == "multiply" and prepared[0][1] is not None and len(set(prepared[0][1])) == 1:
        return Chain(prepared[0][1][0], tuple(prepared[1:]))
    return Chain(np.float32(1), tuple(prepared))


def _per_channel(operand: Any, channels: int) -> NDArray[np.float32] | None:
    """Return float32 [channels] where NumPy would compute with the operand in float32, else None.

    It does with Python numbers. NumPy 2 computes in float64 with a ``numpy.float64`` and rounds
    afterwards, which may differ in the last bit.
    """
    if np.result_type(np.zeros(1, np.float32), operand) != np.float32:
        return None
    shape = np.shape(operand)
    if int(np.prod(shape)) not in (1, channels) or (shape and shape[-1] != int(np.prod(shape))):
        return None
    values: NDArray[np.float32] = np.broadcast_to(np.asarray(operand, np.float32).reshape(-1), (channels,)).copy()
    return values
