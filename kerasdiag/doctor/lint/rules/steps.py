"""KD716: steps_per_epoch rounded down, which Keras 3 takes otherwise than Keras 2."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.models import FIT_METHODS, iterator_call, readings
from kerasdiag.doctor.lint.places import without_arguments
from kerasdiag.doctor.lint.values import Call, Literal, Quotient, Value, number_of
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_REFERENCES = ("https://github.com/keras-team/keras/blob/v3.0.0/keras/trainers/epoch_iterator.py",)


@check("KD716", "steps-rounded-down", needs=("scripts",), uses=("packages",))
def steps_rounded_down(environment: Environment) -> Answer:
    """`steps_per_epoch=samples // batch_size` with a generator: on Keras 3 every second epoch is one step.

    What it finds:
        `fit` on Keras 3 with an ImageDataGenerator and a `steps_per_epoch` that is a division
        rounded down. Silent where both numbers stand in the script and divide without rest, and on Keras 2.

    Why it matters:
        The generator has one batch more than the steps, that of the rest. Keras 2 went on reading; Keras 3 reads that
        one batch as a whole epoch: 9 batches under 8 steps train 8, 1, 8, 1 (measured on 3.15.1; 8, 8, 8, 8 on
        2.10). Callbacks, schedules and validation run for the short epochs too.

    Example:
        steps_per_epoch is rounded down: where a rest is left, every second epoch of keras 3.15.1 is a single step.

    Fix:
        Leave `steps_per_epoch` away: Keras takes `len(train_generator)`, the last smaller batch included.

    When to ignore:
        The number of samples is a multiple of the batch size, so that no rest is left.
    """
    return examine_scripts(environment, "KD716", _rule, _REFERENCES)


def _rule(subject: Subject) -> Iterator[Hit]:
    keras = subject.keras
    if not keras.is_3:
        return
    for call, data in readings(subject.record, FIT_METHODS):
        flow = iterator_call(data)
        steps = call.argument("steps_per_epoch")
        if not isinstance(steps, Quotient) or flow is None or number_of(call.argument("epochs")) == 1:
            continue
        samples, batch = number_of(steps.left), number_of(steps.right)
        own_batch = number_of(_batch_size(flow))
        if batch is not None and own_batch is not None and batch != own_batch:
            continue  # another count than the batches of the generator
        is_known = samples is not None and bool(batch)
        if is_known and samples is not None and batch and samples % batch == 0:
            continue
        condition = (
            f"{samples:,.0f} is no multiple of {batch:,.0f}, and" if is_known and batch else "where a rest is left,"
        )
        keyword = call.keyword_node("steps_per_epoch")
        if keyword is None:
            continue
        yield Hit(
            node=keyword,
            severity=Severity.ERROR if is_known else Severity.WARN,
            message=f"steps_per_epoch is rounded down: {condition} every second epoch of {keras.name} is a single step.",
            remedy="Leave it away; fit takes the number of batches from the generator:",
            code=without_arguments(subject.script, call.node, ("steps_per_epoch",), "fit"),
            safe=False,
            costs_time=False,
        )


def _batch_size(flow: Call) -> Value:
    return flow.argument("batch_size") or Literal(32)
