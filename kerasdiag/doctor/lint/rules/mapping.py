"""KD705, KD706 and KD709: how the work of a tf.data pipeline is spread."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.compat import version_matches
from kerasdiag.doctor.check import Answer, check, skipped
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.corrections import with_argument
from kerasdiag.doctor.lint.datasets import FOLLOWED
from kerasdiag.doctor.lint.gaps import FIT_INPUT, PIPELINES
from kerasdiag.doctor.lint.pipelines import is_followed_by, is_random_image_call, trained
from kerasdiag.doctor.lint.places import is_dotted_name, name_of_data
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import Call, Function, Step
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_GUIDE = "https://www.tensorflow.org/guide/data_performance"
# tf.data options since TensorFlow 2.11 have inject_prefetch, which is on unless switched off (2.10: off).
_INJECTS_PREFETCH = ">=2.11"
_HEAVY = ("tensorflow.image.", "tensorflow.io.", "tensorflow.audio.", "tensorflow_addons.")
_LIGHT = ("convert_image_dtype",)  # a multiplication
_PYTHON_CALLS = ("py_function", "numpy_function", "py_func")
# Sources that hold no images: a map over them seldom costs anything.
_NOT_IMAGES = ("range", "random", "make_csv_dataset", "CsvDataset", "timeseries_dataset_from_array")


@check("KD705", "sequential-map", needs=("scripts",), uses=("packages", "profile"))
def sequential_map(environment: Environment) -> Answer:
    """`map` or `interleave` of a tf.data pipeline works on one element at a time.

    What it finds:
        A `map` or `interleave` without `num_parallel_calls`, whose function decodes, resizes, augments (with
        tf.image or layers of Keras) or calls other code. Not functions that only pick, cast or rescale. A note where
        `cache()` follows, or the process has one core.

    Why it matters:
        One core prepares the data while the others wait. TensorFlow's own guide names it first, and it is
        what most confirmed performance bugs of tf.data scripts were (DeepPerf, 2021).

    Example:
        map works on one element at a time, where this process has 8 cores.

    Fix:
        `map(f, num_parallel_calls=tf.data.AUTOTUNE)`. The order of the elements stays.

    When to ignore:
        The function is cheaper than handing it to another thread; the data are few.
    """
    return examine_scripts(environment, "KD705", _map_rule, (_GUIDE, "https://arxiv.org/abs/2112.01771"), PIPELINES)


def _map_rule(subject: Subject) -> Iterator[Hit]:
    cores = subject.environment.cores
    for dataset in subject.record.longest:
        if dataset.steps[0].operation in _NOT_IMAGES:
            continue
        for step in dataset.steps[1:]:
            call = step.call
            if step.operation not in ("map", "interleave") or call.has(
                "num_parallel_calls", 1 if step.operation == "map" else 3
            ):
                continue
            if not _is_work(subject.record, step):
                continue
            is_cached = is_followed_by(subject.record, step, "cache")
            autotuned = subject.autotuned("num_parallel_calls=")
            code = with_argument(subject, call.node, autotuned.text)
            yield Hit(
                node=call.node,
                severity=Severity.INFO if is_cached or cores == 1 else Severity.WARN,
                message=f"{step.operation} works on one element at a time, where this process has {cores} core{'s' if cores > 1 else ''}.",
                remedy="Let tf.data choose how many; the order stays:",
                code=autotuned.imports + code if code else (),
                why=("cache() follows: only the first epoch is slower",) if is_cached else (),
                numbers={"cores": cores},
                safe=True,
            )


def _is_work(record: Record, step: Step) -> bool:
    """Whether the function of a map does more than picking, casting and arithmetic."""
    if step.operation == "interleave":
        is_seen = isinstance(step.call.argument("map_func", 0), Function)
        return not is_seen or any("RecordDataset" in call.method or "LineDataset" in call.method for call in step.calls)
    return any(_is_heavy(record, call) for call in step.calls)


def _is_heavy(record: Record, call: Call) -> bool:
    is_ready_made = call.name.startswith(_HEAVY) and call.method not in _LIGHT
    return is_ready_made or call.method in _PYTHON_CALLS or is_random_image_call(record, call)


@check("KD706", "unbuffered-end", needs=("scripts",), uses=("packages", "profile"), is_opt_in=True)
def unbuffered_end(environment: Environment) -> Answer:
    """The tf.data pipeline that fit reads does not end with prefetch.

    What it finds:
        On TensorFlow up to 2.10, a dataset handed to `fit` without a `prefetch` after its last `map` or `batch`. From
        2.11 on tf.data adds one of itself, and this check is skipped. Opt-in: the batches of small data cost nothing.

    Why it matters:
        While the model computes, nobody prepares the next batch, and while a batch is prepared, the model
        waits: the times add up instead of overlapping. Keras adds no prefetch to a dataset.

    Example:
        The dataset of fit ends with batch, without prefetch: preparing a batch and computing take turns.

    Fix:
        `dataset.prefetch(tf.data.AUTOTUNE)` as the last call of the pipeline. No element changes.

    When to ignore:
        The data are cached in memory, and the model computes for much longer than copying a batch takes.
    """
    packages = environment.packages
    version = packages.tensorflow[1] if packages and packages.tensorflow else None
    if version is not None and version_matches(version, _INJECTS_PREFETCH):
        return skipped(f"TensorFlow {version} prefetches of itself at the end of a pipeline")
    return examine_scripts(environment, "KD706", _prefetch_rule, (_GUIDE,), FIT_INPUT)


def _prefetch_rule(subject: Subject) -> Iterator[Hit]:
    for call, dataset in trained(subject.record):
        last = next(
            (
                step
                for step in reversed(dataset.steps)
                if step.operation in ("prefetch", "map", "batch", "padded_batch")
            ),
            None,
        )
        if last is None or last.operation == "prefetch" or last.call.has("num_parallel_calls", 1):
            continue
        if any(step.operation == "prefetch" and not step.is_certain for step in dataset.steps):
            continue
        given, autotuned = name_of_data(subject.script, call), subject.autotuned("")
        yield Hit(
            node=call.node,
            severity=Severity.WARN,
            message=f"The dataset of fit ends with {last.operation}, without prefetch: preparing a batch and computing take turns.",
            remedy="Before fit:",
            code=(*autotuned.imports, f"{given} = {given}.prefetch({autotuned.text})") if is_dotted_name(given) else (),
            safe=True,
        )


@check("KD709", "python-in-pipeline", needs=("scripts",), uses=("profile",))
def python_in_pipeline(environment: Environment) -> Answer:
    """A tf.data pipeline calls Python for each element, where only one thread runs at a time.

    What it finds:
        `tf.py_function` or `tf.numpy_function` in the function of a `map` (a warning; a note where `cache()`
        follows), and `Dataset.from_generator` as the source of a training (a note).

    Why it matters:
        Python runs one thread at a time: `num_parallel_calls` starts many calls that wait for each other. What is
        written in TensorFlow operations runs on all cores.

    Example:
        py_function runs Python for each element, one at a time whatever num_parallel_calls says.

    Fix:
        Write the function with tf operations (tf.io.read_file, tf.io.decode_jpeg, tf.image), or do the work once and
        store its result as TFRecord.

    When to ignore:
        The function spends its time in a library that lets other threads run, such as decoding in PIL or OpenCV.
    """
    return examine_scripts(
        environment,
        "KD709",
        _python_rule,
        ("https://github.com/tensorflow/tensorflow/issues/15694",),
        PIPELINES,
    )


def _python_rule(subject: Subject) -> Iterator[Hit]:
    for dataset in subject.record.longest:
        for step in dataset.steps:
            for call in _python_calls(step):
                is_cached = is_followed_by(subject.record, step, "cache")
                yield Hit(
                    node=call.node,
                    severity=Severity.INFO if is_cached else Severity.WARN,
                    message=f"{call.method} runs Python for each element, one at a time whatever num_parallel_calls says.",
                    remedy="Write it with tf operations, or store its result once (TFRecord, cache()).",
                    why=("cache() follows: only the first epoch is slower",) if is_cached else (),
                )
    for _, dataset in trained(subject.record):
        source = dataset.steps[0]
        if source.operation == "from_generator":
            yield Hit(
                node=source.call.node,
                severity=Severity.INFO,
                message="from_generator reads the data through one Python generator, one element at a time.",
                remedy="If the training waits: a dataset of paths and a map in tf operations, or several generators with interleave.",
            )


def _python_calls(step: Step) -> Iterator[Call]:
    for call in step.calls if step.operation in FOLLOWED else ():
        if call.method in _PYTHON_CALLS and call.name.startswith("tensorflow."):
            yield call
