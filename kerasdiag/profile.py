"""RunProfile: what one ``fit`` measured. Facts only; ``diagnosis.py`` judges them.

A profile is a frozen value that survives a round trip through JSON, so a run can be judged again
later, on another machine, or by newer rules. Not measured is ``None`` plus a reason in
``not_measured``; it is never zero.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional  # Optional: Python 3.9 cannot evaluate "X | None", and the JSON reader does

from kerasdiag import profile_json
from kerasdiag.ceilings.value import Ceilings
from kerasdiag.environment.window import MachineWindow
from kerasdiag.first_batch import FirstBatch
from kerasdiag.input_identity import InputIdentity
from kerasdiag.stage_timing import InputStages
from kerasdiag.step_times import CallbackTime, EpochTimes, StepTimes

SCHEMA_VERSION = 1
# Raise it when a reader of the version before could misunderstand the file.
#   1: first version.

# ``RunProfile.method`` on TensorFlow: the step is a function that takes its batch from Python; or the model runs
# without a graph (``run_eagerly``).
GRAPH_METHOD, EAGER_METHOD = "one-step-function", "one-step-eager"


@dataclass(frozen=True, repr=False)
class GpuSeries:
    """Samples of one GPU, as columns of equal length.

    Attributes:
        index: NVML index.
        name: Product name, for example ``"NVIDIA H100 80GB HBM3"``.
        uuid: NVML UUID, or None where the driver did not tell.
        time_s: When each sample was taken, in seconds since ``on_train_begin``.
        utilization_percent: Share of the driver's last sample period in which a kernel ran (0-100).
            It says nothing about how much of the chip the kernel used.
        memory_utilization_percent: Share of that period in which device memory was read or
            written (0-100).
        memory_used_bytes: Device memory in use, by all processes.
        power_w: Power draw in watts.
        memory_total_bytes: Size of the device memory.
        not_measured: Column name -> why it has no values.
        sm_clock_mhz: Clock of its multiprocessors.
        pcie_to_gpu_bytes_per_s: What came in over PCIe. This and the next two are asked for in few of the samples only.
        pcie_to_host_bytes_per_s: What went out.
        other_processes: How many processes other than this one computed on it.
        sm_busy_percent: Share of its multiprocessors that worked (0-100; Hopper and later, as the next two).
        tensor_busy_percent: Share of the time in which tensor cores worked (0-100).
        memory_bandwidth_percent: Share of the bandwidth of its memory that was used (0-100).
        max_sm_clock_mhz: Highest clock that it could have.
        slow_reasons: What held its clocks down -> share of the samples in which it did (0-1).
        driver_samples: How many samples of the driver's own ring buffer ``utilization_percent`` rests on; what that
            buffer did not hold was polled.
        is_used: Whether this process computed on it; None where that cannot be told.
    """

    index: int
    name: str
    uuid: Optional[str] = None
    time_s: tuple[float, ...] = ()
    utilization_percent: tuple[Optional[float], ...] = ()
    memory_utilization_percent: tuple[Optional[float], ...] = ()
    memory_used_bytes: tuple[Optional[float], ...] = ()
    power_w: tuple[Optional[float], ...] = ()
    memory_total_bytes: Optional[int] = None
    not_measured: Mapping[str, str] = field(default_factory=dict)
    sm_clock_mhz: tuple[Optional[float], ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    pcie_to_gpu_bytes_per_s: tuple[Optional[float], ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    pcie_to_host_bytes_per_s: tuple[Optional[float], ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    other_processes: tuple[Optional[float], ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    sm_busy_percent: tuple[Optional[float], ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    tensor_busy_percent: tuple[Optional[float], ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    memory_bandwidth_percent: tuple[Optional[float], ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    max_sm_clock_mhz: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)
    slow_reasons: Mapping[str, float] = field(default_factory=dict, metadata=profile_json.ADDED_LATER)
    driver_samples: int = field(default=0, metadata=profile_json.ADDED_LATER)
    is_used: Optional[bool] = field(default=None, metadata=profile_json.ADDED_LATER)

    def __post_init__(self) -> None:
        added = (
            self.sm_clock_mhz,
            self.pcie_to_gpu_bytes_per_s,
            self.pcie_to_host_bytes_per_s,
            self.other_processes,
            self.sm_busy_percent,
            self.tensor_busy_percent,
            self.memory_bandwidth_percent,
        )
        columns = (
            self.time_s,
            self.utilization_percent,
            self.memory_utilization_percent,
            self.memory_used_bytes,
            self.power_w,
            *(column for column in added if column),  # an older profile has none
        )
        if len({len(column) for column in columns}) > 1:
            raise ValueError(f"The columns of GpuSeries must have equal length. Received: {[*map(len, columns)]}")

    def __repr__(self) -> str:
        return f"GpuSeries(GPU {self.index}, {self.name}, {len(self.time_s):,} samples)"


@dataclass(frozen=True)
class RunProfile:
    """What one ``fit`` measured.

    Attributes:
        kerasdiag_version: Version that measured.
        created_at: Start of the fit, ISO 8601 in UTC.
        host: Name of the machine.
        cores: CPU cores this process may use (affinity and cgroup quota respected).
        software: Versions by name: ``python``, ``tensorflow``, ``keras``, ``backend``.
        rank: Number of this process in a multi-process run, from 0.
        state: ``"not-started"``, ``"running"``, ``"completed"`` or ``"interrupted"``.
        training_input: What ``fit`` trained on, or None before a fit.
        validation_input: What ``fit`` validated on, or None.
        planned_epochs: Last epoch that ``fit`` was asked for.
        planned_steps_per_epoch: Steps of an epoch as ``fit`` planned them; None when unknown
            before the first epoch ended.
        method: How the wait was split from the step; None when it was not measured.
        steps: The steps.
        pull_overhead_s: Cost of one pull from an input that is always ready, already taken out of
            ``steps.wait_s``.
        added_s_per_step: What profiling's bookkeeping added to each step, by its own measurement; where an
            execution has several steps, with what it costs to start measured ones one by one. Pulling the batch from
            Python instead of in the graph adds at most ``pull_overhead_s``; the graph would have had to pull it too.
        verdicts_s: Seconds spent on verdicts, and on the look at the first batch, while the training ran.
            They are not part of any step period.
        validation_s: Seconds spent in validation inside the fit.
        gpus: One series per visible GPU.
        not_measured: What was not measured -> why.
        remarks: Sentences the reader of the numbers should know.
        attached: Whether ``kerasdiag run`` put the profiler into the fit, so that the script has no
            name for it.
        epochs: What lies between the steps: epoch boundaries, validation, checkpoints.
        callbacks: What each callback cost, the dearest first; the profiler itself is not among them.
        compile_s: Seconds of tracing and compiling, and the whole period of each step in which it happened, its wait
            included; None where that was not measured.
        ceilings: What input and model reach alone, None where that was not asked for.
        input_stages: What the stages of the training input cost, None where they were not taken apart.
        machine: What the machine did to this process during the fit, None where nobody looked.
        launch_s: What starting one step costs at least, however little it computes, in seconds, as a profiled step is
            started; None where that was not measured.
        first_batch: What the first batch held and what the model expects, None where nobody looked.
        has_steps_per_epoch: Whether ``fit`` was given ``steps_per_epoch``, None where nobody looked.
        stopped_early: Whether a callback told the model to stop (``stop_training``), at the end of an epoch or in it.
        steps_per_execution: How many steps Keras starts at once, where it is more than one.
    """

    kerasdiag_version: str = ""
    created_at: str = ""
    host: str = ""
    cores: Optional[int] = None
    software: Mapping[str, str] = field(default_factory=dict)
    rank: int = 0
    state: str = "not-started"
    training_input: Optional[InputIdentity] = None
    validation_input: Optional[InputIdentity] = None
    planned_epochs: Optional[int] = None
    planned_steps_per_epoch: Optional[int] = None
    method: Optional[str] = None
    steps: StepTimes = field(default_factory=StepTimes)
    pull_overhead_s: Optional[float] = None
    added_s_per_step: Optional[float] = None
    verdicts_s: float = 0.0
    validation_s: float = 0.0
    gpus: tuple[GpuSeries, ...] = ()
    not_measured: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    attached: bool = field(default=False, metadata=profile_json.ADDED_LATER)
    epochs: EpochTimes = field(default_factory=EpochTimes, metadata=profile_json.ADDED_LATER)
    callbacks: tuple[CallbackTime, ...] = field(default=(), metadata=profile_json.ADDED_LATER)
    compile_s: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)
    launch_s: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)
    ceilings: Optional[Ceilings] = field(default=None, metadata=profile_json.ADDED_LATER)
    input_stages: Optional[InputStages] = field(default=None, metadata=profile_json.ADDED_LATER)
    machine: Optional[MachineWindow] = field(default=None, metadata=profile_json.ADDED_LATER)
    first_batch: Optional[FirstBatch] = field(default=None, metadata=profile_json.ADDED_LATER)
    has_steps_per_epoch: Optional[bool] = field(default=None, metadata=profile_json.ADDED_LATER)
    stopped_early: bool = field(default=False, metadata=profile_json.ADDED_LATER)
    steps_per_execution: Optional[int] = field(default=None, metadata=profile_json.ADDED_LATER)

    @property
    def unmeasured_steps(self) -> int:
        """Steps that were not measured, where measuring all of them would have cost too much."""
        return max(0, sum(self.epochs.steps) - self.steps.num_steps)

    def to_json(self, **sections: Any) -> str:  # Any: whatever JSON can hold
        """Return the profile as JSON text.

        Args:
            **sections: More top-level entries for human readers and scripts, for example the
                diagnosis. ``from_json`` passes over them: a profile is judged anew when read.
        """
        return json.dumps(profile_json.to_document(self, SCHEMA_VERSION, sections), allow_nan=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = "profile") -> RunProfile:
        """Read what ``to_json`` wrote.

        Args:
            text: The JSON text.
            source: Name of its origin, for the error message.

        Raises:
            ProfileFileError: The text is truncated, foreign, newer than this kerasdiag, or does
                not have the fields of a profile.
        """
        return profile_json.from_text(cls, text, SCHEMA_VERSION, source, check=lambda profile: profile.steps.check())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile to ``path``, whole or not at all.

        Raises:
            OSError: The file cannot be written; a file that stood there is left as it was.
        """
        write_whole(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RunProfile:
        """Read a saved profile.

        Raises:
            ProfileFileError: The file is missing, unreadable, or no profile of this version.
        """
        return cls.from_json(profile_json.read_text(Path(path)), source=os.fspath(path))


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` aside and rename it into place, so that no reader ever sees half a file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
