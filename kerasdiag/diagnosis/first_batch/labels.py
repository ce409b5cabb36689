"""Labels that do not fit their loss."""

from __future__ import annotations

from typing import NamedTuple

from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.first_batch import LabelFacts, ModelFront
from kerasdiag.profile import RunProfile


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
    fault = _fault(labels, model)
    if fault is None:
        return None
    facts = f"labels of shape {labels.shape} from {labels.low:g} to {labels.high:g}, loss {model.loss}"
    return Finding(
        fault.code,
        Severity.ERROR,
        f"The labels of the first batch (shape {labels.shape}, {labels.low:g} to {labels.high:g}) {fault.what}.",
        (Evidence(facts, Provenance.MEASURED),),
        Remedy(fault.remedy),
        {"low": labels.low, "high": labels.high},
    )


def _fault(labels: LabelFacts, model: ModelFront) -> _Fault | None:
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
        if labels.are_whole and not is_row and (labels.high >= outputs or labels.low < 0):
            return _Fault(
                "label-out-of-range",
                f"are not among the {outputs} classes that the model has outputs for, 0 to {outputs - 1}: on a GPU the "
                "loss is NaN, and no error says why",
                "Count the classes from 0, and give the last layer as many units as there are classes.",
            )
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
    if loss in _BINARY and (labels.high > 1 or labels.low < 0):
        return _Fault(
            "not-binary-labels",
            f"are not within 0 to 1, where {loss} is defined",
            "For several classes: loss='sparse_categorical_crossentropy' and one output for each. For two: labels 0 and "
            "1; for masks of 0 and 255: divide them by 255.",
        )
    return None


def _is_of_numbers(labels: LabelFacts, model: ModelFront) -> bool:
    """Whether each label is one number where the model gives a row."""
    rank = len(labels.shape)
    is_alone = rank + 1 == model.output_rank or (rank == model.output_rank and labels.shape[-1] == 1)
    return is_alone and labels.are_whole
