"""One GPU that is sampled: how to ask it, what it answered, and what it does not answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any  # pynvml has no type stubs

from kerasdiag.environment.clock_reasons import ask_slow_reasons
from kerasdiag.environment.visible_gpus import LOST, NOT_SUPPORTED, PERMANENT, Failure, ListedGpu, ask
from kerasdiag.profile import GpuSeries
from kerasdiag.profiler.gpu import gpm
from kerasdiag.profiler.gpu.metrics import (
    COLUMNS,
    MEMORY_FIELDS,
    METRICS,
    OTHER_PROCESSES,
    UTILIZATION,
    max_sm_clock_mhz,
)
from kerasdiag.profiler.gpu.ring_buffer import RingBuffer
from kerasdiag.profiler.gpu.rows import Rows
from kerasdiag.profiler.gpu.sharing import ProcessNumbers, Sharing

_SLOW_REASONS = "slow_reasons"


@dataclass
class Answers:
    """What one GPU said at one moment.

    Attributes:
        values: Column -> value.
        failures: The columns of a question -> why it has no answer.
        ring: New samples of the driver's own, in percent.
        slow_reasons: What slowed it down, None where it was not told.
        sharing: Who computed on it, None where it was not told.
    """

    values: dict[str, float | None] = field(default_factory=dict)
    failures: dict[tuple[str, ...], Failure] = field(default_factory=dict)
    ring: list[float] = field(default_factory=list)
    slow_reasons: tuple[str, ...] | None = None
    sharing: Sharing | None = None


class SampledGpu:
    """One GPU, as the thread of ``GpuSampler`` asks it.

    Args:
        nvml: The module pynvml, initialised.
        listed: The GPU.
        remark: Why it may not be one of ours, or None.
        numbers: Which processes are ours.
    """

    def __init__(self, nvml: Any, listed: ListedGpu, remark: str | None, numbers: ProcessNumbers) -> None:
        self._listed, self._numbers = listed, numbers
        self._rows, self._ring, self._chip = Rows(), RingBuffer(), gpm.ChipCounters()
        self._off: dict[str, str] = {}  # column -> why it is no longer asked for
        self._last_failure: dict[str, str] = {}  # column -> why a sample is missing
        self._asked: set[str] = set()
        self._remarks = {"visible": remark} if remark else {}
        self._memory_total_bytes: int | None = None
        self._max_sm_clock_mhz: float | None = None
        self._driver_samples = 0
        self._slow_counts: Counter[str] = Counter()
        self._slow_asked = 0  # how often it was told what slows it down
        self._is_used: bool | None = None
        if listed.failure:
            self.switch_off((*COLUMNS, "memory_total_bytes"), listed.failure.why)
        else:
            self._ask_once(nvml)

    @property
    def answers(self) -> bool:
        """Whether anything is left to ask."""
        return any(column not in self._off for column in COLUMNS)

    def switch_off(self, columns: Iterable[str], why: str) -> None:
        """Stop asking for ``columns``; the first reason given for a column stays."""
        self._off = {**dict.fromkeys(columns, why), **self._off}

    def _ask_once(self, nvml: Any) -> None:
        """Ask for what does not change during a run."""
        mig_mode, _ = ask(nvml, "nvmlDeviceGetMigMode", self._listed.handle)  # unknown to GPUs before Ampere: no MIG
        if mig_mode and mig_mode[0] == 1:
            self.switch_off(UTILIZATION.columns, "NVIDIA does not report utilization for a GPU in MIG mode")
            self.switch_off(gpm.COLUMNS, "in MIG mode the counters of the whole GPU are everybody's")
        memory, failure = ask(nvml, "nvmlDeviceGetMemoryInfo", self._listed.handle)
        if memory and memory.total:
            self._memory_total_bytes = int(memory.total)
        elif failure and failure.code != NOT_SUPPORTED:
            self._remarks["memory_total_bytes"] = failure.why
        else:
            # A GPU that shares the system's memory (GB10) reports 0 % memory utilization whatever it does
            # (mostlygeek/llama-swap #782): a zero that nobody measured.
            self.switch_off(MEMORY_FIELDS, "the driver reports no memory of this GPU's own")
        self._max_sm_clock_mhz = max_sm_clock_mhz(nvml, self._listed.handle)
        if self._reads_ring:
            self._ring.read(nvml, self._listed.handle)  # what it holds already is from before the training
        if gpm.COLUMNS[0] not in self._off:
            self._chip.open(nvml, self._listed.handle)
            if self._chip.why_off is not None:
                self.switch_off(gpm.COLUMNS, self._chip.why_off)

    def close(self, nvml: Any) -> None:
        """Give back what NVML lent; before NVML is closed."""
        self._chip.close(nvml)

    @property
    def _reads_ring(self) -> bool:
        return not self._ring.is_off and "utilization_percent" not in self._off

    def ask(self, nvml: Any, time_s: float, *, slowly: bool, is_stopped: Callable[[], bool]) -> Answers:
        """Ask for all that is not off. May hang; changes nothing that ``series`` shows.

        Args:
            nvml: The module pynvml.
            time_s: The moment.
            slowly: Whether to ask what takes long, too.
            is_stopped: Whether nobody wants the answers any more.
        """
        gpu, said = self._listed.handle, Answers()
        for metric in METRICS:
            if is_stopped():
                return said
            if (metric.is_slow and not slowly) or all(column in self._off for column in metric.columns):
                continue
            answer, failure = metric.ask(nvml, gpu)
            if failure is None:
                said.values.update(zip(metric.columns, metric.read(answer)))
            else:
                said.failures[metric.columns] = failure
        if self._reads_ring:
            said.ring, failure = self._ring.read(nvml, gpu)
            if failure is not None and failure.code in LOST:
                said.failures[UTILIZATION.columns] = failure
        if gpm.COLUMNS[0] not in self._off:
            means, failure = self._chip.read(nvml, gpu, time_s)
            said.values.update(means)
            if failure is not None:
                said.failures[gpm.COLUMNS] = failure
        if _SLOW_REASONS not in self._off:
            said.slow_reasons, failure = ask_slow_reasons(nvml, gpu)
            if failure is not None:
                said.failures[(_SLOW_REASONS,)] = failure
        if slowly and OTHER_PROCESSES not in self._off:
            said.sharing, failure = self._numbers.ask(nvml, gpu)
            if failure is not None:
                said.failures[(OTHER_PROCESSES,)] = failure
        return said

    def keep(self, time_s: float, said: Answers) -> None:
        """Record what ``ask`` returned as the sample of ``time_s``."""
        values = dict(said.values)
        for columns, failure in said.failures.items():
            self._note(columns, failure)
        if said.ring:
            values["utilization_percent"] = sum(said.ring) / len(said.ring)
            self._driver_samples += len(said.ring)
        if said.slow_reasons is not None:
            self._slow_counts.update(said.slow_reasons)
            self._slow_asked += 1
        if said.sharing is not None:
            values[OTHER_PROCESSES] = float(said.sharing.others)
            # It may begin to compute only after some seconds, and nobody stops before the training does.
            self._is_used = self._is_used or said.sharing.is_used
        self._asked.update(values)
        if self.answers:
            row = tuple(None if name in self._off else values.get(name) for name in COLUMNS)
            self._rows.append((time_s, row))

    def _note(self, columns: tuple[str, ...], failure: Failure) -> None:
        self._asked.update(columns)
        self._last_failure.update(dict.fromkeys(columns, failure.why))
        if failure.code in LOST:
            self.switch_off(COLUMNS, f"no more samples: {failure.why}")
        elif failure.code in PERMANENT:
            fed_by_ring = ("utilization_percent",) if not self._ring.is_off else ()
            self.switch_off((column for column in columns if column not in fed_by_ring), failure.why)

    def series(self) -> GpuSeries:
        """Return all that is known so far."""
        rows = self._rows.so_far()
        values = {name: tuple(row[column] for _, row in rows) for column, name in enumerate(COLUMNS)}
        reasons = {name: self._why_none(name, bool(rows)) for name in COLUMNS if set(values[name]) <= {None}}
        if not self._slow_asked and _SLOW_REASONS in self._last_failure:
            reasons[_SLOW_REASONS] = self._last_failure[_SLOW_REASONS]
        slow = {why: count / self._slow_asked for why, count in self._slow_counts.items()}
        return GpuSeries(
            index=self._listed.index,
            name=self._listed.name or f"GPU {self._listed.index} (name unknown)",
            uuid=self._listed.uuid,
            time_s=tuple(time_s for time_s, _ in rows),
            **values,
            memory_total_bytes=self._memory_total_bytes,
            max_sm_clock_mhz=self._max_sm_clock_mhz,
            slow_reasons=slow,
            driver_samples=self._driver_samples,
            is_used=self._is_used,
            not_measured={**reasons, **self._off, **self._remarks},
        )

    def _why_none(self, column: str, has_rows: bool) -> str:
        if column in self._last_failure:
            return self._last_failure[column]
        if not has_rows:
            return "no sample was taken"
        return "the driver gave no usable value" if column in self._asked else "the run was too short to ask for it"
