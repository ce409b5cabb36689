"""Arguments with which the Keras of a script raises: no corrected line keeps them, whichever rule it comes from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.arithmetic import is_fraction
from kerasdiag.doctor.lint.edits import Edit, put_in_place
from kerasdiag.doctor.lint.models import foreign_class, is_py_dataset, iterator_call, readings
from kerasdiag.doctor.lint.places import is_ignored, source_of, statement_lines
from kerasdiag.doctor.lint.values import Call, Dataset, Value

# Arguments that Keras 3 took out, with their names in Keras 1.
GONE = ("workers", "use_multiprocessing", "max_queue_size", "max_q_size", "nb_worker", "pickle_safe")
_STEPS = ("steps_per_epoch", "validation_steps", "steps")
_METHODS = ("fit", "evaluate", "predict")


class Refused(NamedTuple):
    """What must change in a statement beside all else.

    Attributes:
        unwanted: Call -> arguments to take out of it.
        edits: What stands in place of others.
    """

    unwanted: dict[ast.Call, list[ast.keyword]]
    edits: list[Edit]


class Fraction(NamedTuple):
    """A number of steps that is a float, where Keras 3 takes whole numbers only.

    Attributes:
        name: Of the argument.
        keyword: The argument.
        rounded: Its value as a whole number; None where fit knows the number of batches without it.
    """

    name: str
    keyword: ast.keyword
    rounded: str | None


def refused_in(subject: Subject, node: ast.AST) -> Refused:
    """Return what the Keras of a script refuses in the statement around a node."""
    found = Refused({}, [])
    first, last = statement_lines(subject.script, node)
    for call, data in readings(subject.record) if subject.keras.is_3 else ():
        if not first <= call.node.lineno <= last or call.method not in _METHODS:
            continue
        unwanted = found.unwanted.setdefault(call.node, [])
        # Who silences a rule about Keras 3 means another Keras than the one that is installed.
        if is_of_keras(call, data) and not is_ignored(subject.script, call.node, "KD701"):
            unwanted += [keyword for keyword in call.node.keywords if keyword.arg in GONE]
        if is_ignored(subject.script, call.node, "KD716"):
            continue
        for _, keyword, rounded in fractions(subject, call, data):
            if rounded is None:
                unwanted.append(keyword)
            else:
                found.edits.append(put_in_place(keyword.value, rounded))
    return found


def fractions(subject: Subject, call: Call, data: Value) -> Iterator[Fraction]:
    """Yield the numbers of steps of a call that are floats."""
    for name in _STEPS:
        keyword = call.keyword_node(name)
        if keyword is not None and is_fraction(call.keywords[name]):
            is_known = name == "steps_per_epoch" and iterator_call(data) is not None
            yield Fraction(name, keyword, None if is_known else f"int({source_of(subject.script, keyword.value)})")


def is_of_keras(call: Call, data: Value) -> bool:
    """Whether a call is one of a Keras model: the object is of no class from elsewhere, or nothing else reads its data."""
    is_keras_data = isinstance(data, Dataset) or iterator_call(data) is not None or is_py_dataset(data)
    return is_keras_data or foreign_class(call.receiver) is None
