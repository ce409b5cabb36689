"""Questions about the order of a tf.data pipeline."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.datasets import COMBINING, IMAGE_FOLDER
from kerasdiag.doctor.lint.models import FIT_METHODS, readings
from kerasdiag.doctor.lint.names import last_of_keras
from kerasdiag.doctor.lint.networks import layers_of
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import Call, Dataset, Literal, Result, Step, Value

_RANDOM_IMAGE = ("tensorflow.image.random_", "tensorflow.image.stateless_random_")
# After these, what was a batch is one no more, or nobody knows.
_NO_BATCH = ("unbatch", "flat_map", "interleave", "rebatch", "window", *COMBINING)
# Stages that change how many elements there are, in a way that is not followed.
_OTHER_NUMBER = ("unbatch", "flat_map", "interleave", "rebatch", "window", "repeat", "concatenate", *COMBINING)
_BATCHING = ("batch", "padded_batch", "ragged_batch")


def trained(record: Record) -> Iterator[tuple[Call, Dataset]]:
    """Yield each ``fit`` whose training input is a dataset that is known from its source on."""
    for call, data in readings(record, FIT_METHODS):
        if isinstance(data, Dataset):
            yield call, data


def is_followed_by(record: Record, step: Step, operation: str) -> bool:
    """Whether any dataset has this operation after a step."""
    return operation in record.later.get(step.call.node, ())


def random_image_call(record: Record, step: Step) -> Call | None:
    """Return a random augmentation of images in the function of a ``map``, None where none is seen.

    One that always runs comes before one that may not.
    """
    found = [call for call in step.calls if step.operation == "map" and is_random_image_call(record, call)]
    return next((call for call in found if call.is_certain), found[0] if found else None)


def mixes(step: Step) -> bool:
    """Whether a step gives the elements in another order each epoch."""
    if step.operation in ("shuffle", "sample_from_datasets"):
        return True
    if step.operation == "list_files":
        return step.call.argument("shuffle", 1) != Literal(False)
    if step.operation == IMAGE_FOLDER:
        return step.call.argument("shuffle") != Literal(False)
    return step.operation == "tensorflow_datasets.load" and step.call.argument("shuffle_files") == Literal(True)


def is_random_image_call(record: Record, call: Call) -> bool:
    """Whether a call augments images at random: tf.image.random_*, a Random* layer of Keras or a Sequential of them."""
    if call.name.startswith(_RANDOM_IMAGE):
        return True
    return call.argument("training") != Literal(False) and any(map(_is_random_layer, layers_of(record, call.target)))


def _is_random_layer(value: Value) -> bool:
    if not isinstance(value, Result):
        return False
    name = last_of_keras(value.call.name) or ""
    return name.startswith("Random") and ".layers" in value.call.name


def batch_before(steps: tuple[Step, ...]) -> Step | None:
    """Return the step that makes batches of which the end of these steps still consists."""
    batch: Step | None = None
    for step in steps:
        if step.operation in (*_BATCHING, IMAGE_FOLDER):
            is_single = step.operation == IMAGE_FOLDER and step.call.argument("batch_size") == Literal(None)
            batch = None if is_single else step
        elif step.operation in _NO_BATCH:
            batch = None
    return batch


def batch_size(step: Step) -> float | None:
    """Return how many elements a step takes together, None where that is not known."""
    if step.operation == IMAGE_FOLDER:
        return number_of(step.call.argument("batch_size") or Literal(32))
    return number_of(step.call.argument("batch_size", 0))


def most_elements(steps: tuple[Step, ...]) -> float | None:
    """Return how many elements there can be after these steps, None where neither ``range`` nor ``take`` says so."""
    most: float | None = None
    source = steps[0].call if steps else None
    if source is not None and steps[0].operation == "range" and len(source.positional) == 1:
        most = number_of(source.positional[0])
    for step in steps:
        count = number_of(step.call.argument("count", 0)) if step.operation == "take" and step.is_in_line else None
        if step.operation in _OTHER_NUMBER:
            most = None
        elif count is not None and count >= 0:
            most = count if most is None else min(most, count)
        elif most is not None and step.operation in _BATCHING:
            most = math.ceil(most / (batch_size(step) or 1))
    return most
