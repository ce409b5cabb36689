"""Collects the facts that the selected checks look at, once, each group in a thread of its own."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasdiag.doctor.background import Background
from kerasdiag.doctor.input_line import input_in_words
from kerasdiag.doctor.wording import files, size
from kerasdiag.environment.cache_target import CacheFacts, find_cache
from kerasdiag.environment.cold_reads import MAX_READS, ReadFacts, measure_reads
from kerasdiag.environment.data_files import DataFacts, DataRequest, find_data
from kerasdiag.environment.declared.lists import find_declared
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.gpus import GpuFacts, find_gpus, load_nvml
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.environment.limits import LimitFacts, find_limits
from kerasdiag.environment.other_python import find_other_python
from kerasdiag.environment.packages import TENSORFLOW_NAMES, PackageFacts, find_packages
from kerasdiag.environment.pressure import PressureFacts, watch_pressure
from kerasdiag.environment.scanners import ScannerFacts, find_scanners
from kerasdiag.environment.scripts import ScriptFacts, find_scripts
from kerasdiag.environment.tensorflow_build import TensorFlowBuild, cuda_libraries, find_build
from kerasdiag.environment.tensorflow_probe import ProbeFacts, probe_tensorflow
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
        load_nvml: Returns the module pynvml, or something like it.
        probe: Asks TensorFlow in another process, given the libraries to try and for how many seconds.
        interpreter: What runs the packages; None: this interpreter.
        measure_throughput: Makes batches of a sample of images and tells how fast.
    """

    root: Path = Path("/")
    search_path: tuple[str, ...] | None = None
    environ: Mapping[str, str] | None = None
    measure_reads: Callable[[Sequence[str]], ReadFacts] = measure_reads
    load_nvml: Callable[[], Any] = load_nvml  # Any: pynvml has no type stubs
    probe: Callable[[Sequence[str], float], ProbeFacts] = probe_tensorflow
    interpreter: Interpreter | None = None
    measure_throughput: Callable[[Sample, ImageWork], ThroughputFacts] = measure_throughput


@dataclass(frozen=True)
class Request:
    """What the doctor was given to look at.

    Attributes:
        data: The files of the training, None: none were named.
        profile: What the training measured, None: no profile was given.
        reads_files: Whether files of the data may be read to measure the disk.
        probes: Whether TensorFlow may be started in another process.
        python: Another interpreter or environment, whose packages are looked at instead.
        lists: Lists of packages (requirements, lock files, Dockerfiles) to look at instead.
        work: What is done to each image.
        scripts: Scripts, notebooks and folders of them, None: none were named.
    """

    data: DataRequest | None = None
    profile: RunProfile | None = None
    reads_files: bool = True
    probes: bool = True
    python: str | None = None
    lists: tuple[str, ...] = ()
    work: WorkRequest = field(default_factory=WorkRequest)
    scripts: tuple[str, ...] | None = None


_SHOWN = (
    *TENSORFLOW_NAMES,
    "tf-nightly",
    "keras",
    "tf-keras",
    "keras-preprocessing",
    "numpy",
)  # in the head of a report
_MACHINE = "machine"
_DOING = {
    _MACHINE: "looking at the machine",
    "packages": "looking for packages",
    "data": "listing the data",
    "reads": "reading files of the data",
    "gpus": "asking the NVIDIA driver",
    "tensorflow_build": "looking for TensorFlow",
    "tensorflow": "starting TensorFlow in another process",
    "pressure": "watching what the machine does",
    "limits": "looking at limits",
    "variables": "looking at variables",
    "scanners": "looking for scanners",
    "cache": "looking at the cache directory",
    "throughput": "making batches of some images",
    "scripts": "reading scripts",
}
# In this order, each when all before it are done: nothing else shall run beside a clock, and TensorFlow is the loudest.
_ONE_BY_ONE = ("reads", "scanners", "throughput", "tensorflow")
# Of the time until everybody is given up: what the checks need when the facts are there.
_LEFT_FOR_CHECKS_S = 0.5


