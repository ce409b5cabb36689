"""KD704 and KD713: ImageDataGenerator, and its options that make it slower still."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.demand import demand_of
from kerasdiag.diagnosis import PARTLY_INPUT_BOUND_FRACTION
from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.corrections import with_argument, without_arguments
from kerasdiag.doctor.lint.gaps import FIT_INPUT
from kerasdiag.doctor.lint.models import FIT_METHODS, FLOW_METHODS, iterator_call, readings
from kerasdiag.doctor.lint.repair_advice import advice
from kerasdiag.doctor.lint.values import Call, Function, Literal, Result
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_FROM_FILES = ("flow_from_directory", "flow_from_dataframe")
_MAKING_PATHS = ("os.path.join", "pathlib.Path")
_MANY_ROWS = 100_000  # a look at each takes about 30 s there (keras-preprocessing #171: 150,000 rows)


@check("KD704", "image-data-generator", needs=("scripts",), uses=("packages", "profile"))
def image_data_generator(environment: Environment) -> Answer:
    """The training reads its images through ImageDataGenerator, which decodes and warps them in Python.

    What it finds:
        A `fit` whose input comes from `flow_from_directory` or `flow_from_dataframe`. A note, unless a profile
        shows that the training waits for it.

    Why it matters:
        Each image is decoded in full and warped by SciPy, every epoch anew, on one thread unless told otherwise. On two
        cores it makes 140 to 210 images of 300x300 a second; GPUs take thousands.

    Example:
        The training reads its images through an ImageDataGenerator, which decodes and warps each of them in Python.

    Fix:
        Measure with BottleneckProfiler among the callbacks of fit. If the training waits, autofix makes a tf.data pipeline
        with the same images and the same augmentations of it, from the next run on. With a profile of such a training
        (--profile FILE) the line is `train_generator = autofix(train_generator, "FILE")`.

    When to ignore:
        The profile says that the training does not wait for its data.
    """
    return examine_scripts(
        environment,
        "KD704",
        _generator_rule,
        ("https://www.tensorflow.org/api_docs/python/tf/keras/preprocessing/image/ImageDataGenerator",),
        FIT_INPUT,
    )


def _generator_rule(subject: Subject) -> Iterator[Hit]:
    demand = demand_of(subject.environment.profile)
    waits = demand is not None and demand.wait_fraction >= PARTLY_INPUT_BOUND_FRACTION
    for call, data in readings(subject.record, FIT_METHODS):
        flow = iterator_call(data)
        if flow is None or flow.method not in _FROM_FILES:
            continue
        todo = advice(subject, call)
        yield Hit(
            node=call.node,
            severity=Severity.WARN if waits else Severity.INFO,
            message="The training reads its images through an ImageDataGenerator, which decodes and warps each of them in Python.",
            remedy=todo.text,
            code=todo.code,
            safe=True,
        )


@check("KD713", "slow-generator-option", needs=("scripts",), uses=("packages", "data", "profile"))
def slow_generator_option(environment: Environment) -> Answer:
    """An option of ImageDataGenerator makes it slower: pictures saved, files looked up, Python functions.

    What it finds:
        `save_to_dir` with a folder (a warning; not where an option of the script decides); a `preprocessing_function`
        that the script defines itself (a note); `flow_from_dataframe` without `validate_filenames=False` where the
        data (--data) have more than 100,000 files (a note).

    Why it matters:
        `save_to_dir` encodes and writes every image of every batch again. A function in Python runs for each image, one
        after the other. Looking up every file before the first step took 30 s for 150,000 rows.

    Example:
        save_to_dir writes every augmented image of every batch to disk.

    Fix:
        Take `save_to_dir` away once you have seen the pictures; work on whole batches in the model instead of
        on single images; `validate_filenames=False` once the list has been checked.

    When to ignore:
        The pictures are what you want; the training does not wait for its data.
    """
    return examine_scripts(
        environment,
        "KD713",
        _option_rule,
        ("https://github.com/keras-team/keras-preprocessing/issues/171",),
        FIT_INPUT,
    )


def _option_rule(subject: Subject) -> Iterator[Hit]:
    trained = {id(flow.node) for _, data in readings(subject.record) for flow in [iterator_call(data)] if flow}
    for call in subject.record.calls:
        if call.method not in FLOW_METHODS or iterator_call(Result(call)) is None or id(call.node) not in trained:
            continue  # one that no training reads only shows pictures
        yield from _of_flow(subject, call)
        function = call.receiver.call.argument("preprocessing_function") if isinstance(call.receiver, Result) else None
        keyword = (
            call.receiver.call.keyword_node("preprocessing_function") if isinstance(call.receiver, Result) else None
        )
        if isinstance(function, Function) and keyword is not None:
            yield Hit(
                node=keyword,
                severity=Severity.INFO,
                message="preprocessing_function calls Python once for each image, one after the other.",
                remedy="Do it for a whole batch: in a layer at the beginning of the model.",
            )


def _of_flow(subject: Subject, call: Call) -> Iterator[Hit]:
    saved = call.argument("save_to_dir")
    keyword = call.keyword_node("save_to_dir")
    is_set = isinstance(saved, Literal) and isinstance(saved.value, str) and saved.value != ""
    is_made = isinstance(saved, Result) and saved.call.name in _MAKING_PATHS
    if keyword is not None and (is_set or is_made):
        yield Hit(
            node=keyword,
            severity=Severity.WARN,
            message="save_to_dir writes every augmented image of every batch to disk.",
            remedy="Take it away once you have seen the pictures:",
            code=without_arguments(subject, call.node, ("save_to_dir", "save_prefix", "save_format")),
            safe=True,
        )
    data = subject.environment.data
    if call.method == "flow_from_dataframe" and data and data.count > _MANY_ROWS and not call.has("validate_filenames"):
        yield Hit(
            node=call.node,
            severity=Severity.INFO,
            message=f"flow_from_dataframe looks up each of {data.count:,} files before the first step.",
            remedy="Once you know that all files exist:",
            code=with_argument(subject, call.node, "validate_filenames=False"),
            numbers={"num_files": data.count},
            safe=False,
        )
