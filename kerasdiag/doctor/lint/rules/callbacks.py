"""KD714: callbacks that work after every batch, and pipelines that start anew in a loop."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.corrections import without_arguments
from kerasdiag.doctor.lint.gaps import CALLBACKS
from kerasdiag.doctor.lint.names import last_of_keras
from kerasdiag.doctor.lint.pipelines import mixes
from kerasdiag.doctor.lint.values import Call, Class, Dataset, Items, Literal, Result
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_PER_BATCH = ("on_train_batch_end", "on_train_batch_begin", "on_batch_end", "on_batch_begin")
_SLOW_IN_BATCH = ("predict", "evaluate", "numpy", "save", "save_weights", "get_weights", "savefig")
_OFTEN = 50  # batches between two writings of TensorBoard
_LONG = 500  # batches under the profiler
_REFERENCES = ("https://www.tensorflow.org/guide/gpu_performance_analysis",)


@check("KD714", "busy-callback", needs=("scripts",), uses=("packages", "profile"))
def busy_callback(environment: Environment) -> Answer:
    """A callback works after every batch, or a dataset starts anew in every round of a loop.

    What it finds:
        A callback whose batch method calls `predict`, `evaluate`, `save` or `.numpy()`; TensorBoard with
        `update_freq="batch"` (or fewer than 50 batches) or a profile of more than 500 batches; `next(iter(dataset))`
        in a loop, which starts the pipeline, its shuffle buffer included, each time.

    Why it matters:
        The device waits while the callback works, and reading a value waits for the device: they take turns
        instead of overlapping.

    Example:
        TensorBoard(update_freq="batch") writes after every batch.

    Fix:
        `on_epoch_end`, or every 100 batches; `update_freq="epoch"`; one `iter(dataset)` before the loop.

    When to ignore:
        The method returns at once for most batches.
    """
    return examine_scripts(environment, "KD714", _rule, _REFERENCES, CALLBACKS)


def _rule(subject: Subject) -> Iterator[Hit]:
    for call in subject.record.calls:
        if last_of_keras(call.name) == "TensorBoard":
            yield from _of_tensorboard(subject, call)
        dataset = _started_anew(call)
        if dataset is not None:
            gives = (
                "and fills the shuffle buffer each time"
                if any(map(mixes, dataset.steps))
                else "and always gives its beginning"
            )
            yield Hit(
                node=call.node,
                severity=Severity.WARN,
                message=f"next(iter(dataset)) in a loop starts the pipeline anew in every round, {gives}.",
                remedy="Make one iterator before the loop, and take next() of it inside.",
                safe=False,
                costs_wait=False,
            )
    for kind in subject.record.classes:
        if any(last_of_keras(name) == "Callback" for name in kind.base_names()):
            yield from _of_callback(subject, kind)


def _of_tensorboard(subject: Subject, call: Call) -> Iterator[Hit]:
    frequency, keyword = call.argument("update_freq"), call.keyword_node("update_freq")
    number = number_of(frequency)
    if keyword is not None and (frequency == Literal("batch") or (number is not None and 0 < number < _OFTEN)):
        written = '"batch"' if number is None else f"{number:.0f}"
        when = "every batch" if number in (None, 1) else f"every {number:.0f} batches"
        yield Hit(
            node=keyword,
            severity=Severity.WARN,
            message=f"TensorBoard(update_freq={written}) writes after {when}.",
            remedy="Write once an epoch:",
            code=without_arguments(subject, call.node, ("update_freq",)),
            safe=True,
            costs_wait=False,
        )
    batches, keyword = call.argument("profile_batch"), call.keyword_node("profile_batch")
    if isinstance(batches, Items) and len(batches.items) == 2 and keyword is not None:
        first, last = map(number_of, batches.items)
        if first is not None and last is not None and last - first > _LONG:
            yield Hit(
                node=keyword,
                severity=Severity.WARN,
                message=f"TensorBoard profiles {last - first:,.0f} batches; each is slower, and all are held in memory.",
                remedy="A few dozen after the warm-up tell as much: profile_batch=(10, 30).",
                safe=True,
                costs_wait=False,
            )


def _started_anew(call: Call) -> Dataset | None:
    """The dataset of ``next(iter(dataset))`` in a loop, where it is the same in every round."""
    value = call.positional[0] if call.name == "next" and call.loop is not None and call.positional else None
    if not isinstance(value, Result) or value.call.name != "iter" or not value.call.positional:
        return None
    dataset = value.call.positional[0]
    return dataset if isinstance(dataset, Dataset) and dataset.steps[-1].call.loop is not call.loop else None


def _of_callback(subject: Subject, kind: Class) -> Iterator[Hit]:
    for name in _PER_BATCH:
        method = kind.methods.get(name)
        for call in subject.record.calls_of(method) if method else ():
            if call.method in _SLOW_IN_BATCH and _is_slow(call):
                yield Hit(
                    node=call.node,
                    severity=Severity.WARN,
                    message=f"{kind.node.name} calls {call.method} at every batch, and the training waits for it.",
                    remedy="Move it to on_epoch_end, or do it every hundredth batch.",
                    safe=False,
                    costs_wait=False,
                )


def _is_slow(call: Call) -> bool:
    """Whether a call works at each batch: neither behind a condition, nor of a text that is written down."""
    return call.is_certain and call.receiver is not None and not isinstance(call.receiver, Literal)
