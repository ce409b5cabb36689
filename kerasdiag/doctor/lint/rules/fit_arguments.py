"""KD701: arguments of fit that Keras 3 no longer takes."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.edits import put_in_place
from kerasdiag.doctor.lint.fit_calls import for_keras_3
from kerasdiag.doctor.lint.gaps import FIT_ARGUMENTS, on_keras_3
from kerasdiag.doctor.lint.models import foreign_class, is_py_dataset, iterator_call, readings
from kerasdiag.doctor.lint.places import is_dotted_name, name_of_data, source_of
from kerasdiag.doctor.lint.refused import GONE, fractions, is_of_keras
from kerasdiag.doctor.lint.values import Call, Value
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_ATTRIBUTES = ("workers", "use_multiprocessing", "max_queue_size")  # of what is read
_REFERENCES = ("https://github.com/keras-team/keras/blob/v3.0.0/keras/trainers/trainer.py",)


@check("KD701", "keras-2-fit-call", needs=("scripts",), uses=("packages",))
def keras_2_fit_call(environment: Environment) -> Answer:
    """A call of fit, evaluate or predict is written for Keras 2 and fails on Keras 3.

    What it finds:
        `workers`, `use_multiprocessing` or `max_queue_size` among the arguments of `fit`, `evaluate` or `predict`, and
        calls of `fit_generator`, where the installed Keras is 3. Silent on Keras 2, where they are settings. A note where
        the object is of a class imported from elsewhere, which may be no Keras model.

    Why it matters:
        Keras 3 took them out: the call is a TypeError (AttributeError for `fit_generator`). What is fed by
        workers now has them itself, as attributes.

    Example:
        fit of keras 3.15.1 takes no workers, and the call is a TypeError.

    Fix:
        Set them on what you hand to fit: `train_generator.workers = 4`. A PyDataset of your own takes them in
        `super().__init__(workers=4)`.

    When to ignore:
        The script runs in another environment, with Keras 2; run the doctor there.
    """
    return examine_scripts(environment, "KD701", _rule, _REFERENCES, on_keras_3(FIT_ARGUMENTS))


def _rule(subject: Subject) -> Iterator[Hit]:
    keras = subject.keras
    if keras.is_3 is False:
        return
    for call, data in readings(subject.record):
        names = [name for name in GONE if name in call.keywords]
        if not (names or call.method.endswith("_generator")):
            continue
        lines, code = _attributes(subject, call, data, names), _corrected(subject, call, data)
        is_sure = keras.is_3 and is_of_keras(call, data)
        yield Hit(
            node=call.node,
            severity=Severity.ERROR if is_sure else Severity.INFO,
            message=_message(subject, call, data, names),
            remedy=_remedy(call, names, lines, code),
            code=lines + code,
            safe=False,
            costs_time=False,
        )


def _corrected(subject: Subject, call: Call, data: Value) -> tuple[str, ...]:
    """The call as Keras 3 takes it, with whole numbers of steps (KD716) too."""
    steps = list(fractions(subject, call, data))
    left_away = tuple(name for name, _, rounded in steps if rounded is None)
    edits = [put_in_place(keyword.value, rounded) for _, keyword, rounded in steps if rounded is not None]
    return for_keras_3(subject.script, call, left_away, edits)


def _message(subject: Subject, call: Call, data: Value, names: list[str]) -> str:
    keras, is_old_method = subject.keras, call.method.endswith("_generator")
    version = "Keras 3" if keras.is_3 is None else keras.name
    what = (
        f"{version} has no {call.method}" if is_old_method else f"{call.method} of {version} takes no {_joined(names)}"
    )
    if keras.is_3 is None:
        return f"{what}; no Keras is installed here that would tell which one this script runs."
    result = "an AttributeError" if is_old_method else "a TypeError"
    kind = foreign_class(call.receiver)
    if kind is not None and not is_of_keras(call, data):
        return f"{what}: if {kind} is a Keras model, the call is {result}."
    return f"{what}, and the call is {result}."


def _remedy(call: Call, names: list[str], lines: tuple[str, ...], code: tuple[str, ...]) -> str:
    method = call.method.partition("_")[0]
    if lines:
        return f"Set it on what is read, and call {method} without it:"
    if names:
        return f"Call {method} without it:"
    return f"Call {method}:" if code else f"Call {method} instead."


def _attributes(subject: Subject, call: Call, data: Value, names: list[str]) -> tuple[str, ...]:
    """The settings as lines before the call, where what is read may have them: datasets and arrays have none.

    Processes are not passed on to an ImageDataGenerator: all of them would draw the same augmentations (KD703).
    """
    name = name_of_data(subject.script, call)
    if not is_dotted_name(name) or not (iterator_call(data) or is_py_dataset(data)):
        return ()
    wanted = [one for one in _ATTRIBUTES if one in names and not (iterator_call(data) and one == "use_multiprocessing")]
    return tuple(
        f"{name}.{keyword.arg} = {source_of(subject.script, keyword.value)}"
        for keyword in call.node.keywords
        if keyword.arg in wanted
    )


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
