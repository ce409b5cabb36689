"""Labels that do not fit their loss."""

from __future__ import annotations

from typing import NamedTuple

from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.first_batch import LabelFacts, ModelFront
from kerasdiag.profile import RunProfile

# What resizing and dividing in float32 leave of a 1. It is more than the six digits of a message hide.
BINARY_TOLERANCE = 1e-3


class _Ends(NamedTuple):
    low: float
    high: float


class _Fault(NamedTuple):
    code: str
    what: str
    remedy: str


_SPARSE = ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
_CATEGORICAL = ("categorical_crossentropy", "CategoricalCrossentropy")
_BINARY = ("binary_crossentropy", "BinaryCrossentropy")


def wrong_labels(profile: RunProfile) -> Finding | None:
    """Labels of another kind than the loss takes, or outside of what it knows."""
    first = profile.first_batch
    if first is None or first.labels is None or first.model.loss is None:
        return None
    labels, model = first.labels, first.model
    ends = _ends_in_loss(labels, first.model.loss, profile.software.get("backend"))
    fault = _fault(labels, ends, model)
    if fault is None:
        return None
    facts = f"labels of shape {labels.shape} from {ends.low:g} to {ends.high:g}, loss {model.loss}"
    return Finding(
        fault.code,
        Severity.ERROR,
        f"The labels of the first batch (shape {labels.shape}, {ends.low:g} to {ends.high:g}) {fault.what}.",
        (Evidence(facts, Provenance.MEASURED),),
        Remedy(fault.remedy),
        {"low": ends.low, "high": ends.high},
    )


def _ends_in_loss(labels: LabelFacts, loss: str, backend: str | None) -> _Ends:
    """Least and greatest of the labels that the loss feels.

    A weight of 0 takes a label out of it. Not so for a class that does not exist: TensorFlow makes NaN of it, which stays
    NaN times 0, or raises, as torch does. JAX makes a row of zeros of it.
    """
    all_ends = _Ends(labels.low, labels.high)
    if loss in _SPARSE and backend != "jax":
        return all_ends
    return _weighted_ends(labels) or all_ends


def _weighted_ends(labels: LabelFacts) -> _Ends | None:
    """Of the labels whose weight is not 0, None where that are all."""
    if labels.low_weighted is None or labels.high_weighted is None:
        return None
    return _Ends(labels.low_weighted, labels.high_weighted)


def _fault(labels: LabelFacts, ends: _Ends, model: ModelFront) -> _Fault | None:
    outputs, loss = model.outputs, model.loss
    is_row = model.output_rank == len(labels.shape) and labels.shape[-1] == outputs
    if loss in _SPARSE and outputs is not None:
        if is_row and outputs > 1 and labels.are_one_hot:
            return _Fault(
                "one-hot-labels",
                f"are one-hot, and {loss} takes the numbers of classes",
                "Compile with loss='categorical_crossentropy', or give the numbers: class_mode='sparse', "
                "label_mode='int', labels.argmax(-1).",
            )
        if labels.are_whole and not is_row and not _are_classes(ends, outputs):
            return _out_of_range(outputs, _weighted_ends(labels))
    if loss in _CATEGORICAL and outputs is not None:
        if outputs == 1:
            return _Fault(
                "one-class",
                f"meet a single output, and {loss} of a single class is the same whatever the model says",
                "For two classes: Dense(1, activation='sigmoid') and loss='binary_crossentropy'; for more: as many units "
                "as classes, with softmax.",
            )
        if _is_of_numbers(labels, model):
            return _Fault(
                "integer-labels",
                f"are numbers of classes, and {loss} takes one-hot rows of {outputs}",
                "Compile with loss='sparse_categorical_crossentropy', or make the labels one-hot: "
                "class_mode='categorical', label_mode='categorical', to_categorical(labels).",
            )
    if loss in _BINARY and (ends.high > 1 + BINARY_TOLERANCE or ends.low < -BINARY_TOLERANCE):
        return _Fault(
            "not-binary-labels",
            f"are not within 0 to 1, where {loss} is defined",
            "For several classes: loss='sparse_categorical_crossentropy' and one output for each. For two: labels 0 and "
            "1; for masks of 0 and 255: divide them by 255.",
        )
    return None


def _are_classes(ends: _Ends, outputs: int) -> bool:
    return ends.low >= 0 and ends.high < outputs


def _out_of_range(outputs: int, weighted: _Ends | None) -> _Fault:
    """A number that is none of a class; perhaps only where its weight is 0, which does not help."""
    text = (
        f"are not among the {outputs} classes that the model has outputs for, 0 to {outputs - 1}: on a GPU the loss is "
        "NaN, and no error says why"
    )
    if weighted is not None and _are_classes(weighted, outputs):
        return _Fault(
            "label-out-of-range",
            f"{text}; their sample weight of 0 does not help, for 0 times NaN is NaN",
            "Where the weight is 0, put the number of any class; or, from Keras 2.12 on, compile with "
            "SparseCategoricalCrossentropy(ignore_class=...).",
        )
    remedy = "Count the classes from 0, and give the last layer as many units as there are classes."
    return _Fault("label-out-of-range", text, remedy)


def _is_of_numbers(labels: LabelFacts, model: ModelFront) -> bool:
    """Whether each label is one number where the model gives a row."""
    rank = len(labels.shape)
    is_alone = rank + 1 == model.output_rank or (rank == model.output_rank and labels.shape[-1] == 1)
    return is_alone and labels.are_whole
