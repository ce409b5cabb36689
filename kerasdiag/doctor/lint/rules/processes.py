"""KD703: processes that all draw the same random numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.corrections import without_arguments
from kerasdiag.doctor.lint.gaps import FIT_INPUT
from kerasdiag.doctor.lint.models import FIT_METHODS, is_py_dataset, iterator_call, readings
from kerasdiag.doctor.lint.values import Call, Class, Function, Instance, Literal, Result, Value, is_true
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

# What ImageDataGenerator draws for, read in its source; each is off by default.
_AUGMENTATIONS = (
    "rotation_range",
    "width_shift_range",
    "height_shift_range",
    "brightness_range",
    "shear_range",
    "zoom_range",
    "channel_shift_range",
    "horizontal_flip",
    "vertical_flip",
)
_OFF = (Literal(0), Literal(None), Literal(False))
_NOT_GLOBAL = ("default_rng", "Generator", "RandomState", "SeedSequence", "PCG64")
_REFERENCES = ("https://github.com/keras-team/keras/blob/v2.15.0/keras/utils/data_utils.py",)


@check("KD703", "equal-draws-in-processes", needs=("scripts",), uses=("packages",))
def equal_draws_in_processes(environment: Environment) -> Answer:
    """`use_multiprocessing=True` with NumPy's global generator: all processes draw the same augmentations.

    What it finds:
        On Keras 2 `fit(use_multiprocessing=True)`, on Keras 3 the attribute of that name (or the argument of a PyDataset),
        with an ImageDataGenerator that augments, or with a Sequence (PyDataset) of the script that draws from
        `np.random` without a seed of its own for each batch.

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
        What is drawn may be the same in all processes.
    """
    return examine_scripts(environment, "KD703", _rule, _REFERENCES, FIT_INPUT)


def _rule(subject: Subject) -> Iterator[Hit]:
    if not subject.keras.is_3:
        for call, data in readings(subject.record, FIT_METHODS):
            keyword = call.keyword_node("use_multiprocessing")
            if keyword is not None and is_true(call.keywords["use_multiprocessing"]):
                code = without_arguments(subject, call.node, ("use_multiprocessing",))
                yield from _hits(subject, data, keyword, code)
    for owner, name, value, place, _ in subject.record.settings:
        if name == "use_multiprocessing" and is_true(value):
            yield from _hits(subject, owner, place, ())
    if subject.keras.is_3 is not False:
        for call, kind, instance in _makings(subject):
            keyword = call.keyword_node("use_multiprocessing")
            if keyword is not None and is_true(call.keywords["use_multiprocessing"]):
                code = without_arguments(subject, call.node, ("use_multiprocessing",))
                yield from _hits(subject, instance or Instance(kind, call), keyword, code)


def _makings(subject: Subject) -> Iterator[tuple[Call, Class, Instance | None]]:
    """Each call that makes a PyDataset of the script: of the class, and of what it inherits from."""
    for instance in subject.record.instances:
        yield instance.call, instance.kind, instance
    for kind in subject.record.classes:
        start = kind.methods.get("__init__")
        for call in subject.record.calls_of(start) if start else ():
            made = call.receiver.call if isinstance(call.receiver, Result) else None
            if call.method == "__init__" and made is not None and made.name == "super":
                yield call, kind, None


def _hits(subject: Subject, data: Value, node: ast.AST, code: tuple[str, ...]) -> Iterator[Hit]:
    flow = iterator_call(data)
    if flow is not None and _augments(subject, flow):
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


def _augments(subject: Subject, flow: Call) -> bool:
    """Whether the ImageDataGenerator of an iterator draws anything, as far as the script says."""
    made = flow.receiver.call if isinstance(flow.receiver, (Result, Instance)) else None
    if made is None:
        return False
    given = [made.argument(name) for name in _AUGMENTATIONS]
    function = made.argument("preprocessing_function")
    return any(value is not None and value not in _OFF for value in given) or (
        isinstance(function, Function) and _draws_globally(subject.record.calls_of(function))
    )


def _draws(subject: Subject, data: Instance) -> bool:
    method = data.kind.method("__getitem__")
    return method is not None and _draws_globally(subject.record.calls_of(method, data))


def _draws_globally(calls: Iterable[Call]) -> bool:
    """Whether these calls draw from NumPy's global generator before they have given it a seed of their own."""
    for call in calls:
        if call.name == "numpy.random.seed":
            return False
        if call.name.startswith("numpy.random.") and call.method not in _NOT_GLOBAL:
            return True
    return False
