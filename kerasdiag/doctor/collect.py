"""Collects the facts that the selected checks look at, once, each group in a thread of its own."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasdiag.doctor.background import Background
from kerasdiag.doctor.input_line import input_in_words
from kerasdiag.doctor.wording import files, size
from kerasdiag.environment.cold_reads import MAX_READS, ReadFacts, measure_reads
from kerasdiag.environment.data_files import DataFacts, DataRequest, find_data
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import PackageFacts, find_packages
from kerasdiag.environment.throughput.asked import WorkRequest, image_work
from kerasdiag.environment.throughput.facts import ImageWork, ThroughputFacts
from kerasdiag.environment.throughput.measure import GRACE_S, MAX_BYTES, MAX_S, Sample, measure_throughput
from kerasdiag.errors import DoctorUsageError
from kerasdiag.profile import RunProfile


@dataclass(frozen=True)
class Sources:
    """Where facts come from; tests give a machine of their own.

    Attributes:
        root: Where ``/proc``, ``/sys`` and the data are found.
        search_path: Folders in which packages lie; None: those of this interpreter.
        environ: Environment variables; None: those of this process.
        measure_reads: Reads a sample of files and tells how long it took.
        measure_throughput: Makes batches of a sample of images and tells how fast.
    """

    root: Path = Path("/")
    search_path: tuple[str, ...] | None = None
    environ: Mapping[str, str] | None = None
    measure_reads: Callable[[Sequence[str]], ReadFacts] = measure_reads
    measure_throughput: Callable[[Sample, ImageWork], ThroughputFacts] = measure_throughput


@dataclass(frozen=True)
class Request:
    """What the doctor was given to look at.

    Attributes:
        data: The files of the training, None: none were named.
        profile: What the training measured, None: no profile was given.
        reads_files: Whether files of the data may be read to measure the disk.
        work: What is done to each image.
    """

    data: DataRequest | None = None
    profile: RunProfile | None = None
    reads_files: bool = True
    work: WorkRequest = field(default_factory=WorkRequest)


_MACHINE = "machine"
_DOING = {
    _MACHINE: "looking at the machine",
    "packages": "looking for packages",
    "data": "listing the data",
    "reads": "reading files of the data",
    "throughput": "making batches of some images",
}
# Of the time until everybody is given up: what the checks need when the facts are there.
_LEFT_FOR_CHECKS_S = 0.5


class Facts:
    """Groups of facts that are being collected; a group is an attribute of Environment."""

    def __init__(self, request: Request, sources: Sources, groups: set[str], until: float | None = None) -> None:
        self._request = request
        self._sources = sources
        self._until = time.monotonic() + 60.0 if until is None else until
        self.absent = _absent(request)
        self._tasks: dict[str, Background[Any]] = {}  # Any: each group has its own type
        wanted = (groups | {"packages"}) - set(self.absent)
        if request.data is not None:
            wanted.add("data")  # wrong data are an error whatever was selected
        makers = {_MACHINE: self._machine, "packages": self._packages, "data": self._data, "reads": self._reads}
        makers["throughput"] = self._throughput  # the last one, for it waits for the others
        for group, make in makers.items():
            if group == _MACHINE or group in wanted:
                self._tasks[group] = Background(make, group)

    def environment(self, groups: Sequence[str]) -> Environment:
        """Wait for these groups and return them; raises what their collection raised."""
        base: Environment = self._tasks[_MACHINE].result()
        values = {group: self._tasks[group].result() for group in groups if group in self._tasks}
        profile = self._request.profile if "profile" in groups else None
        return dataclasses.replace(base, **values, profile=profile, absent=self.absent)

    def unfinished(self, groups: Sequence[str]) -> str:
        """Say what is still being done for these groups; empty when all are collected."""
        tasks = {group: self._tasks[group] for group in (_MACHINE, *groups) if group in self._tasks}
        return " and ".join(_DOING[group] for group, task in tasks.items() if not task.is_done)

    def raise_wrong_usage(self, until: float) -> None:
        """Raise DoctorUsageError if the data that the user named do not exist; wait until then to learn it."""
        task = self._tasks.get("data")
        if task is not None and task.wait(until) and isinstance(task.error, DoctorUsageError):
            raise task.error

    def in_words(self) -> dict[str, str]:
        """Describe what has been collected, for the head of a report."""
        words = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
        done = {group: task.result() for group, task in self._tasks.items() if task.is_done and task.error is None}
        packages: PackageFacts | None = done.get("packages")
        if packages is not None:
            listed = [f"{name} {version}" for name, version in packages.versions.items()]
            words["packages"] = ", ".join(listed) or "neither TensorFlow nor Keras"
        machine: Environment | None = done.get(_MACHINE)
        if machine is not None:
            words["cores"] = f"{machine.cores} of {machine.visible_cores or machine.cores}"
            words["memory"] = f"{size(machine.memory.available_bytes)} available"
        data: DataFacts | None = done.get("data")
        if data is not None:
            words["data"] = f"{data.path}: {files(data)}"
            words["storage"] = _storage_in_words(data)
            words.update(self._input_in_words(done))
        if self._request.profile is not None:
            words["profile"] = f"of {self._request.profile.created_at} on {self._request.profile.host}"
        return words

    def _input_in_words(self, done: dict[str, Any]) -> dict[str, str]:
        if _MACHINE not in done or "throughput" not in done:
            return {}
        groups = {name: done[name] for name in ("data", "reads", "throughput") if name in done}
        return input_in_words(dataclasses.replace(done[_MACHINE], **groups, absent=self.absent))

    def _machine(self) -> Environment:
        return Environment.collect(self._sources.root)

    def _packages(self) -> PackageFacts:
        return find_packages(self._sources.search_path, self._sources.environ)

    def _data(self) -> DataFacts:
        assert self._request.data is not None, "the group is absent without data"
        return find_data(self._request.data, self._sources.root)

    def _reads(self) -> ReadFacts:
        data: DataFacts = self._tasks["data"].result()
        for group in (_MACHINE, "packages"):  # nothing else shall run beside the clock
            self._tasks[group].wait()
        return self._sources.measure_reads(data.sample)

    def _throughput(self) -> ThroughputFacts:
        work = image_work(self._request.work, self._request.profile)
        until = self._until - _LEFT_FOR_CHECKS_S
        for group, task in self._tasks.copy().items():  # nothing else shall run beside the clock
            if group != "throughput" and not task.wait(until):
                return ThroughputFacts(work, not_measured=f"the doctor was still at {_DOING[group]}")
        data: DataFacts = self._tasks["data"].result()
        machine: Environment = self._tasks[_MACHINE].result()
        reads = self._tasks.get("reads")
        has_read = reads is not None and reads.error is None
        sample = Sample(
            files=data.sample,
            num_read=MAX_READS if has_read else 0,
            cores=machine.cores,
            memory_bytes=machine.memory.available_bytes,
            seconds=min(MAX_S, until - time.monotonic() - GRACE_S),
            max_bytes=MAX_BYTES - (sum(read.num_bytes for read in reads.result().reads) if reads and has_read else 0),
        )
        return self._sources.measure_throughput(sample, work)


def _absent(request: Request) -> dict[str, str]:
    absent = {}
    if request.data is None:
        absent = dict.fromkeys(("data", "reads", "throughput"), "no data were named (--data DIR|CSV)")
    elif not request.reads_files:
        absent = dict.fromkeys(("reads", "throughput"), "no file was read (--no-io)")
    if request.profile is None:
        absent["profile"] = "no profile of a training was given (--profile FILE)"
    return absent


def _storage_in_words(data: DataFacts) -> str:
    storage = data.storage
    place = ", ".join(filter(None, (storage.device or storage.source, storage.file_system)))
    return f"{storage.storage_class}{f' ({place})' if place else ''}"
