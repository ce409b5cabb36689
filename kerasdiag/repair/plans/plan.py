"""The plan: which rows in which order under which draws become which batches.

The store holds pixels only; everything else that the generator does stands here, as data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.errors import UnsupportedOptionError
from kerasdiag.repair.ops import affine, flip
from kerasdiag.repair.pipeline.draws import key_of, permutation, uniforms
from kerasdiag.repair.pipeline.order import permuted_blocks
from kerasdiag.spec import AugmentationOptions, GeneratorSpec

CLASS_MODES = ("categorical", "binary", "sparse", "raw", None)
ITERATORS = ("DataFrameIterator", "DirectoryIterator")


@dataclass(frozen=True)
class PipelinePlan:
    """What the dataset does.

    Attributes:
        spec: What the generator is.
        rows: int64, numbers of the generator's rows that take part (all but skipped images).
        record: int64 [rows], record of the store that holds each row's pixels.
        seed: Key of all draws and permutations.
        steps_per_epoch: Batches of one iteration over the dataset.
        block_rows: Neighbouring records that are read one after the other; 1 for single reads.
    """

    spec: GeneratorSpec
    rows: NDArray[np.int64]
    record: NDArray[np.int64]
    seed: int
    steps_per_epoch: int
    block_rows: int = 1

    @property
    def options(self) -> AugmentationOptions:
        """The generator's augmentation; neutral where it has none."""
        return self.spec.augmentation or AugmentationOptions()

    @property
    def batches_per_pass(self) -> int:
        """Batches in one pass over the rows; the last may be smaller."""
        return -(-len(self.rows) // self.spec.batch_size)

    @property
    def passes_per_iteration(self) -> int:
        """Permutations that one iteration starts."""
        return -(-self.steps_per_epoch // self.batches_per_pass)

    def order(self, pass_number: int) -> NDArray[np.int64]:
        """Return the positions in ``rows`` in the order in which a pass takes them."""
        count = len(self.rows)
        if not self.spec.shuffle:
            return np.arange(count)
        key = key_of(self.seed, pass_number, "order")
        if self.block_rows == 1:
            return permutation(key, count)
        return permuted_blocks(key, np.argsort(self.record, kind="stable"), self.block_rows)

    def draw(self, pass_number: int, positions: NDArray[np.int64]) -> affine.Parameters:
        """Draw the parameters of some rows of a pass; keyed by seed, pass and original row number.

        Returns:
            One array for each name of Keras' ``get_random_transform``.
        """
        numbers = uniforms(key_of(self.seed, pass_number, "draws"), self.rows[positions])
        shape = self.spec.loader.image_shape
        return {**affine.draw(self.options, shape, numbers), **flip.draw(self.options, numbers)}


def check_supported(spec: GeneratorSpec) -> None:
    """Raise one error that names everything about this generator that a repair would change.

    Raises:
        UnsupportedOptionError: With all of it.
    """
    reasons = unsupported(spec)
    if reasons:
        raise UnsupportedOptionError(
            f"autofix cannot repair this generator without changing what it yields: {'; '.join(reasons)}. The generator "
            'is untouched. Take the option out, or keep the generator with on_error="keep".'
        )


def unsupported(spec: GeneratorSpec) -> list[str]:
    """Return everything about this generator that a repair would change."""
    return [*_unsupported_input(spec), *_unsupported_augmentation(spec)]


def _unsupported_input(spec: GeneratorSpec) -> list[str]:
    reasons = [f"{name} is not Keras' own" for name in spec.overridden]
    if spec.kind not in ITERATORS:
        reasons.append(f"{spec.kind} (arrays in memory) is not supported yet")
        return reasons
    if spec.class_mode not in CLASS_MODES:
        reasons.append(f"class_mode={spec.class_mode!r} is not supported yet")
    if spec.loader.color_mode not in ("rgb", "grayscale"):
        reasons.append(f"color_mode={spec.loader.color_mode!r} is not supported yet")
    if spec.data_format != "channels_last":
        reasons.append(f"data_format={spec.data_format!r} is not supported yet")
    if spec.dtype != "float32":
        reasons.append(f"dtype={spec.dtype!r} is not supported yet")
    if spec.floatx != "float32":
        reasons.append(f"Keras' floatx is {spec.floatx!r}, only 'float32' is supported yet")
    if spec.save_to_dir:
        reasons.append(f"save_to_dir={spec.save_to_dir!r} writes a file for each batch, which a dataset does not")
    return reasons


def _unsupported_augmentation(spec: GeneratorSpec) -> list[str]:
    options = spec.augmentation
    if options is None:
        return []
    switches = (
        "featurewise_center", "samplewise_center", "featurewise_std_normalization",
        "samplewise_std_normalization", "zca_whitening",
    )  # fmt: skip
    reasons = [f"{name}=True is not supported yet" for name in switches if getattr(options, name)]
    if options.preprocessing_function is not None:
        name = getattr(options.preprocessing_function, "__qualname__", options.preprocessing_function)
        reasons.append(f"preprocessing_function={name} is not supported yet")
    if options.brightness_range is not None:
        reasons.append(f"brightness_range={options.brightness_range!r} is not supported yet")
    if options.channel_shift_range != 0:
        reasons.append(f"channel_shift_range={options.channel_shift_range!r} is not supported yet")
    if affine.warps(options):  # nothing else looks at these two
        if options.fill_mode != "nearest":
            reasons.append(f"fill_mode={options.fill_mode!r} is not supported yet")
        if options.interpolation_order not in (0, 1):
            reasons.append(f"interpolation_order={options.interpolation_order!r} is not supported yet")
    return reasons


class Targets:
    """Labels and weights of rows, built as the generator builds them for a batch."""

    def __init__(self, spec: GeneratorSpec, rows: NDArray[np.int64]) -> None:
        self._class_mode = spec.class_mode
        self._num_classes = len(spec.class_indices or ())
        self._classes: Any = None
        self._raw = None if spec.targets is None else spec.targets[rows]
        self.weights = None
        if spec.class_mode is not None and spec.sample_weight is not None:
            self.weights = spec.sample_weight[rows]
        if spec.classes is not None:
            is_single = all(np.ndim(label) == 0 for label in spec.classes)
            self._classes = np.asarray(spec.classes)[rows] if is_single else [spec.classes[row] for row in rows]

    @property
    def class_numbers(self) -> NDArray[np.int64] | None:
        """Class of each row where labels are one-hot vectors of one class each; else None."""
        single = self._class_mode == "categorical" and isinstance(self._classes, np.ndarray)
        return self._classes.astype(np.int64) if single else None

    @property
    def example(self) -> tuple[NDArray[Any], ...]:
        """The arrays of an empty batch: their dtypes and trailing shapes are those of every batch."""
        return self.batch(np.zeros(0, np.int64))

    def batch(self, positions: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Return (), (labels,) or (labels, weights) of the rows at these positions."""
        if self._class_mode is None:
            return ()
        weights = () if self.weights is None else (self.weights[positions],)
        return (self._labels(positions), *weights)

    def _labels(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        if self._raw is not None:
            return self._raw[positions]
        if self._class_mode in ("binary", "sparse"):
            return self._classes[positions].astype(np.float32)  # type: ignore[no-any-return]
        labels = np.zeros((len(positions), self._num_classes), np.float32)
        for place, position in enumerate(positions):
            labels[place, self._classes[position]] = 1.0
        return labels
