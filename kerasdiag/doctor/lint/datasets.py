"""Which calls make a tf.data dataset, and which make another one of it."""

from __future__ import annotations

from kerasdiag.doctor.lint.names import keras_name
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Dataset, Function, Items, Step, Value

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
_COMBINING = ("zip", "sample_from_datasets", "choose_from_datasets")
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
        return Dataset((*call.receiver.steps, Step(call.method, call)))
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
    if ".data." in name and call.method in _COMBINING:
        return Dataset((*_parents(call), Step("zip", call)))
    return None


def _parents(call: Call) -> tuple[Step, ...]:
    """Stages of all datasets that are zipped, one after the other."""
    first = call.positional[0] if call.positional else UNKNOWN
    values: tuple[Value, ...] = first.items if isinstance(first, Items) else call.positional
    steps: list[Step] = []
    for value in values:
        if isinstance(value, Dataset):
            # Not in one line with each other: what stands before and what after is not known.
            steps += [Step(step.operation, step.call, False) for step in value.steps]
    return tuple(steps)


def unpacked(value: Value, count: int) -> list[Value]:
    """Return what ``a, b = value`` binds."""
    if isinstance(value, Items) and len(value.items) == count:
        return list(value.items)
    if isinstance(value, Dataset) and len(value.steps) == 1:
        # Of tfds.load with several splits, or of image_dataset_from_directory with both subsets.
        return [value] * count
    return [UNKNOWN] * count


def element_function(step: Step) -> Function | None:
    """Return the function of the script that ``map`` (``filter``, ``interleave``) calls for each element."""
    value = step.call.argument("map_func", 0)
    return value if isinstance(value, Function) else None
