"""Which calls make a tf.data dataset, and which make another one of it."""

from __future__ import annotations

import ast
from dataclasses import replace

from kerasdiag.doctor.lint.names import keras_name
from kerasdiag.doctor.lint.values import TENSOR, UNKNOWN, Call, Dataset, Items, Literal, Result, Step, Unknown, Value

IMAGE_FOLDER = "image_dataset_from_directory"
_KERAS_SOURCES = (IMAGE_FOLDER, "text_dataset_from_directory", "timeseries_dataset_from_array")
_TENSORFLOW_SOURCES = (
    "TFRecordDataset",
    "TextLineDataset",
    "FixedLengthRecordDataset",
    "CsvDataset",
    "make_csv_dataset",
)
_OF_DATASET = ("from_tensor_slices", "from_tensors", "from_generator", "list_files", "range", "random")
_OF_ONE_TENSOR = ("list_files", "range", "TFRecordDataset", "TextLineDataset", "FixedLengthRecordDataset")
COMBINING = ("zip", "sample_from_datasets", "choose_from_datasets")
FOLLOWED = ("map", "interleave", "flat_map")  # what their function gives is an element, or a dataset of elements
# Stages after which an element is what it was before; batches of elements are taken for one.
_KEEPING = frozenset(
    [
        "batch",
        "padded_batch",
        "shuffle",
        "cache",
        "prefetch",
        "repeat",
        "take",
        "skip",
        "filter",
        "with_options",
        "unbatch",
        "shard",
        "rebatch",
        "snapshot",
        "take_while",
        "unique",
        "ignore_errors",
    ]
)
# Methods that return another dataset. Any other method ends what is known.
STAGES = frozenset(
    [
        "map",
        "batch",
        "shuffle",
        "cache",
        "prefetch",
        "repeat",
        "interleave",
        "take",
        "skip",
        "filter",
        "with_options",
        "unbatch",
        "enumerate",
        "padded_batch",
        "flat_map",
        "concatenate",
        "shard",
        "window",
        "ragged_batch",
        "snapshot",
        "rebatch",
        "scan",
        "take_while",
        "unique",
        "ignore_errors",
        "group_by_window",
        "bucket_by_sequence_length",
        "sparse_batch",
        "zip",
    ]
)


def dataset_of(call: Call) -> Dataset | None:
    """Return the dataset that a call makes, None where it makes none or nobody knows."""
    if isinstance(call.receiver, Dataset):
        if call.method not in STAGES:
            return None
        return Dataset((*call.receiver.steps, Step(call.method, call)), call.receiver.element)
    name = call.name
    if name == "tensorflow_datasets.load":
        return Dataset((Step("tensorflow_datasets.load", call),))
    if (keras_name(name) or "").rpartition(".")[2] in _KERAS_SOURCES:
        return Dataset((Step(call.method, call),))
    if not name.startswith("tensorflow."):
        return None
    if ".data." in name and call.method in _TENSORFLOW_SOURCES:
        return Dataset((Step(call.method, call),))
    if name.endswith(tuple(f".data.Dataset.{method}" for method in _OF_DATASET)):
        return Dataset((Step(call.method, call),))
    if ".data." in name and call.method in COMBINING:
        return Dataset((*_parts(call), Step(call.method, call)))
    return None


def _combined(call: Call) -> tuple[Value, ...]:
    first = call.argument("datasets", 0) or UNKNOWN
    return first.items if isinstance(first, Items) else call.positional


def _parts(call: Call) -> tuple[Step, ...]:
    """Stages of all datasets that are zipped, one after the other."""
    parts = [value for value in _combined(call) if isinstance(value, Dataset)]
    return tuple(replace(step, is_part=True) for dataset in parts for step in dataset.steps)


def element_after(step: Step, before: Value, returned: Value) -> Value:
    """Return what an element is after a stage, from what it was before and what the stage's function returned."""
    call = step.call
    if step.operation in _KEEPING:
        return before
    if step.operation == "map":
        return returned
    if step.operation in FOLLOWED:
        return returned.element if isinstance(returned, Dataset) else UNKNOWN
    if step.operation == "zip" and not isinstance(call.receiver, Dataset):
        return Items(tuple(part.element if isinstance(part, Dataset) else UNKNOWN for part in _combined(call)))
    if step.operation == IMAGE_FOLDER:
        image = Result(call)
        return image if call.argument("label_mode") == Literal(None) else Items((image, TENSOR))
    if step.operation == "from_tensor_slices":
        return _slices(call)
    if step.operation == "tensorflow_datasets.load" and call.argument("as_supervised") == Literal(True):
        return Items((TENSOR, TENSOR))
    return TENSOR if step.operation in _OF_ONE_TENSOR else UNKNOWN


def _slices(call: Call) -> Value:
    """Elements of ``from_tensor_slices``: a tuple becomes a tuple of slices, a list becomes one tensor."""
    given = call.argument("tensors", 0) or UNKNOWN
    if not isinstance(given, Items):
        return given
    if not (call.node.args and isinstance(call.node.args[0], ast.Tuple)):
        return UNKNOWN
    return Items(
        tuple(TENSOR if isinstance(part, (Unknown, Items, Literal, Dataset)) else part for part in given.items)
    )


def unpacked(value: Value, count: int) -> list[Value]:
    """Return what ``a, b = value`` binds."""
    if isinstance(value, Items) and len(value.items) == count:
        return list(value.items)
    if isinstance(value, Dataset) and len(value.steps) == 1:
        # Of tfds.load with several splits, or of image_dataset_from_directory with both subsets.
        return [value] * count
    return [UNKNOWN] * count
