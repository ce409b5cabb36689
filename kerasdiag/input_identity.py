"""Which input a training ran on: enough to know it again in another run.

``autofix`` and the profile cache compare these values, so a profile of one generator is never
taken as evidence about another.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Optional  # Optional: Python 3.9 cannot evaluate "X | None", and the JSON reader does

from kerasdiag import compat
from kerasdiag.profile_json import ADDED_LATER

IMAGE_DATA_GENERATOR = "image-data-generator"
PY_DATASET = "py-dataset"
TF_DATA = "tf-data"
PYTHON_GENERATOR = "python-generator"
ARRAYS = "arrays"
OTHER = "other"

# Arguments of ImageDataGenerator that change pixels, as attributes of it, with the value that changes none.
_PIXEL_ARGUMENTS: dict[str, Any] = {
    "rotation_range": 0,
    "width_shift_range": 0,
    "height_shift_range": 0,
    "shear_range": 0,
    "zoom_range": (1, 1),
    "channel_shift_range": 0,
    "brightness_range": None,
    "horizontal_flip": False,
    "vertical_flip": False,
    "rescale": None,
    "preprocessing_function": None,
    "samplewise_center": False,
    "samplewise_std_normalization": False,
    "featurewise_center": False,
    "featurewise_std_normalization": False,
    "zca_whitening": False,
}
# The classes that ImageDataGenerator.flow*() return, by name: the same in keras-preprocessing,
# Keras 2, tf_keras and keras.src.legacy, so no Keras needs to be imported to know them.
_KERAS_PACKAGES = ("keras", "tf_keras", "tensorflow", "keras_preprocessing")
_IMAGE_ITERATORS = ("DataFrameIterator", "DirectoryIterator", "NumpyArrayIterator")


@dataclass(frozen=True)
class InputIdentity:
    """What is known of an input without reading from it.

    Attributes:
        kind: ``"image-data-generator"``, ``"py-dataset"``, ``"tf-data"``, ``"python-generator"``,
            ``"arrays"`` or ``"other"``.
        class_name: Name of its class.
        n: Number of examples, where the input knows it.
        batch_size: Examples in a full batch.
        num_batches: ``len(input)``, where it has one.
        subset: ``"training"``, ``"validation"`` or None (ImageDataGenerator).
        target_size: Height and width in pixels (ImageDataGenerator).
        rows_sha256: Hash of the file names in order (ImageDataGenerator over files).
        workers: Threads or processes that prepare batches, where known.
        use_multiprocessing: Whether these are processes.
        pipeline: tf.data operations from the source to the last one, for example
            ``("TensorSlice", "ParallelMap", "Batch", "Prefetch")``.
        repaired: ``"disk"``, ``"memory"`` or ``"none"``: autofix made this dataset, and from there it
            has its images.
        augmentation: Names of the arguments of ImageDataGenerator that change pixels (ImageDataGenerator).
    """

    kind: str
    class_name: str
    n: Optional[int] = None
    batch_size: Optional[int] = None
    num_batches: Optional[int] = None
    subset: Optional[str] = None
    target_size: Optional[tuple[int, ...]] = None
    rows_sha256: Optional[str] = None
    workers: Optional[int] = None
    use_multiprocessing: Optional[bool] = None
    pipeline: tuple[str, ...] = ()
    repaired: Optional[str] = field(default=None, metadata=ADDED_LATER)
    augmentation: Optional[tuple[str, ...]] = field(default=None, metadata=ADDED_LATER)

    @property
    def key(self) -> str:
        """Hash of what makes two inputs the same one; ``workers`` and the like are not part of it."""
        parts = (
            self.kind, self.class_name, self.n, self.batch_size, self.num_batches, self.subset,
            self.target_size, self.rows_sha256, self.pipeline,
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def is_same_input(self, other: InputIdentity | None) -> bool:
        """Tell whether ``other`` names the same rows in the same batches."""
        return other is not None and self.key == other.key


def identify_input(
    data: Any,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    use_multiprocessing: bool | None = None,
) -> InputIdentity:
    """Describe an input of ``fit`` without reading a batch from it.

    Args:
        data: Whatever was passed to ``fit`` as ``x``.
        batch_size: The ``batch_size`` argument of ``fit``, for inputs that carry none.
        workers: The ``workers`` argument of ``fit`` (Keras 2), for inputs that carry none.
        use_multiprocessing: The argument of that name of ``fit`` (Keras 2).
    """
    kind = _kind(data)
    own_workers = _attribute(data, "workers", int)
    own_processes = _attribute(data, "use_multiprocessing", bool)
    uses_workers = kind in (IMAGE_DATA_GENERATOR, PY_DATASET, PYTHON_GENERATOR)
    return InputIdentity(
        kind=kind,
        class_name=type(data).__qualname__,
        n=_num_examples(data, kind),
        batch_size=_attribute(data, "batch_size", int) or (batch_size or 32 if kind == ARRAYS else batch_size),
        num_batches=_num_batches(data, kind),
        subset=_attribute(data, "subset", str),
        target_size=_target_size(data),
        rows_sha256=_hash_rows(data) if kind == IMAGE_DATA_GENERATOR else None,
        workers=(own_workers if own_workers is not None else workers) if uses_workers else None,
        use_multiprocessing=(own_processes if own_processes is not None else use_multiprocessing)
        if uses_workers
        else None,
        pipeline=_pipeline(data) if kind == TF_DATA else (),
        repaired=_attribute(getattr(data, "repair_report", None), "storage", str) if kind == TF_DATA else None,
        augmentation=_augmentation(data) if kind == IMAGE_DATA_GENERATOR else None,
    )


def _kind(data: Any) -> str:
    bases = [base.__name__ for base in type(data).__mro__ if base.__module__.split(".")[0] in _KERAS_PACKAGES]
    if any(name in bases for name in _IMAGE_ITERATORS):
        return IMAGE_DATA_GENERATOR
    if "PyDataset" in bases or "Sequence" in bases:
        return PY_DATASET
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(data, (tensorflow.data.Dataset, tensorflow.distribute.DistributedDataset)):
        return TF_DATA
    if inspect.isgenerator(data) or (hasattr(data, "__next__") and hasattr(data, "__iter__")):
        return PYTHON_GENERATOR
    if hasattr(data, "shape") or isinstance(data, (list, tuple, dict)):
        return ARRAYS
    return OTHER


def _attribute(data: Any, name: str, kind: type) -> Any:
    """Return an attribute if it is there and of this type; inputs are foreign code."""
    value: Any = getattr(data, name, None)
    if kind is int and hasattr(value, "__index__") and not isinstance(value, bool):
        return int(value)
    return value if isinstance(value, kind) else None


def _num_examples(data: Any, kind: str) -> int | None:
    if kind == ARRAYS:
        first = data
        while isinstance(first, (list, tuple, dict)) and len(first):
            first = next(iter(first.values() if isinstance(first, dict) else first))
        shape = getattr(first, "shape", None)
        return int(shape[0]) if shape is not None and len(shape) and shape[0] is not None else None
    n: int | None = _attribute(data, "n", int)
    return n


def _num_batches(data: Any, kind: str) -> int | None:
    if kind == ARRAYS:
        return None
    try:
        return len(data)
    except Exception:  # user code: a Sequence may raise anything, tf.data raises on unknown sizes
        return None


def _target_size(data: Any) -> tuple[int, ...] | None:
    size: Any = getattr(data, "target_size", None)
    if isinstance(size, (tuple, list)) and all(hasattr(side, "__index__") for side in size):
        return tuple(int(side) for side in size)
    return None


def _augmentation(data: Any) -> tuple[str, ...] | None:
    source: Any = getattr(data, "image_data_generator", None)
    if source is None:
        return None
    return tuple(name for name, idle in _PIXEL_ARGUMENTS.items() if not _is_idle(getattr(source, name, idle), idle))


def _is_idle(value: Any, idle: Any) -> bool:
    if isinstance(value, (list, tuple)) and isinstance(idle, tuple):
        return tuple(value) == idle
    return value is idle or (isinstance(value, (int, float)) and value == (idle or 0))


def _hash_rows(data: Any) -> str | None:
    names: Iterable[str] | None = getattr(data, "filenames", None)
    if names is None:
        return None
    digest = hashlib.sha256()
    for name in names:
        digest.update(str(name).encode("utf-8", "surrogateescape"))
        digest.update(b"\0")
    return digest.hexdigest()


def _pipeline(data: Any) -> tuple[str, ...]:
    """The operations from the source to the last one."""
    names = [compat.operation_name(one) or type(one).__name__ for one in compat.operations_of(data)[-64:]]
    names = [name for name in names if name != "Options"]
    try:
        if names and not names[-1].startswith("Prefetch") and compat.adds_prefetch(data):
            names.append("Prefetch (added by tf.data)")
    except Exception:  # a DistributedDataset has no options; nothing is added to what is known
        return tuple(names)
    return tuple(names)
