"""What a batch holds beside the images: further inputs, labels and weights, as the generator gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.spec import GeneratorSpec


class Targets:
    """Labels, weights and further inputs of rows, built as the generator builds them for a batch.

    Args:
        spec: The generator.
        rows: int64, numbers of the rows that take part.
    """

    def __init__(self, spec: GeneratorSpec, rows: NDArray[np.int64]) -> None:
        self._class_mode = spec.class_mode
        self._num_classes = len(spec.class_indices or ())
        self._dtype = spec.dtype
        self._classes: Any = None
        self.extra_inputs: tuple[NDArray[Any], ...] = ()
        self._outputs: tuple[NDArray[Any], ...] | None = None
        self.weights: NDArray[Any] | None = None
        if spec.arrays is not None:
            self._read_arrays(spec, rows)
        else:
            self._read_columns(spec, rows)

    def _read_arrays(self, spec: GeneratorSpec, rows: NDArray[np.int64]) -> None:
        data = spec.of_arrays
        self.extra_inputs = tuple(_take(one, rows) for one in data.extra_inputs)
        if data.targets is not None:
            self._outputs = (_take(data.targets, rows),)
            self.weights = None if spec.sample_weight is None else spec.sample_weight[rows]

    def _read_columns(self, spec: GeneratorSpec, rows: NDArray[np.int64]) -> None:
        if spec.class_mode is not None and spec.sample_weight is not None:
            self.weights = spec.sample_weight[rows]
        if spec.class_mode == "multi_output":
            self._outputs = tuple(output[rows] for output in spec.targets)
        elif spec.targets is not None:
            self._outputs = (spec.targets[rows],)
        if spec.classes is not None:
            is_single = all(np.ndim(label) == 0 for label in spec.classes)
            self._classes = np.asarray(spec.classes)[rows] if is_single else [spec.classes[row] for row in rows]

    @property
    def class_numbers(self) -> NDArray[np.int64] | None:
        """Class of each row where labels are one-hot vectors of one class each; else None."""
        single = self._class_mode == "categorical" and isinstance(self._classes, np.ndarray)
        return self._classes.astype(np.int64) if single else None

    @property
    def is_image(self) -> bool:
        """Whether the label is the augmented image itself (``class_mode="input"``)."""
        return self._class_mode == "input"

    @property
    def example(self) -> tuple[NDArray[Any], ...]:
        """The arrays of an empty batch: their dtypes and trailing shapes are those of every batch."""
        return self.batch(np.zeros(0, np.int64))

    def batch(self, positions: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Return further inputs, labels and weights of the rows at these positions, those that there are."""
        inputs = tuple(one[positions] for one in self.extra_inputs)
        weights = () if self.weights is None else (self.weights[positions],)
        return (*inputs, *self.labels(positions), *weights)

    def nest(self, parts: Any) -> Any:
        """Arrange images and the parts of ``batch`` as the generator does.

        A tuple stands where the generator has a list: Keras takes one for the other, tf.data does not.

        Args:
            parts: Images, then what ``batch`` returns: arrays or tensors.
        """
        parts = list(parts)
        inputs = tuple(parts[: 1 + len(self.extra_inputs)])
        rest = parts[len(inputs) :]
        weights = [rest.pop()] if self.weights is not None else []
        x = inputs if self.extra_inputs else inputs[0]
        if self.is_image:
            return (x, x, *weights)
        if not rest:
            return x
        y = tuple(rest) if self._class_mode == "multi_output" else rest[0]
        return (x, y, *weights)

    def labels(self, positions: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Return the labels of the rows at these positions: none, one array, or one for each output."""
        if self._outputs is not None:
            return tuple(output[positions] for output in self._outputs)
        if self._classes is None:
            return ()
        if self._class_mode in ("binary", "sparse"):
            return (self._classes[positions].astype(self._dtype),)
        labels = np.zeros((len(positions), self._num_classes), self._dtype)
        for place, position in enumerate(positions):
            labels[place, self._classes[position]] = 1.0
        return (labels,)


def _take(values: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """These rows in ascending order; no copy where that is all of them."""
    return values if len(rows) == len(values) else values[rows]
