"""KD707: what is cached too late in a pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.gaps import PIPELINES
from kerasdiag.doctor.lint.pipelines import random_image_call, trained
from kerasdiag.doctor.lint.values import Call, Dataset, Literal, Step
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_REFERENCES = (
    "https://github.com/tensorflow/tensorflow/issues/47755",
    "https://www.tensorflow.org/guide/data_performance",
)


@check("KD707", "frozen-augmentation", needs=("scripts",))
def frozen_augmentation(environment: Environment) -> Answer:
    """`cache()` stands after what should be new in every epoch: augmentation, shuffling, repetition.

    What it finds:
        A `cache()` after a `map` that augments images at random, or after an endless `repeat()` (errors; a warning
        where cache or map stand in one branch, a note where a branch inside the function decides); of a dataset that is
        trained on, after its only `shuffle` (a warning).

    Why it matters:
        The first epoch is stored and given again: the model sees the same "random" images, or the same order, in every
        epoch, and learns less from them. After an endless repeat the cache never ends and takes all memory.

    Example:
        cache() keeps what random_flip_left_right drew: every epoch trains on the same augmented images.

    Fix:
        `cache()` directly after decoding and resizing; then shuffle, repeat, augment, batch, prefetch.

    When to ignore:
        The images are synthetic or a fixed set of augmented copies, and are meant to stay the same.
    """
    return examine_scripts(environment, "KD707", _rule, _REFERENCES, PIPELINES)


def _rule(subject: Subject) -> Iterator[Hit]:
    trained_on = [dataset for _, dataset in trained(subject.record)]
    for dataset in (*subject.record.longest, *trained_on):
        for number, step in enumerate(dataset.steps):
            if step.operation == "cache":
                yield from _of_cache(subject, dataset, number, dataset in trained_on)


def _of_cache(subject: Subject, dataset: Dataset, number: int, is_trained_on: bool) -> Iterator[Hit]:
    cache, before, after = dataset.steps[number], dataset.steps[:number], dataset.steps[number + 1 :]
    for place, step in enumerate(before):
        if not (step.is_certain or cache.is_certain):
            continue
        random = random_image_call(subject.record, step)
        if random is not None:
            is_switched = not (step.is_certain and cache.is_certain) or cache.call.branches > step.call.branches
            yield _frozen(cache.call, random, is_switched)
            return
        is_ended = any(each.operation in ("take", "take_while") for each in before[place:])
        if _is_endless(step) and not step.is_part and not is_ended:
            yield Hit(
                node=cache.call.node,
                severity=Severity.ERROR,
                message="cache() stands after an endless repeat(): it never ends and takes memory for every epoch.",
                remedy="Move cache() before repeat().",
                safe=False,
                costs_time=False,
            )
            return
    is_shuffled = any(_shuffles_anew(step) and step.is_in_line for step in before)
    if is_trained_on and is_shuffled and cache.is_certain and not any(step.operation == "shuffle" for step in after):
        yield Hit(
            node=cache.call.node,
            severity=Severity.WARN,
            message="cache() keeps the order that shuffle drew: every epoch sees the examples in the same order.",
            remedy="Move cache() before shuffle().",
            safe=False,
            costs_time=False,
        )


def _frozen(cache: Call, random: Call, is_switched: bool) -> Hit:
    severity = Severity.WARN if is_switched else Severity.ERROR
    return Hit(
        node=cache.node,
        severity=severity if random.is_certain else Severity.INFO,
        message=f"cache() keeps what {random.method or 'the augmentation'} drew: "
        "every epoch trains on the same augmented images.",
        remedy="Move cache() before this map.",
        why=("it may stand in one branch only, and not always be there",)
        if is_switched or not random.is_certain
        else (),
        safe=False,
        costs_time=False,
    )


def _is_endless(step: Step) -> bool:
    count = step.call.argument("count", 0)
    if step.operation != "repeat" or step.call.is_open:
        return False
    number = number_of(count)
    return count is None or count == Literal(None) or (number is not None and number < 0)


def _shuffles_anew(step: Step) -> bool:
    """Whether a shuffle draws another order in each epoch, as it does unless told otherwise."""
    return step.operation == "shuffle" and step.call.argument("reshuffle_each_iteration", 2) in (None, Literal(True))
