"""KD703: processes that all draw the same random numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.models import FIT_METHODS, is_py_dataset, iterator_call, readings
from kerasdiag.doctor.lint.places import without_arguments
from kerasdiag.doctor.lint.values import Instance, Value, is_true
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_NOT_GLOBAL = ("default_rng", "Generator", "RandomState", "SeedSequence", "PCG64", "seed")
_REFERENCES = ("https://github.com/keras-team/keras/blob/v2.15.0/keras/utils/data_utils.py",)


@check("KD703", "equal-draws-in-processes", needs=("scripts",), uses=("packages",))
def equal_draws_in_processes(environment: Environment) -> Answer:
    """`use_multiprocessing=True` with NumPy's global generator: all processes draw the same augmentations.

    What it finds:
        On Keras 2 `fit(use_multiprocessing=True)`, on Keras 3 the attribute of that name, with an ImageDataGenerator, or
        with a Sequence (PyDataset) of the script that draws from `np.random`.

    Why it matters:
        Forked processes inherit NumPy's global state. With three of them, three images each get one and the same
        rotation, shift and flip. Where processes are spawned (Windows, macOS), an ImageDataGenerator cannot be sent to
        them at all, and the call fails.

    Example:
        use_multiprocessing=True with an ImageDataGenerator: all processes inherit one random state and draw the
        same augmentations.

    Fix:
        Threads: leave `use_multiprocessing` away and keep `workers`. In a Sequence of your own, draw from
        `np.random.default_rng((seed, epoch, index))`.

    When to ignore:
        Nothing is drawn: the generator only rescales, as for validation.
    """
    return examine_scripts(environment, "KD703", _rule, _REFERENCES)


def _rule(subject: Subject) -> Iterator[Hit]:
    if not subject.keras.is_3:
        for call, data in readings(subject.record, FIT_METHODS):
            keyword = call.keyword_node("use_multiprocessing")
            if keyword is not None and is_true(call.keywords["use_multiprocessing"]):
                code = without_arguments(subject.script, call.node, ("use_multiprocessing",))
                yield from _hits(subject, data, keyword, code)
    for owner, name, value, place in subject.record.attributes:
        if name == "use_multiprocessing" and is_true(value):
            yield from _hits(subject, owner, place, ())
    if subject.keras.is_3 is not False:
        for call in subject.record.calls:
            keyword = call.keyword_node("use_multiprocessing")
            made = next((kind for kind in subject.record.classes if _is_made_by(call.node, kind.node.name)), None)
            if made is not None and keyword is not None and is_true(call.keywords["use_multiprocessing"]):
                instance = Instance(made, call)
                yield from _hits(
                    subject, instance, keyword, without_arguments(subject.script, call.node, ("use_multiprocessing",))
                )


def _is_made_by(node: ast.Call, name: str) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == name


def _hits(subject: Subject, data: Value, node: ast.AST, code: tuple[str, ...]) -> Iterator[Hit]:
    if iterator_call(data) is not None:
        what = "an ImageDataGenerator"
    elif is_py_dataset(data) and isinstance(data, Instance) and _draws(subject, data):
        what = f"{data.kind.node.name}, which draws from np.random"
    else:
        return
    yield Hit(
        node=node,
        severity=Severity.ERROR,
        message=f"use_multiprocessing=True with {what}: all processes inherit one random state and draw the same augmentations.",
        remedy="Take threads (workers without use_multiprocessing):" if code else "Take threads: leave this line away.",
        code=code,
        safe=False,
        costs_time=False,
    )


def _draws(subject: Subject, data: Instance) -> bool:
    method = data.kind.methods.get("__getitem__")
    return method is not None and any(
        call.name.startswith("numpy.random.") and call.method not in _NOT_GLOBAL
        for call in subject.record.calls_within(method)
    )
