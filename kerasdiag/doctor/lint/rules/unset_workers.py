"""Part of KD702: where a script reads a generator and never sets its workers."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit
from kerasdiag.doctor.lint.corrections import with_argument
from kerasdiag.doctor.lint.models import FIT_METHODS, iterator_call, readings
from kerasdiag.doctor.lint.places import is_dotted_name, name_of_data
from kerasdiag.doctor.lint.values import Value
from kerasdiag.findings import Severity

_FEW = 4  # enough to hide reading; more share one interpreter


def unset_workers(subject: Subject) -> Iterator[Hit]:
    """Yield each ``fit`` with an ImageDataGenerator that one worker will read."""
    keras = subject.keras
    if keras.is_3 is None:
        return
    cores = subject.environment.cores
    for call, data in readings(subject.record, FIT_METHODS):
        if iterator_call(data) is None or call.has("workers") or _is_set(subject, data):
            continue
        name, workers = name_of_data(subject.script, call), min(_FEW, cores)
        if keras.is_3:
            code: tuple[str, ...] = (f"{name}.workers = {workers}",) if is_dotted_name(name) else ()
        else:
            code = with_argument(subject, call.node, f"workers={workers}")
        yield Hit(
            node=call.node,
            severity=Severity.INFO,
            message=f"The generator is read by 1 worker, for the script sets none; this process has {cores} cores.",
            remedy="Let a profile tell whether the training waits (--profile FILE). If it does, before fit:"
            if keras.is_3
            else "Let a profile tell whether the training waits (--profile FILE). If it does:",
            code=code,
            why=(f"{keras.name} takes workers {'on the generator' if keras.is_3 else 'in fit'}",),
            numbers={"cores": cores},
            safe=False,
        )


def _is_set(subject: Subject, data: Value) -> bool:
    return any(each.name == "workers" and each.owner is data for each in subject.record.settings)
