"""KD712: TFRecord files that are read one after the other, or unpacked."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.corrections import with_argument
from kerasdiag.doctor.lint.gaps import PIPELINES
from kerasdiag.doctor.lint.values import Call, Items, Literal, Result, Value
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage_class import StorageClass
from kerasdiag.findings import Severity

_LISTING = ("glob", "glob.glob", "tensorflow.io.gfile.glob", "tensorflow.gfile.Glob", "tensorflow.io.matching_files")
_SLOW = (StorageClass.ROTATING, StorageClass.NETWORK)
_REFERENCES = ("https://www.tensorflow.org/guide/data_performance#parallelizing_data_extraction",)


@check("KD712", "records-read-one-by-one", needs=("scripts",), uses=("packages", "data", "profile"))
def records_read_one_by_one(environment: Environment) -> Answer:
    """TFRecord files are read one after the other, or unpacked on a disk that does not need it.

    What it finds:
        `TFRecordDataset` of a list of files (glob, or written down) without `num_parallel_reads`, and
        `compression_type="GZIP"`. Notes; the first is a warning where --data lie on a network or hard disk.

    Why it matters:
        One file is read at a time, and the training waits for each open and each round trip of a network. GZIP is
        unpacked on one core, slower than a solid-state disk reads.

    Example:
        TFRecordDataset reads its files one after the other.

    Fix:
        `TFRecordDataset(files, num_parallel_reads=tf.data.AUTOTUNE)`; it mixes the records of the files.

    When to ignore:
        There is one file; or the order of the records matters.
    """
    return examine_scripts(environment, "KD712", _rule, _REFERENCES, PIPELINES)


def _rule(subject: Subject) -> Iterator[Hit]:
    data = subject.environment.data
    is_slow = data is not None and data.storage.storage_class in _SLOW
    for dataset in subject.record.longest:
        call = dataset.steps[0].call
        if dataset.steps[0].operation != "TFRecordDataset":
            continue
        if _is_list(call.argument("filenames", 0)) and not call.has("num_parallel_reads", 3):
            autotuned = subject.autotuned("num_parallel_reads=")
            code = with_argument(subject, call.node, autotuned.text)
            yield Hit(
                node=call.node,
                severity=Severity.WARN if is_slow else Severity.INFO,
                message="TFRecordDataset reads its files one after the other.",
                remedy="Read several at a time; their records come mixed:",
                code=autotuned.imports + code if code else (),
                why=(f"the data lie on a {data.storage.storage_class} disk",) if is_slow and data else (),
                safe=False,
            )
        keyword = call.keyword_node("compression_type")
        if (
            keyword is not None
            and call.argument("compression_type") in (Literal("GZIP"), Literal("ZLIB"))
            and not is_slow
        ):
            yield Hit(
                node=keyword,
                severity=Severity.INFO,
                message="The records are unpacked on one core, slower than a solid-state disk reads them.",
                remedy="Write them without compression; JPEG and PNG do not become smaller by it.",
            )


def _is_list(value: Value | None) -> bool:
    if isinstance(value, Items):
        return len(value.items) > 1
    return isinstance(value, Result) and _lists_files(value.call)


def _lists_files(call: Call) -> bool:
    if call.name == "sorted":
        return any(_is_list(value) for value in call.positional)
    return call.name in _LISTING or call.name.endswith(".glob.glob")
