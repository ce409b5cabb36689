"""Questions about the order of a tf.data pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.lint.datasets import IMAGE_FOLDER, element_function
from kerasdiag.doctor.lint.models import FIT_METHODS, readings
from kerasdiag.doctor.lint.names import last_of_keras
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import Call, Dataset, Items, Result, Step, Value, number_of

_SIZES = {"resize": "size", "resize_images": "size", "decode_and_resize": "size"}
_KERAS_SEQUENTIAL = "Sequential"
_RANDOM_IMAGE = (
    "tensorflow.image.random_",
    "tensorflow.image.stateless_random_",
    "tensorflow.compat.v1.image.random_",
)


def trained(record: Record) -> Iterator[tuple[Call, Dataset]]:
    """Yield each ``fit`` whose training input is a dataset that is known from its source on."""
    for call, data in readings(record, FIT_METHODS):
        if isinstance(data, Dataset):
            yield call, data


def longest(record: Record) -> list[Dataset]:
    """Return the datasets that are no mere beginning of another one."""
    beginnings = {id(dataset.steps[-2].call) for dataset in record.datasets if len(dataset.steps) > 1}
    return [dataset for dataset in record.datasets if id(dataset.steps[-1].call) not in beginnings]


def is_followed_by(record: Record, step_call: Call, operation: str) -> bool:
    """Whether any dataset has this operation after a step."""
    for dataset in record.datasets:
        calls = [step.call.node for step in dataset.steps]
        if step_call.node in calls:
            later = dataset.steps[calls.index(step_call.node) + 1 :]
            if any(step.operation == operation for step in later):
                return True
    return False


def random_image_call(record: Record, step: Step) -> Call | None:
    """Return a random augmentation of images in the function of a ``map``, None where none is seen."""
    function = element_function(step)
    if step.operation != "map" or function is None:
        return None
    return next((call for call in record.calls_within(function) if is_random_image_call(call)), None)


def is_random_image_call(call: Call) -> bool:
    """Whether a call augments images at random: tf.image.random_*, a Random* layer of Keras or a Sequential of them."""
    if call.name.startswith(_RANDOM_IMAGE):
        return True
    made = call.target
    if not isinstance(made, Result):
        return False
    name = last_of_keras(made.call.name) or ""
    if name == _KERAS_SEQUENTIAL and made.call.positional and isinstance(made.call.positional[0], Items):
        return any(_is_random_layer(layer) for layer in made.call.positional[0].items)
    return _is_random_layer(made)


def _is_random_layer(value: Value) -> bool:
    if not isinstance(value, Result):
        return False
    name = last_of_keras(value.call.name) or ""
    return name.startswith("Random") and ".layers" in value.call.name


def image_size(record: Record, steps: tuple[Step, ...]) -> tuple[int, int] | None:
    """Return height and width of the images after these steps, where the script writes them down."""
    found: tuple[int, int] | None = None
    for step in steps:
        if step.operation == IMAGE_FOLDER:
            found = _pair(step.call.argument("image_size")) or (256, 256)
            continue
        function = element_function(step)
        if step.operation != "map" or function is None:
            continue
        for call in record.calls_within(function):
            if call.name.startswith("tensorflow.image.resize"):
                found = _pair(call.argument("size", 1))
    return found


def _pair(value: Value | None) -> tuple[int, int] | None:
    if not isinstance(value, Items) or len(value.items) != 2:
        return None
    height, width = map(number_of, value.items)
    return (int(height), int(width)) if height and width and height > 0 and width > 0 else None


def batch_before(steps: tuple[Step, ...]) -> Step | None:
    """Return the step that makes batches of which the end of these steps still consists."""
    batch: Step | None = None
    for step in steps:
        if step.operation in ("batch", "padded_batch", "ragged_batch", IMAGE_FOLDER):
            is_single = (
                step.operation == IMAGE_FOLDER and repr(step.call.argument("batch_size")) == "Literal(value=None)"
            )
            batch = None if is_single else step
        elif step.operation in ("unbatch", "flat_map", "interleave", "rebatch", "window", "zip"):
            batch = None
    return batch
