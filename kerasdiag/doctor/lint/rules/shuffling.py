"""KD708: shuffles that mix little, or hold more than the memory."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.datasets import IMAGE_FOLDER
from kerasdiag.doctor.lint.gaps import PIPELINES
from kerasdiag.doctor.lint.images import first_input, shape_of
from kerasdiag.doctor.lint.pipelines import batch_before, batch_size, mixes, most_elements, trained
from kerasdiag.doctor.lint.values import Call, Dataset, Step
from kerasdiag.doctor.wording import size
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_REFERENCES = (
    "https://www.tensorflow.org/api_docs/python/tf/data/Dataset#shuffle",
    "https://github.com/tensorflow/models/pull/2569",
)
_VALUE_BYTES = 4  # float32, which tf.image.resize and image_dataset_from_directory give


@check("KD708", "weak-shuffle", needs=("scripts",), uses=("data",))
def weak_shuffle(environment: Environment) -> Answer:
    """A shuffle of tf.data holds more than the memory, mixes whole batches, or hardly mixes at all.

    What it finds:
        A `shuffle(n)` of decoded images whose size the script says, and n of them are more than the memory that the
        process may take (a note where nobody says how many images there are: --data does); one after
        `batch` on a dataset that is trained on; one whose n is no more than a batch.

    Why it matters:
        The buffer holds n elements. Decoded images fill the memory, and the process is killed. After `batch` it holds n
        batches, and the same examples stay together. A buffer of one batch leaves files sorted by class sorted.

    Example:
        shuffle(50000) holds up to 50,000 images of 224x224 in float32: 30 GB, where 8.2 GB of memory are left.

    Fix:
        Shuffle paths or encoded records, before decoding and before batch, with n as large as the data.

    When to ignore:
        The data are fewer than n, and small; whole batches are shuffled besides the examples.
    """
    return examine_scripts(environment, "KD708", _rule, _REFERENCES, PIPELINES)


def _rule(subject: Subject) -> Iterator[Hit]:
    trained_on = [dataset for _, dataset in trained(subject.record)]
    for dataset in (*subject.record.longest, *trained_on):
        for number, step in enumerate(dataset.steps):
            if step.operation != "shuffle" or not step.is_in_line:
                continue
            buffer = number_of(step.call.argument("buffer_size", 0))
            before = dataset.steps[:number]
            batch = batch_before(before)
            if buffer is not None and before:
                yield from _too_large(subject, step.call, int(buffer), before, batch)
            if dataset in trained_on:
                yield from _mixes_little(dataset, number, buffer, batch)


def _too_large(
    subject: Subject, call: Call, buffer: int, before: tuple[Step, ...], batch: Step | None
) -> Iterator[Hit]:
    available = subject.environment.memory.available_bytes
    shape = shape_of(subject.record, first_input(before[-1].element))
    per_element = 1.0 if batch is None else batch_size(batch) or 0
    if shape is None or not available or not per_element:
        return
    data, most = subject.environment.data, most_elements(before)
    images = int((buffer if most is None else min(buffer, most)) * per_element)
    held = min(images, data.count) if data is not None and data.is_complete else images
    height, width, channels = shape
    num_bytes = held * height * width * channels * _VALUE_BYTES
    if num_bytes <= available:
        return
    is_counted = data is not None and data.is_complete
    yield Hit(
        node=call.node,
        severity=Severity.ERROR if is_counted else Severity.WARN if batch is None else Severity.INFO,
        message=f"shuffle({buffer}) holds {'' if is_counted else 'up to '}{held:,} images of {height}x{width} in float32: "
        f"{size(num_bytes)}, where {size(available)} of memory are left.",
        remedy="Shuffle before the images are decoded: paths or encoded records are a few bytes or kilobytes each.",
        numbers={"buffer_size": buffer, "num_bytes": num_bytes, "available_bytes": available},
        why=() if is_counted else ("how many images there are is not known (--data)",),
        safe=False,
        costs_time=False,
    )


def _mixes_little(dataset: Dataset, number: int, buffer: float | None, batch: Step | None) -> Iterator[Hit]:
    call, before, after = dataset.steps[number].call, dataset.steps[:number], dataset.steps[number + 1 :]
    is_mixed_before = any(mixes(step) for step in before)
    following = next((step for step in after if step.operation in ("batch", "padded_batch")), None)
    if batch is not None:
        # Whole batches in another order are of use where their examples were mixed before, each epoch anew. And where
        # batches are made of them again, they are the examples: sequences of a text.
        if not is_mixed_before and batch.operation != IMAGE_FOLDER and batch.is_certain and following is None:
            yield Hit(
                node=call.node,
                severity=Severity.WARN,
                message="shuffle stands after batch: it puts batches in another order, and the same examples stay together.",
                remedy="Move it before batch, with a buffer as large as the data.",
                safe=False,
                costs_time=False,
            )
        return
    taken, most = batch_size(following) if following else None, most_elements(before)
    if buffer is None or taken is None or buffer > taken or is_mixed_before:
        return
    if most is not None and most <= buffer:
        return  # all of them are mixed
    yield Hit(
        node=call.node,
        severity=Severity.WARN,
        message=f"shuffle({buffer:.0f}) mixes within {buffer:.0f} examples, no more than a batch of {taken:.0f}: "
        "what lies together stays together.",
        remedy="Take a buffer as large as the data, before they are decoded.",
        numbers={"buffer_size": buffer, "batch_size": taken},
        safe=False,
        costs_time=False,
    )
