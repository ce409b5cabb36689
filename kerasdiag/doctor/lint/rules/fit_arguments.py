"""KD701: arguments of fit that Keras 3 no longer takes."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.models import is_py_dataset, iterator_call, readings
from kerasdiag.doctor.lint.places import name_of_data, source_of, without_arguments
from kerasdiag.doctor.lint.values import Call, Value
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_GONE = ("workers", "use_multiprocessing", "max_queue_size", "max_q_size", "nb_worker", "pickle_safe")
_ATTRIBUTES = ("workers", "use_multiprocessing", "max_queue_size")  # of what is read
_REFERENCES = ("https://github.com/keras-team/keras/blob/v3.0.0/keras/trainers/trainer.py",)


@check("KD701", "keras-2-fit-call", needs=("scripts",), uses=("packages",))
def keras_2_fit_call(environment: Environment) -> Answer:
    """A call of fit, evaluate or predict is written for Keras 2 and fails on Keras 3.

    What it finds:
        `workers`, `use_multiprocessing` or `max_queue_size` among the arguments of `fit`, `evaluate` or `predict`, and
        calls of `fit_generator`, where the installed Keras is 3. Silent on Keras 2, where they are settings.

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
    return examine_scripts(environment, "KD701", _rule, _REFERENCES)


def _rule(subject: Subject) -> Iterator[Hit]:
    keras = subject.keras
    if keras.is_3 is False:
        return
    for call, data in readings(subject.record):
        names = [name for name in _GONE if name in call.keywords]
        is_old_method = call.method.endswith("_generator")
        if not (names or is_old_method):
            continue
        method = call.method.partition("_")[0]
        what = (
            f"{keras.name} has no {call.method}"
            if is_old_method
            else f"{method} of {keras.name} takes no {_joined(names)}"
        )
        result = "an AttributeError" if is_old_method else "a TypeError"
        if keras.is_3 is None:
            message = (
                f"Keras 3 has no {call.method}" if is_old_method else f"{method} of Keras 3 takes no {_joined(names)}"
            )
            message += "; no Keras is installed here that would tell which one this script runs."
        else:
            message = f"{what}, and the call is {result}."
        lines = _attributes(subject, call, data, names)
        advice = "Set it on what is read, and call fit without it:" if lines else f"Call {method} without it:"
        yield Hit(
            node=call.node,
            severity=Severity.ERROR if keras.is_3 else Severity.INFO,
            message=message,
            remedy=advice if names else "Call:",
            code=lines + without_arguments(subject.script, call.node, _GONE, method if is_old_method else None),
            safe=False,
            costs_time=False,
        )


def _attributes(subject: Subject, call: Call, data: Value, names: list[str]) -> tuple[str, ...]:
    """The settings as lines before the call, where what is read may have them: datasets and arrays have none.

    Processes are not passed on to an ImageDataGenerator: all of them would draw the same augmentations (KD703).
    """
    name = name_of_data(subject.script, call)
    if not name.isidentifier() or not (iterator_call(data) or is_py_dataset(data)):
        return ()
    wanted = [one for one in _ATTRIBUTES if one in names and not (iterator_call(data) and one == "use_multiprocessing")]
    return tuple(
        f"{name}.{keyword.arg} = {source_of(subject.script, keyword.value)}"
        for keyword in call.node.keywords
        if keyword.arg in wanted
    )


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
