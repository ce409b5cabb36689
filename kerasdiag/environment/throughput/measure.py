"""Starts the measuring process, waits for it, and makes facts of what it said; never raises for what it meets."""

from __future__ import annotations

import json
import os
import statistics
import time
from dataclasses import dataclass, field
from typing import Any  # what JSON can hold

from kerasdiag.environment.child_process import run_child
from kerasdiag.environment.data_files import IMAGE_SUFFIXES
from kerasdiag.environment.throughput.facts import (
    STAGES,
    ImageFile,
    ImageWork,
    ReadRate,
    Stage,
    ThreadRate,
    ThroughputFacts,
)

MAX_S = 5.0
MAX_BYTES = 256 * 1024**2
LEAST_S = 1.5  # below it, starting Python and its packages takes all of it
# The last image of each thread, and what the process needs to end.
GRACE_S = 1.5
MOST_THREADS = 16
_THREADS = (1, 2, 4, 8, 16)

_PROCESS = "kerasdiag.environment.throughput.process"
# Libraries of linear algebra must not start threads of their own beside those that are measured.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Sample:
    """What is measured, and how far the measurement may go.

    Attributes:
        files: Files of the data.
        num_read: How many of them, from the first, somebody has read already.
        cores: Cores that the process may use.
        memory_bytes: Memory that it may still take.
        seconds: How long it may take.
        max_bytes: How much it may read.
    """

    files: tuple[str, ...]
    num_read: int
    cores: int
    memory_bytes: int
    seconds: float = MAX_S
    max_bytes: int = MAX_BYTES


def measure_throughput(sample: Sample, work: ImageWork) -> ThroughputFacts:
    """Measure in a child process how fast a sample of images becomes rows of batches.

    Args:
        sample: The files and the limits.
        work: What is done to each image.
    """
    if not any(name.lower().endswith(IMAGE_SUFFIXES) for name in sample.files):
        return ThroughputFacts(work, not_measured="there are no image files among the data")
    if sample.seconds < LEAST_S:
        return ThroughputFacts(work, not_measured="no time was left for it; --timeout gives more", lacks_time=True)
    order = {
        "files": list(sample.files),
        "unread": list(sample.files[sample.num_read :]),
        "target_size": list(work.target_size),
        "steps": list(work.steps),
        "threads": thread_counts(sample.cores),
        "seconds": sample.seconds,
        "until": time.time() + sample.seconds,
        "max_bytes": sample.max_bytes,
        "memory_bytes": sample.memory_bytes,
    }
    return facts_of(_ask(order, sample.seconds), work)


def thread_counts(cores: int) -> list[int]:
    """Return the numbers of threads to measure: more than two for each core take each other's turns."""
    return [count for count in _THREADS if count <= max(2, 2 * cores)]


def facts_of(answer: Answer, work: ImageWork) -> ThroughputFacts:
    """Make facts of the lines that the measuring process wrote."""
    files = {file.path: file for file in answer.files}  # what was decoded comes again, with more
    by_threads: dict[int, list[tuple[float, float]]] = {}
    for pace in answer.paces:
        by_threads.setdefault(int(pace[0]), []).append((float(pace[1]), float(pace[3])))
    rates = tuple(
        ThreadRate(threads, statistics.median(rate for rate, _ in some), statistics.median(cpu_s for _, cpu_s in some))
        for threads, some in sorted(by_threads.items())
    )
    stages: tuple[Stage, ...] = ()
    alone = [shares for pace, shares in zip(answer.paces, answer.shares) if pace[0] == 1]
    if alone and rates[0].threads == 1:
        means = [statistics.median(column) for column in zip(*alone)]
        stages = tuple(
            Stage(name, share / sum(means) / rates[0].images_per_s, answer.held.get(name))
            for name, share in zip(STAGES, means)
        )
    return ThroughputFacts(
        work,
        stages,
        rates,
        tuple(sorted(answer.reads)),
        tuple(files.values()),
        answer.num_timed,
        not_measured=answer.not_measured or ("" if stages else answer.ending),
        lacks_time=answer.is_given_up and not stages,
    )


@dataclass
class Answer:
    """What the measuring process said so far."""

    files: list[ImageFile] = field(default_factory=list)
    reads: list[ReadRate] = field(default_factory=list)
    paces: list[list[float]] = field(default_factory=list)
    shares: list[list[float]] = field(default_factory=list)
    held: dict[str, float] = field(default_factory=dict)
    num_timed: int = 0
    not_measured: str = ""
    ending: str = ""
    is_given_up: bool = False

    def hear(self, line: bytes) -> None:
        """Take one line; what is no answer is passed over."""
        try:
            said: dict[str, Any] = json.loads(line)
            if "file" in said:
                self.files.append(ImageFile(**said["file"]))
            elif "reads" in said:
                self.reads.append(ReadRate(*said["reads"]))
            elif "pace" in said:
                self.paces.append(said["pace"])
                self.shares.append(said["shares"])
            elif "held" in said and said["held"][1] is not None:
                self.held[said["held"][0]] = float(said["held"][1])
            self.num_timed = int(said.get("num_timed", self.num_timed))
            self.not_measured = str(said.get("not_measured", self.not_measured))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):  # cut off in the middle
            return


def _ask(order: dict[str, Any], seconds: float) -> Answer:
    answer = Answer()
    ending = run_child(_PROCESS, order, answer.hear, seconds + GRACE_S, {**os.environ, **_ONE_THREAD})
    if ending.not_started:
        answer.ending = f"a process for it cannot be started ({ending.not_started})"
    elif ending.is_given_up:
        answer.ending = f"it did not come to an end within {seconds + GRACE_S:.0f} s"
        answer.is_given_up = True
    else:
        answer.ending = f"the process that measures ended by itself ({ending.in_words()})"
    return answer
