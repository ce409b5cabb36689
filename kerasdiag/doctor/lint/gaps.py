"""What of a script a rule would have to see before it may call it sound, and could not follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Callable, NamedTuple, Optional

from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.datasets import FOLLOWED
from kerasdiag.doctor.lint.models import (
    FIT_METHODS,
    INPUT_OF,
    is_generator,
    is_py_dataset,
    iterator_call,
    may_be_model,
    readings,
)
from kerasdiag.doctor.lint.places import is_ignored, location_of, name_of_data
from kerasdiag.doctor.lint.values import (
    UNKNOWN,
    Call,
    Dataset,
    Either,
    Function,
    Instance,
    Items,
    Literal,
    Path,
    Quotient,
    Ratio,
    Result,
    Sum,
    Tensor,
    Value,
)
from kerasdiag.user_code.libraries import is_framework

_LABELS_AT = 1  # of fit(x, y)
_MOST = 3  # that are told
_OF_ARRAYS = ("numpy", "scipy", "pandas", "sklearn", "PIL", "cv2", "skimage", "imageio", "h5py")


class Need(NamedTuple):
    """What a rule looks at.

    Attributes:
        method: The call without which it has seen nothing: ``fit``.
        calls: These calls in a script.
        gap: What of one of them could not be followed, None where all of it could.
        has_other: Whether a script without such a call has shown the rule enough all the same.
    """

    method: str
    calls: Callable[[Subject], Sequence[Call]]
    gap: Callable[[Subject, Call], Optional[str]]
    has_other: Callable[[Subject], bool] = lambda _: False


def gaps(subjects: Sequence[Subject], need: Need, code: str) -> list[str]:
    """Return in words what the rule of this code needs and did not see; what a comment ignores is not missed."""
    told: dict[str, None] = {}
    without = []
    for subject in subjects:
        calls = need.calls(subject)
        if not calls and not need.has_other(subject):
            without.append(subject)
        for call in calls:
            gap = need.gap(subject, call)
            if gap is not None and not is_ignored(subject.script, call.node, code):
                told[gap] = None
    told.update(dict.fromkeys(_absent(subjects, without, need.method)))
    return [*list(told)[:_MOST], *([f"and {len(told) - _MOST} more"] if len(told) > _MOST else [])]


def _absent(subjects: Sequence[Subject], without: Sequence[Subject], method: str) -> Iterator[str]:
    """The scripts that should have such a call: all that are named, but not the modules that another of them imports."""
    if 1 < len(without) == len(subjects):
        yield f"no call of {method} was found in the {len(subjects)} scripts"
        return
    imported = {part for each in subjects for name in each.record.imports for part in name.split(".")}
    for subject in without:
        path = subject.script.path
        if subject.script.is_named and (len(subjects) == 1 or PurePath(path).stem not in imported):
            is_foreign = any(call.method == method for call in subject.record.calls)
            yield (
                f"{path} calls {method}, but nothing there shows that it is that of a Keras model"
                if is_foreign
                else f"no call of {method} was found in {path}"
            )


def place_of(subject: Subject, call: Call) -> str:
    """Return where a call stands, without the column."""
    return str(location_of(subject.script, call.node)).rpartition(":")[0]


def input_of(call: Call) -> Value:
    """Return what a call of fit reads; nothing is known of what ``**`` may bring."""
    return call.argument(INPUT_OF[call.method], 0) or UNKNOWN


def is_followed(call: Call) -> bool:
    """Whether the input of a call of fit is known: a generator or dataset from its source on, or arrays."""
    has_labels = call.argument("y", _LABELS_AT) not in (None, Literal(None)) and call.method == "fit"
    return has_labels or _is_followed(input_of(call))  # Keras refuses labels beside anything but arrays


def _is_followed(value: Value | None) -> bool:
    if isinstance(value, Either):
        return _is_followed(value.first) and _is_followed(value.second)
    if isinstance(value, Items):
        return all(map(_is_followed, value.items))
    if isinstance(value, Instance):
        return is_py_dataset(value)
    if isinstance(value, Result):
        return iterator_call(value) is not None or _is_of_library(value.call)
    return isinstance(value, (Dataset, Tensor, Literal, Ratio, Sum, Quotient))  # with which only arrays calculate


def _is_of_library(call: Call) -> bool:
    """Whether a call is one of a library that gives arrays, or a method of what such a call gave."""
    if call.name:
        return is_framework(call.name) or call.name.partition(".")[0] in _OF_ARRAYS
    return isinstance(call.receiver, Result) and _is_of_library(call.receiver.call)


def _fits(subject: Subject) -> list[Call]:
    return [call for call, _ in readings(subject.record, FIT_METHODS)]


def _unknown_input(subject: Subject, call: Call) -> str | None:
    value, place = input_of(call), place_of(subject, call)
    flow = iterator_call(value)
    if flow is not None and not is_generator(flow.receiver):
        return f"the ImageDataGenerator that fit at {place} reads was not followed to where it is made"
    if is_followed(call):
        return None
    if isinstance(value, Result) and value.call.name:
        return f"the input of fit at {place} comes from {value.call.name}(), which was not followed"
    written = name_of_data(subject.script, call) if call.positional or call.keyword_node(INPUT_OF[call.method]) else ""
    which = f", {written}," if written and len(written) < 40 else ""
    return f"the input of fit at {place}{which} could not be followed to its source"


def _unknown_pipeline(subject: Subject, call: Call) -> str | None:
    data = input_of(call)
    for step in data.steps if isinstance(data, Dataset) else ():
        function = step.call.argument("map_func", 0) if step.operation in FOLLOWED else None
        if function is not None and not (isinstance(function, Function) or _is_of_framework(function)):
            place = place_of(subject, step.call)
            return f"the function that {step.operation} at {place} calls for each element was not followed"
    return _unknown_input(subject, call)


def _is_of_framework(value: Value) -> bool:
    """Whether a value is a function or layer of TensorFlow or Keras."""
    name = value.name if isinstance(value, Path) else value.call.name if isinstance(value, Result) else ""
    return is_framework(name)


def _unknown_reader(subject: Subject, call: Call) -> str | None:
    if subject.keras.is_3 is None and iterator_call(input_of(call)) is not None:
        return (
            f"no Keras is installed here that would tell how the fit at {place_of(subject, call)} reads its generator"
        )
    return _unknown_input(subject, call)


def on_keras_3(need: Need) -> Need:
    """Return the need of a rule that has nothing to say on Keras 2, and so misses nothing there."""

    def gap(subject: Subject, call: Call) -> str | None:
        return None if subject.keras.is_3 is False else need.gap(subject, call)

    return need._replace(gap=gap, has_other=lambda subject: subject.keras.is_3 is False)


def _open_arguments(subject: Subject, call: Call) -> str | None:
    if not call.is_open:
        return None
    return f"the arguments of {call.method} at {place_of(subject, call)} are not all written there (* or **)"


def _compiles(subject: Subject) -> list[Call]:
    return [
        call for call in subject.record.calls if call.method == "compile" and may_be_model(call.receiver or UNKNOWN)
    ]


def _undecided_switch(subject: Subject, call: Call) -> str | None:
    given = call.argument("run_eagerly")
    if given is None or isinstance(given, Literal):
        return _open_arguments(subject, call) if given is None else None
    return f"run_eagerly of compile at {place_of(subject, call)} is not known: the script alone does not decide it"


FIT_INPUT = Need("fit", _fits, _unknown_input)
GENERATOR_READER = Need("fit", _fits, _unknown_reader)
# Rules about tf.data look at every dataset of the script, whoever reads it.
PIPELINES = Need("fit", _fits, _unknown_pipeline, lambda subject: bool(subject.record.datasets))
FIT_ARGUMENTS = Need("fit", lambda subject: [call for call, _ in readings(subject.record)], _open_arguments)
CALLBACKS = Need("fit", _fits, _open_arguments)
COMPILE_ARGUMENTS = Need("compile", _compiles, _undecided_switch)
