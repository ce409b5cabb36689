"""Models, their calls of fit, and what those are given: as far as a script tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kerasdiag.doctor.lint.names import is_foreign_class, keras_name, last_of_keras
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import (
    UNKNOWN,
    Call,
    Dataset,
    Function,
    Instance,
    Items,
    Literal,
    Member,
    Path,
    Result,
    Tensor,
    Value,
)

FIT_METHODS = ("fit", "fit_generator")
INPUT_OF = {  # method -> argument with the data
    "fit": "x",
    "evaluate": "x",
    "predict": "x",
    "fit_generator": "generator",
    "evaluate_generator": "generator",
    "predict_generator": "generator",
}
GENERATOR = "ImageDataGenerator"
FLOW_METHODS = ("flow_from_directory", "flow_from_dataframe", "flow")
# Libraries whose objects have a fit of their own. Anything else may hand out a Keras model.
_OTHERS = frozenset(
    [
        "sklearn",
        "xgboost",
        "lightgbm",
        "catboost",
        "torch",
        "pytorch_lightning",
        "lightning",
        "gensim",
        "numpy",
        "pandas",
        "scipy",
        "statsmodels",
        "imblearn",
        "umap",
        "hmmlearn",
        "fastai",
        "ray",
        "skopt",
        "darts",
        "tpot",
    ]
)
_PY_DATASETS = ("Sequence", "PyDataset")


class Reading(NamedTuple):
    """A call that reads data: ``model.fit(x)`` and the like."""

    call: Call
    data: Value


def readings(record: Record, methods: tuple[str, ...] = tuple(INPUT_OF)) -> Iterator[Reading]:
    """Yield all calls of these methods on something that may be a Keras model."""
    imports_keras = any(keras_name(name) or name.split(".")[0] == "tensorflow" for name in record.imports)
    for call in record.calls if imports_keras else ():
        is_own = isinstance(
            call.target, Function
        )  # the script's own method; whether it calls that of Keras, is seen there
        if call.method in methods and call.receiver is not None and not is_own and may_be_model(call.receiver):
            yield Reading(call, call.argument(INPUT_OF[call.method], 0) or UNKNOWN)


def foreign_class(value: Value | None) -> str | None:
    """Return the class of an object that is imported from neither Keras nor TensorFlow, None for any other value.

    It may be a Keras model, and may be anything else.
    """
    is_one = isinstance(value, Result) and is_foreign_class(value.call.name)
    return value.call.name.rpartition(".")[2] if isinstance(value, Result) and is_one else None


def may_be_model(value: Value) -> bool:
    """Whether a value is a Keras model, or nothing is known that says otherwise."""
    if isinstance(value, Result):
        return value.call.name.partition(".")[0] not in _OTHERS and last_of_keras(value.call.name) != GENERATOR
    if isinstance(value, Instance):
        return any(keras_name(name) for name in value.kind.base_names())
    return not isinstance(value, (Path, Dataset, Literal, Items, Tensor)) and not is_generator(value)


def is_generator(value: Value | None) -> bool:
    """Whether a value is an ImageDataGenerator."""
    if isinstance(value, Instance):
        return any(name.endswith(f".{GENERATOR}") for name in value.kind.base_names())
    return isinstance(value, Result) and last_of_keras(value.call.name) == GENERATOR


def iterator_call(value: Value | None) -> Call | None:
    """Return the flow call of an ImageDataGenerator that made a value, None for anything else."""
    if not isinstance(value, Result) or value.call.method not in FLOW_METHODS:
        return None
    call = value.call
    # No other library has methods of the two long names; "flow" of something unknown may be anything.
    is_named = call.method != "flow" and not call.name and not isinstance(call.receiver, (Instance, Path))
    is_foreign = foreign_class(call.receiver) is not None
    return call if is_generator(call.receiver) or (is_named and not is_foreign) else None


def is_py_dataset(value: Value | None) -> bool:
    """Whether a value is an object of a Sequence (PyDataset) of the script."""
    return isinstance(value, Instance) and any(
        (last_of_keras(name) or "") in _PY_DATASETS for name in value.kind.base_names()
    )


def is_attribute_of(value: Value, owner: Value, *names: str) -> bool:
    """Whether a value is one of these attributes of this object."""
    return isinstance(value, Member) and value.owner is owner and value.name in names
