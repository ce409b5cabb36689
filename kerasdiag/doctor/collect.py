"""Collects the facts that the selected checks look at, once, each group in a thread of its own."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Optional

from kerasdiag.doctor.background import Background
from kerasdiag.environment.ask_gpus import ASK_S as ASK_GPUS_S
from kerasdiag.environment.ask_gpus import ask_gpus
from kerasdiag.environment.cache_target import CacheFacts, find_cache
from kerasdiag.environment.cold_reads import MAX_READS, ReadFacts, measure_reads
from kerasdiag.environment.data_files import DataFacts, DataRequest, find_data
from kerasdiag.environment.declared.lists import find_declared
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.gpus import GpuFacts
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.environment.limits import LimitFacts, find_limits
from kerasdiag.environment.other_python import ASK_S as ASK_PYTHON_S
from kerasdiag.environment.other_python import OtherPython, find_other_python
from kerasdiag.environment.other_python import ask as ask_python
from kerasdiag.environment.packages import PackageFacts, find_packages
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
        ask_gpus: Asks the driver for its GPUs, given where ``/sys`` is found, the variables, and for how many seconds.
        probe: Asks TensorFlow in another process, given the libraries to try and for how many seconds.
        interpreter: What runs the packages; None: this interpreter.
        measure_throughput: Makes batches of a sample of images and tells how fast.
    """

    root: Path = Path("/")
    search_path: tuple[str, ...] | None = None
    environ: Mapping[str, str] | None = None
    measure_reads: Callable[[Sequence[str]], ReadFacts] = measure_reads
    ask_gpus: Callable[[Path, Optional[Mapping[str, str]], float], GpuFacts] = ask_gpus
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
        profile_file: The file of the profile, as code may name it; empty where it cannot be loaded again.
    """

    data: DataRequest | None = None
    profile: RunProfile | None = None
    reads_files: bool = True
    probes: bool = True
    python: str | None = None
    lists: tuple[str, ...] = ()
    work: WorkRequest = field(default_factory=WorkRequest)
    scripts: tuple[str, ...] | None = None
    profile_file: str = ""


MACHINE = "machine"
_PYTHON = "python"  # the other one
_DOING = {
    MACHINE: "looking at the machine",
    _PYTHON: "asking the other Python",
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
# All else is done by then. What is not may hang, as a driver does, and must not take every measurement with it.
_QUIET_AFTER_S = 2.0
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
        self._quiet_by = time.monotonic() + _QUIET_AFTER_S
        self._beside: dict[str, None] = {}
        self._tasks: dict[str, Background[Any]] = {}  # Any: each group has its own type
        wanted = (groups | {"packages"}) - set(self.absent)
        if request.data is not None:
            wanted.add("data")  # wrong data are an error whatever was selected
        if "tensorflow" in wanted:
            wanted.add("tensorflow_build")
        if request.scripts is not None:
            wanted.add("scripts")  # and so is a script that does not exist
        if request.python is not None:
            wanted.add(_PYTHON)
        makers: dict[str, Callable[[], Any]] = {
            MACHINE: self._machine,
            _PYTHON: self._other_python,
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
            if group == MACHINE or group in wanted:
                self._tasks[group] = Background(make, group)

    def environment(self, groups: Sequence[str]) -> Environment:
        """Wait for these groups and return them; raises what their collection raised."""
        base: Environment = self._tasks[MACHINE].result()
        values = {group: self._tasks[group].result() for group in groups if group in self._tasks}
        if "profile" in groups:
            values.update(profile=self._request.profile, profile_file=self._request.profile_file)
        return dataclasses.replace(base, **values, absent=self.absent)

    def unfinished(self, groups: Sequence[str]) -> str:
        """Say what is still being done for these groups; empty when all are collected."""
        names = [name for name in (MACHINE, *groups) if name in self._tasks and not self._tasks[name].is_done]
        waiting = [name for name in _ONE_BY_ONE if name in names][1:]
        return " and ".join(_DOING[name] for name in dict.fromkeys(names) if name not in waiting)

    def is_collecting(self, group: str) -> bool:
        """Whether this group was asked for, and can be had."""
        return group in self._tasks

    def raise_wrong_usage(self, wait: Callable[[Background[Any], float], bool], until: float) -> None:
        """Raise DoctorUsageError if what the user named does not exist.

        Args:
            wait: Waits for a task until then, and tells whether it is done.
            until: Latest ``time.monotonic()`` to wait for it.
        """
        for task in (self._tasks[name] for name in ("data", "scripts", "packages") if name in self._tasks):
            if wait(task, until) and isinstance(task.error, DoctorUsageError):
                raise task.error

    @property
    def beside(self) -> tuple[str, ...]:
        """What was still being done while something was timed."""
        return tuple(self._beside)

    def done(self) -> dict[str, Any]:
        """Return what has been collected, by group, for the head of a report."""
        return {group: task.result() for group, task in self._tasks.items() if task.is_done and task.error is None}

    def lack_time(self, groups: Iterable[str]) -> bool:
        """Whether one of these groups is there, but not whole, for lack of time."""
        done = self.done()
        return any(getattr(done.get(group), "lacks_time", False) for group in groups)

    def _machine(self) -> Environment:
        return dataclasses.replace(Environment.collect(self._sources.root), host=platform.node())

    def _packages(self) -> PackageFacts:
        if self._request.lists:
            return find_declared(self._request.lists)
        if self._request.python is None:
            return find_packages(self._sources.search_path, self._sources.environ, self._sources.interpreter)
        other: OtherPython = self._tasks[_PYTHON].result()
        found = find_packages(other.search_path, self._sources.environ, other.interpreter)
        return dataclasses.replace(found, place=other.place, python=other.python, pip=other.pip)

    def _other_python(self) -> OtherPython:
        assert self._request.python is not None, "else nobody asks for it"
        seconds = min(ASK_PYTHON_S, self._last_moment - time.monotonic())
        return find_other_python(self._request.python, partial(ask_python, seconds=seconds))

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
        unfinished = self._wait_before("scanners")
        data = self._tasks["data"] if self._request.reads_files and "data" in self._tasks else None
        if data is None:
            return find_scanners((), self._sources.root)
        if unfinished or not data.wait(self._last_moment):
            found = find_scanners((), self._sources.root)
            why = f"the doctor was still at {_DOING[unfinished or 'data']}"
            return dataclasses.replace(found, not_measured=why, lacks_time=True)
        return find_scanners(data.result().sample, self._sources.root)

    def _tensorflow(self) -> ProbeFacts:
        self._wait_before("tensorflow")
        packages: PackageFacts = self._tasks["packages"].result()
        if packages.tensorflow is None:
            return ProbeFacts()  # every check that asks says that there is none
        build: TensorFlowBuild | None = self._tasks["tensorflow_build"].result()
        return self._sources.probe(cuda_libraries(build), self._probe_until - _LEFT_FOR_CHECKS_S - time.monotonic())

    def _gpus(self) -> GpuFacts:
        seconds = min(ASK_GPUS_S, self._last_moment - time.monotonic())
        return self._sources.ask_gpus(self._sources.root, self._sources.environ, seconds)

    def _tensorflow_build(self) -> TensorFlowBuild | None:
        search_path = self._sources.search_path
        if self._request.python is not None:
            search_path = self._tasks[_PYTHON].result().search_path
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

    @property
    def _last_moment(self) -> float:
        """When facts must be there for the checks to have time for them."""
        return self._until - _LEFT_FOR_CHECKS_S

    def _wait_before(self, group: str) -> str:
        """Wait until nothing runs beside a clock; return what is timed before this group and not done, or an empty text."""
        earlier = _ONE_BY_ONE[: _ONE_BY_ONE.index(group)]
        tasks = self._tasks.copy()
        for name, task in tasks.items():
            if name not in _ONE_BY_ONE and not task.wait(self._quiet_by):
                self._beside[_DOING[name]] = None
        return next((name for name in earlier if name in tasks and not tasks[name].wait(self._last_moment)), "")

    def _throughput(self) -> ThroughputFacts:
        work = image_work(self._request.work, self._request.profile)
        unfinished = self._wait_before("throughput") or ("" if self._tasks["data"].wait(self._last_moment) else "data")
        if unfinished:
            return ThroughputFacts(work, not_measured=f"the doctor was still at {_DOING[unfinished]}", lacks_time=True)
        data: DataFacts = self._tasks["data"].result()
        machine: Environment = self._tasks[MACHINE].result()
        reads = self._tasks.get("reads")
        has_read = reads is not None and reads.error is None
        sample = Sample(
            files=data.sample,
            num_read=MAX_READS if has_read else 0,
            cores=machine.cores,
            memory_bytes=machine.memory.available_bytes,
            seconds=min(MAX_S, self._last_moment - time.monotonic() - GRACE_S),
            max_bytes=MAX_BYTES - (sum(read.num_bytes for read in reads.result().reads) if reads and has_read else 0),
        )
        return self._sources.measure_throughput(sample, work)


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
    if request.scripts is None:
        absent["scripts"] = "no script was named (kerasdiag doctor train.py)"
    if request.profile is None:
        absent["profile"] = "no profile of a training was given (--profile FILE)"
    return absent