class Facts:
    """Groups of facts that are being collected; a group is an attribute of Environment."""

    def __init__(
        self,
        request: Request,
        sources: Sources,
        groups: set[str],
        until: float | None = None,
        probe_until: float | None = None,
    ) -> None:
        self._request = request
        self._sources = sources
        self._until = time.monotonic() + 60.0 if until is None else until
        self._probe_until = self._until if probe_until is None else probe_until
        self.absent = _absent(request)
        self._tasks: dict[str, Background[Any]] = {}  # Any: each group has its own type
        wanted = (groups | {"packages"}) - set(self.absent)
        if request.data is not None:
            wanted.add("data")  # wrong data are an error whatever was selected
        if "tensorflow" in wanted:
            wanted.add("tensorflow_build")
        if request.scripts is not None:
            wanted.add("scripts")  # and so is a script that does not exist
        makers = {
            _MACHINE: self._machine,
            "packages": self._packages,
            "data": self._data,
            "gpus": self._gpus,
            "tensorflow_build": self._tensorflow_build,
            "pressure": self._pressure,
            "limits": self._limits,
            "variables": self._variables,
            "cache": self._cache,
            "scripts": self._scripts,
            "reads": self._reads,
            "scanners": self._scanners,
            "throughput": self._throughput,
            "tensorflow": self._tensorflow,
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
        """Raise DoctorUsageError if what the user named does not exist; wait until then to learn it."""
        for task in (self._tasks[name] for name in ("data", "packages", "scripts") if name in self._tasks):
            if task.wait(until) and isinstance(task.error, DoctorUsageError):
                raise task.error

    def in_words(self) -> dict[str, str]:
        """Describe what has been collected, for the head of a report."""
        words = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
        done = {group: task.result() for group, task in self._tasks.items() if task.is_done and task.error is None}
        packages: PackageFacts | None = done.get("packages")
        if packages is not None:
            if packages.place:
                words = {
                    "looked at": f"{packages.place}, not this interpreter",
                    "python": packages.interpreter.in_words(),
                }
            listed = [f"{name} {packages.versions[name]}" for name in _SHOWN if name in packages.versions]
            words["packages"] = ", ".join(listed) or "neither TensorFlow nor Keras"
        machine: Environment | None = done.get(_MACHINE)
        if machine is not None:
            words["cores"] = f"{machine.cores} of {machine.visible_cores or machine.cores}"
            words["memory"] = f"{size(machine.memory.available_bytes)} available"
        gpus: GpuFacts | None = done.get("gpus")
        if gpus is not None and gpus.is_there:
            words["gpu"] = _gpus_in_words(gpus)
        data: DataFacts | None = done.get("data")
        if data is not None:
            words["data"] = f"{data.path}: {files(data)}"
            words["storage"] = _storage_in_words(data)
            words.update(self._input_in_words(done))
        scripts: ScriptFacts | None = done.get("scripts")
        if scripts is not None:
            words["scripts"] = _scripts_in_words(scripts)
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
        if self._request.lists:
            return find_declared(self._request.lists)
        if self._request.python is None:
            return find_packages(self._sources.search_path, self._sources.environ, self._sources.interpreter)
        other = find_other_python(self._request.python)
        found = find_packages(other.search_path, self._sources.environ, other.interpreter)
        return dataclasses.replace(found, place=other.place, pip=other.pip)

    def _data(self) -> DataFacts:
        assert self._request.data is not None, "the group is absent without data"
        return find_data(self._request.data, self._sources.root)

    def _scripts(self) -> ScriptFacts:
        assert self._request.scripts is not None, "the group is absent without scripts"
        return find_scripts(self._request.scripts)

    def _reads(self) -> ReadFacts:
        data: DataFacts = self._tasks["data"].result()
        self._wait_before("reads")
        return self._sources.measure_reads(data.sample)

    def _scanners(self) -> ScannerFacts:
        self._wait_before("scanners")
        data = self._tasks["data"] if self._request.reads_files and "data" in self._tasks else None
        files = data.result().sample if data is not None else ()
        return find_scanners(files, self._sources.root)

    def _tensorflow(self) -> ProbeFacts:
        self._wait_before("tensorflow")
        packages: PackageFacts = self._tasks["packages"].result()
        if packages.tensorflow is None:
            return ProbeFacts()  # every check that asks says that there is none
        build: TensorFlowBuild | None = self._tasks["tensorflow_build"].result()
        return self._sources.probe(cuda_libraries(build), self._probe_until - _LEFT_FOR_CHECKS_S - time.monotonic())

    def _gpus(self) -> GpuFacts:
        return find_gpus(self._sources.root, self._sources.environ, self._sources.load_nvml)

    def _tensorflow_build(self) -> TensorFlowBuild | None:
        search_path = self._sources.search_path
        if self._request.python is not None:
            search_path = find_other_python(self._request.python).search_path
        return find_build(sys.path if search_path is None else search_path)

    def _pressure(self) -> PressureFacts:
        return watch_pressure(self._sources.root)

    def _limits(self) -> LimitFacts:
        return find_limits(self._sources.root)

    def _variables(self) -> Mapping[str, str]:
        environ = self._sources.environ
        return dict(os.environ if environ is None else environ)

    def _cache(self) -> CacheFacts:
        return find_cache(self._sources.root)

    def _wait_before(self, group: str, until: float | None = None) -> str:
        """Wait for all that comes before this group; return the first that is not done then, or an empty text."""
        later = _ONE_BY_ONE[_ONE_BY_ONE.index(group) :]
        waiting_for = [(name, task) for name, task in self._tasks.copy().items() if name not in later]
        return next((name for name, task in waiting_for if not task.wait(until)), "")

    def _throughput(self) -> ThroughputFacts:
        work = image_work(self._request.work, self._request.profile)
        until = self._until - _LEFT_FOR_CHECKS_S
        unfinished = self._wait_before("throughput", until)
        if unfinished:
            return ThroughputFacts(work, not_measured=f"the doctor was still at {_DOING[unfinished]}")
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


def _scripts_in_words(scripts: ScriptFacts) -> str:
    paths = [script.path for script in scripts.scripts]
    return ", ".join(paths) if len(paths) <= 3 else f"{paths[0]} and {len(paths) - 1} more"


def _absent(request: Request) -> dict[str, str]:
    absent = {}
    if request.data is None:
        absent = dict.fromkeys(("data", "reads", "throughput"), "no data were named (--data DIR|CSV)")
    elif not request.reads_files:
        absent = dict.fromkeys(("reads", "throughput"), "no file was read (--no-io)")
    if request.lists:
        absent["tensorflow_build"] = "packages that nobody has installed are not built yet (-r FILE)"
    if request.lists or request.python is not None:
        absent["tensorflow"] = "TensorFlow of another environment is not started"
    elif not request.probes:
        absent["tensorflow"] = "TensorFlow was not started (--no-probe)"
        absent["reads"] = "no file was read (--no-io)"
    if request.scripts is None:
        absent["scripts"] = "no script was named (kerasdiag doctor train.py)"
    if request.profile is None:
        absent["profile"] = "no profile of a training was given (--profile FILE)"
    return absent


def _gpus_in_words(gpus: GpuFacts) -> str:
    names = ", ".join(gpu.name or f"GPU {gpu.index}" for gpu in gpus.gpus) or gpus.remark or "none that is visible"
    return f"{names} (driver {gpus.driver_version})" if gpus.driver_version else names


def _storage_in_words(data: DataFacts) -> str:
    storage = data.storage
    place = ", ".join(filter(None, (storage.device or storage.source, storage.file_system)))
    return f"{storage.storage_class}{f' ({place})' if place else ''}"
