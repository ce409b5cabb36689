"""KD716: steps_per_epoch rounded down, which Keras 3 takes otherwise than Keras 2."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.corrections import replaced, without_arguments
from kerasdiag.doctor.lint.fit_calls import for_keras_3
from kerasdiag.doctor.lint.gaps import GENERATOR_READER, on_keras_3
from kerasdiag.doctor.lint.models import FIT_METHODS, iterator_call, readings
from kerasdiag.doctor.lint.refused import fractions
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Literal, Member, Quotient, Result, Sum, Value
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_EPOCHS_AT = {"fit": 3, "fit_generator": 2}
_BATCH_SIZE = 32  # of an ImageDataGenerator, unless given
_REFERENCES = ("https://github.com/keras-team/keras/blob/v3.0.0/keras/trainers/epoch_iterator.py",)


@check("KD716", "steps-rounded-down", needs=("scripts",), uses=("packages",))
def steps_rounded_down(environment: Environment) -> Answer:
    """`steps_per_epoch` rounded down with a generator, or not a whole number: Keras 3 takes it otherwise.

    What it finds:
        `fit` on Keras 3 over several epochs, with an ImageDataGenerator and a `steps_per_epoch` that is the number of
        examples by the batch size, rounded down. Silent where both numbers stand in the script and divide without rest,
        and on Keras 2. Also, as an error, any number of steps that is no whole number.

    Why it matters:
        The generator has one batch more than the steps, that of the rest. Keras 2 went on reading; Keras 3 reads that
        one batch as a whole epoch: 9 batches under 8 steps train 8, 1, 8, 1 (measured on 3.15.1 and 3.3.3; 8, 8, 8, 8
        on 2.10). Callbacks, schedules and validation run for the short epochs too. And `samples / batch_size` is a float
        even where nothing is left over: a TypeError on Keras 3, and rounded up on Keras 2.

    Example:
        steps_per_epoch is rounded down: where a rest is left, keras 3.15.1 spends every second epoch on the single batch
        that was left.

    Fix:
        Leave `steps_per_epoch` away: Keras takes `len(train_generator)`, the last smaller batch included.
        `math.ceil(samples / batch_size)` is a whole number.

    When to ignore:
        The number of samples is a multiple of the batch size, so that no rest is left.
    """
    return examine_scripts(environment, "KD716", _rule, _REFERENCES, on_keras_3(GENERATOR_READER))


def _rule(subject: Subject) -> Iterator[Hit]:
    keras = subject.keras
    if not keras.is_3:
        return
    for call, data in readings(subject.record):
        yield from _fractions(subject, call, data)
        if call.method in FIT_METHODS:
            yield from _of_rest(subject, call, data)


def _fractions(subject: Subject, call: Call, data: Value) -> Iterator[Hit]:
    """Numbers of steps that are floats; Keras 3 wants whole numbers."""
    for name, keyword, rounded in fractions(subject, call, data):
        yield Hit(
            node=keyword,
            severity=Severity.ERROR,
            message=f"{name} is a float, and {subject.keras.name} takes whole numbers only: the call is a TypeError.",
            remedy="Round it:" if rounded else "Leave it away; fit takes the number of batches from the generator:",
            code=replaced(subject, keyword.value, rounded) if rounded else _without_steps(subject, call),
            safe=False,
            costs_time=False,
        )


def _of_rest(subject: Subject, call: Call, data: Value) -> Iterator[Hit]:
    flow, steps, keyword = iterator_call(data), call.argument("steps_per_epoch"), call.keyword_node("steps_per_epoch")
    if flow is None or keyword is None or not isinstance(steps, Quotient) or not _counts_batches(steps, flow, data):
        return
    epochs = call.argument("epochs", _EPOCHS_AT[call.method])
    if number_of(epochs) == 1 or (epochs is None and not call.is_open):
        return  # 1 is the default
    samples, batch = number_of(steps.left), number_of(steps.right)
    is_known = samples is not None and bool(batch)
    if samples is not None and batch and samples % batch == 0:
        return
    condition = f"{samples:,.0f} is no multiple of {batch:,.0f}, and" if is_known else "where a rest is left,"
    yield Hit(
        node=keyword,
        severity=Severity.ERROR if is_known else Severity.WARN,
        message=f"steps_per_epoch is rounded down: {condition} {subject.keras.name} spends every second epoch "
        "on the single batch that was left.",
        remedy="Leave it away; fit takes the number of batches from the generator:",
        code=_without_steps(subject, call),
        safe=False,
        costs_time=False,
    )


def _counts_batches(steps: Quotient, flow: Call, data: Value) -> bool:
    """Whether a division may be that of all examples by the batch size; not a part of the batches, or rounded up."""
    left, right = steps.left, steps.right
    if isinstance(left, Sum) and left.adds:
        return False  # (samples + batch_size - 1) // batch_size
    length = left.call.receiver if isinstance(left, Result) and left.call.method == "__len__" else None
    if isinstance(left, Result) and left.call.name == "len" and left.call.positional:
        length = left.call.positional[0]
    if length is data:
        return False  # of the batches themselves
    own = flow.argument("batch_size") or Literal(_BATCH_SIZE)
    if right == Member(data, "batch_size") or right == own:
        return True
    return UNKNOWN in (right, own)


def _without_steps(subject: Subject, call: Call) -> tuple[str, ...]:
    names = ("steps_per_epoch",)
    is_old = call.method != "fit"
    return for_keras_3(subject.script, call, names) if is_old else without_arguments(subject, call.node, names)
