"""Collects the facts that the selected checks look at, once, each group in a thread of its own."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasdiag.doctor.background import Background
from kerasdiag.doctor.wording import files, size
from kerasdiag.environment.cold_reads import ReadFacts, measure_reads
from kerasdiag.environment.data_files import DataFacts, DataRequest, find_data
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import PackageFacts, find_packages
from kerasdiag.environment.scripts import ScriptFacts, find_scripts
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
    """

    root: Path = Path("/")
    search_path: tuple[str, ...] | None = None
    environ: Mapping[str, str] | None = None
    measure_reads: Callable[[Sequence[str]], ReadFacts] = measure_reads


@dataclass(frozen=True)
class Request:
    """What the doctor was given to look at.

    Attributes:
        data: The files of the training, None: none were named.
        profile: What the training measured, None: no profile was given.
        reads_files: Whether files of the data may be read to measure the disk.
        scripts: Scripts, notebooks and folders of them, None: none were named.
    """

    data: DataRequest | None = None
    profile: RunProfile | None = None
    reads_files: bool = True
    scripts: tuple[str, ...] | None = None


_MACHINE = "machine"
_DOING = {
    _MACHINE: "looking at the machine",
    "packages": "looking for packages",
    "data": "listing the data",
    "reads": "reading files of the data",
    "scripts": "reading scripts",
}


class Facts:
    """Groups of facts that are being collected; a group is an attribute of Environment."""

    def __init__(self, request: Request, sources: Sources, groups: set[str]) -> None:
        self._request = request
        self._sources = sources
        self.absent = _absent(request)
        self._tasks: dict[str, Background[Any]] = {}  # Any: each group has its own type
        wanted = (groups | {"packages"}) - set(self.absent)
        if request.data is not None:
            wanted.add("data")  # wrong data are an error whatever was selected
        if request.scripts is not None:
            wanted.add("scripts")  # and so is a script that does not exist
        makers = {
            _MACHINE: self._machine,
            "packages": self._packages,
            "data": self._data,
            "reads": self._reads,
            "scripts": self._scripts,
        }
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
        """Raise DoctorUsageError if data or scripts that the user named do not exist; wait until then to learn it."""
        for task in (self._tasks[group] for group in ("data", "scripts") if group in self._tasks):
            if task.wait(until) and isinstance(task.error, DoctorUsageError):
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
        scripts: ScriptFacts | None = done.get("scripts")
        if scripts is not None:
            words["scripts"] = _scripts_in_words(scripts)
        if self._request.profile is not None:
            words["profile"] = f"of {self._request.profile.created_at} on {self._request.profile.host}"
        return words

    def _machine(self) -> Environment:
        return Environment.collect(self._sources.root)

    def _packages(self) -> PackageFacts:
        return find_packages(self._sources.search_path, self._sources.environ)

    def _data(self) -> DataFacts:
        assert self._request.data is not None, "the group is absent without data"
        return find_data(self._request.data, self._sources.root)

    def _scripts(self) -> ScriptFacts:
        assert self._request.scripts is not None, "the group is absent without scripts"
        return find_scripts(self._request.scripts)

    def _reads(self) -> ReadFacts:
        data: DataFacts = self._tasks["data"].result()
        for group in (_MACHINE, "packages"):  # nothing else shall run beside the clock
            self._tasks[group].wait()
        return self._sources.measure_reads(data.sample)


def _scripts_in_words(scripts: ScriptFacts) -> str:
    paths = [script.path for script in scripts.scripts]
    return ", ".join(paths) if len(paths) <= 3 else f"{paths[0]} and {len(paths) - 1} more"


def _absent(request: Request) -> dict[str, str]:
    absent = {}
    if request.data is None:
        absent = dict.fromkeys(("data", "reads"), "no data were named (--data DIR|CSV)")
    elif not request.reads_files:
        absent["reads"] = "no file was read (--no-io)"
    if request.scripts is None:
        absent["scripts"] = "no script was named (kerasdiag doctor train.py)"
    if request.profile is None:
        absent["profile"] = "no profile of a training was given (--profile FILE)"
    return absent


def _storage_in_words(data: DataFacts) -> str:
    storage = data.storage
    place = ", ".join(filter(None, (storage.device or storage.source, storage.file_system)))
    return f"{storage.storage_class}{f' ({place})' if place else ''}"
