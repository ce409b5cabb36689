"""KD710: more threads than cores, written into the script."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.corrections import replaced
from kerasdiag.doctor.lint.gaps import PIPELINES
from kerasdiag.doctor.lint.models import FIT_METHODS, is_py_dataset, iterator_call, readings
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

WORKERS_PER_CORE = 2  # as KD702, which has the measurement
_REFERENCES = ("https://www.tensorflow.org/guide/data_performance",)


@check("KD710", "more-threads-than-cores", needs=("scripts",), uses=("packages", "profile"), is_opt_in=True)
def more_threads_than_cores(environment: Environment) -> Answer:
    """The script asks for more threads than this process has cores.

    What it finds:
        `map(num_parallel_calls=n)` with more calls than cores, and `workers=n` (in fit, or set on the generator) with
        more than two for each core; n as a number in the script. Containers and quotas count as they are here.
        Opt-in: in public scripts it is frequent and costs little.

    Why it matters:
        The number was right on another machine. Here the threads take each other's turns, and each holds a
        batch or an image in memory.

    Example:
        num_parallel_calls is 16, and this process has 8 cores.

    Fix:
        `num_parallel_calls=tf.data.AUTOTUNE` fits any machine; workers: as many as cores, twice that at most.

    When to ignore:
        The function waits for a network rather than computing.
    """
    return examine_scripts(environment, "KD710", _rule, _REFERENCES, PIPELINES)


def _rule(subject: Subject) -> Iterator[Hit]:
    cores = subject.environment.cores
    for dataset in subject.record.longest:
        for step in dataset.steps:
            keyword = step.call.keyword_node("num_parallel_calls")
            calls = number_of(step.call.argument("num_parallel_calls"))
            if step.operation == "map" and keyword is not None and calls is not None and calls > cores:
                autotuned = subject.autotuned("")
                code = replaced(subject, keyword.value, autotuned.text)
                code = autotuned.imports + code if code else ()
                yield _hit(keyword, "num_parallel_calls", int(calls), cores, code)
    most = WORKERS_PER_CORE * cores
    for call, _ in readings(subject.record, FIT_METHODS):
        workers = number_of(call.argument("workers"))
        keyword = call.keyword_node("workers")
        if keyword is not None and workers is not None and workers > most and subject.keras.is_3 is False:
            yield _hit(keyword, "workers", int(workers), cores, replaced(subject, keyword.value, str(cores)))
    for owner, name, value, place, _ in subject.record.settings:
        workers = number_of(value)
        is_many = name == "workers" and workers is not None and workers > most
        if is_many and workers is not None and (iterator_call(owner) or is_py_dataset(owner)):
            code = replaced(subject, place.value, str(cores)) if isinstance(place, ast.Assign) else ()
            yield _hit(place, "workers", int(workers), cores, code)


def _hit(node: ast.AST, name: str, number: int, cores: int, code: tuple[str, ...]) -> Hit:
    return Hit(
        node=node,
        severity=Severity.INFO,
        message=f"{name} is {number}, and this process has {cores} core{'s' if cores > 1 else ''}.",
        remedy="Take what fits this machine:",
        code=code,
        numbers={name: number, "cores": cores},
        safe=True,
    )
