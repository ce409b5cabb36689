"""Environment: facts of machine and container, what the repair takes from them, and what the doctor looks at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kerasdiag.environment.cache_target import CacheFacts
from kerasdiag.environment.cold_reads import ReadFacts
from kerasdiag.environment.cores import affinity_cores, cgroup_quota, usable_cores, visible_cores
from kerasdiag.environment.data_files import DataFacts
from kerasdiag.environment.gpus import GpuFacts
from kerasdiag.environment.limits import LimitFacts
from kerasdiag.environment.memory import MemoryLimit, memory_limit
from kerasdiag.environment.packages import PackageFacts
from kerasdiag.environment.pressure import PressureFacts
from kerasdiag.environment.scanners import ScannerFacts
from kerasdiag.environment.scripts import ScriptFacts
from kerasdiag.environment.storage import StorageFacts, storage_of
from kerasdiag.environment.system import SystemFacts, find_system
from kerasdiag.environment.tensorflow_build import TensorFlowBuild
from kerasdiag.environment.tensorflow_probe import ProbeFacts
from kerasdiag.environment.throughput.facts import ThroughputFacts
from kerasdiag.profile import RunProfile

_MIB = 1024**2
_GIB = 1024**3


class _Share(NamedTuple):
    """How much of a resource the repair takes."""

    fraction: float
    least: int
    most: int
    why: str

    def of(self, amount: int) -> int:
        return max(self.least, min(int(amount * self.fraction), self.most))


# A batch of the reference work (32 x 300 x 300 x 3 float32) has 33 MiB.
POLICY = {
    "reader_threads": _Share(
        1.0,
        2,
        32,
        "one warps while the other waits for the disk, even on one core; 32 keep 80,000 images/s "
        "coming, more than a node of GPUs takes, and each more holds a batch of memory",
    ),
    "tf_data_ram_budget_bytes": _Share(
        0.5,
        64 * _MIB,
        8 * _GIB,
        "the training needs the other half; tf.data takes 0 as half of the host's memory, whatever the "
        "container may have, and two batches are the least that overlaps; 240 batches ahead hide any pause",
    ),
    "buffer_pool_bytes": _Share(
        0.125,
        64 * _MIB,
        2 * _GIB,
        "idle memory helps nobody else; one buffer for every thread and those ahead of the training, 32 + 4, "
        "have 1.2 GiB, and with fewer than two every batch would be allocated anew",
    ),
}


@dataclass(frozen=True)
class Environment:
    """Facts of the machine as this process may use it, collected at one moment without importing TensorFlow.

    Attributes:
        cores: CPU cores that the process may use, at least 1.
        cpu_quota: The strictest CPU limit of its cgroups in cores, None without one.
        affinity_cores: Cores it is bound to, None where the system does not say.
        memory: Memory it may still take.
        root: Where ``/proc`` and ``/sys`` were found.
        visible_cores: Cores that the machine shows to everybody, None where the system does not say.
        system: Operating system.
        packages: What is installed. This and what follows is None unless the doctor looked (``absent``: why not).
        data: The files of a training.
        reads: How long it took to read some of them.
        throughput: How fast a sample of the images becomes batches here, and what its files are.
        profile: What the training itself measured.
        profile_file: The file that it was loaded from, to be named in code; empty where it cannot be loaded again.
        gpus: NVIDIA GPUs.
        tensorflow_build: How the installed TensorFlow was made; also None without a TensorFlow that says so.
        tensorflow: What TensorFlow itself sees, asked in another process.
        pressure: What slows this process down from outside.
        limits: Limits of the system.
        variables: Environment variables.
        scanners: Security scanners.
        cache: The disk that autofix would write to.
        scripts: The scripts that the user named, parsed.
        absent: Name of an attribute that is None -> why.
        host: Name of the machine, to be held against that of a profile; empty where nobody looked.
    """

    cores: int
    cpu_quota: float | None
    affinity_cores: int | None
    memory: MemoryLimit
    root: Path = Path("/")
    visible_cores: int | None = None
    system: SystemFacts = field(default_factory=SystemFacts)
    packages: PackageFacts | None = None
    data: DataFacts | None = None
    reads: ReadFacts | None = None
    throughput: ThroughputFacts | None = None
    profile: RunProfile | None = None
    profile_file: str = ""
    gpus: GpuFacts | None = None
    tensorflow_build: TensorFlowBuild | None = None
    tensorflow: ProbeFacts | None = None
    pressure: PressureFacts | None = None
    limits: LimitFacts | None = None
    variables: Mapping[str, str] | None = None
    scanners: ScannerFacts | None = None
    cache: CacheFacts | None = None
    scripts: ScriptFacts | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    host: str = ""

    @classmethod
    def collect(cls, root: Path = Path("/")) -> Environment:
        """Look at the machine. Packages, data and the like are added by the doctor (``doctor/collect.py``).

        Args:
            root: Where ``/proc`` and ``/sys`` are found; tests pass a tree of their own.
        """
        return cls(
            usable_cores(root),
            cgroup_quota(root),
            affinity_cores(root),
            memory_limit(root),
            root,
            visible_cores(root),
            find_system(root),
        )

    def storage(self, path: str | os.PathLike[str]) -> StorageFacts:
        """Return what kind of storage a path lies on, looked up anew each time."""
        return storage_of(path, self.root)

    @property
    def reader_threads(self) -> int:
        """Threads that read and augment batches: one for each usable core, within ``POLICY``."""
        return POLICY["reader_threads"].of(self.cores)

    @property
    def tf_data_cpu_budget(self) -> int:
        """Cores that tf.data's autotuner may plan with; of itself it sees all of the host."""
        return self.cores

    @property
    def tf_data_ram_budget_bytes(self) -> int:
        """Memory that tf.data's autotuner may fill with batches, within ``POLICY``; never 0."""
        return POLICY["tf_data_ram_budget_bytes"].of(self.memory.available_bytes)

    @property
    def buffer_pool_bytes(self) -> int:
        """Most memory that idle batch buffers may hold, within ``POLICY``."""
        return POLICY["buffer_pool_bytes"].of(self.memory.available_bytes)
