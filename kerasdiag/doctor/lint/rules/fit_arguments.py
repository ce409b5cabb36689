"""KD701: arguments of fit that Keras 3 no longer takes."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.models import readings
from kerasdiag.doctor.lint.places import without_arguments
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_GONE = ("workers", "use_multiprocessing", "max_queue_size", "max_q_size", "nb_worker", "pickle_safe")
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
    for call, _ in readings(subject.record):
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
        setting = names[0] if names else ""
        advice = (
            f"Set {setting} on the object that is read (`train_generator.{setting} = ...`), and call:"
            if names
            else "Call:"
        )
        yield Hit(
            node=call.node,
            severity=Severity.ERROR if keras.is_3 else Severity.INFO,
            message=message,
            remedy=advice,
            code=without_arguments(subject.script, call.node, _GONE, method if is_old_method else None),
            safe=False,
            costs_time=False,
        )


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
