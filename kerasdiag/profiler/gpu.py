"""What the GPUs did during a fit: a daemon thread that samples them through NVML.

All NVML work, from loading the library to closing it, happens in that thread. A driver that is absent,
too old, or hangs costs the training nothing; the series then say what was not measured and why.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Optional  # Any: pynvml has no stubs. Optional: Python 3.9 evaluates _Row

from kerasdiag.environment.visible_gpus import (
    LOST,
    NOT_SUPPORTED,
    PERMANENT,
    Failure,
    ListedGpu,
    ask,
    find_visible_gpus,
)
from kerasdiag.profile import GpuSeries

MAX_ROWS = 4096  # per GPU: at 0.2 s the first merge comes after 13.6 minutes, a day ends at one row per 25.6 s

_Row = tuple[float, tuple[Optional[float], ...]]  # time in seconds; one value per column


class _Metric(NamedTuple):
    call: str  # the function of pynvml
    columns: tuple[str, ...]  # what its answer fills in GpuSeries
    read: Callable[[Any], tuple[float | None, ...]]


def _percent(value: int) -> float | None:
    return float(value) if 0 <= value <= 100 else None  # drivers have been seen to return garbage (Syllo/nvtop #110)


_UTILIZATION = _Metric(
    "nvmlDeviceGetUtilizationRates",
    ("utilization_percent", "memory_utilization_percent"),
    lambda rates: (_percent(rates.gpu), _percent(rates.memory)),
)
_METRICS = (
    _UTILIZATION,
    _Metric("nvmlDeviceGetMemoryInfo", ("memory_used_bytes",), lambda memory: (float(memory.used),)),
    _Metric("nvmlDeviceGetPowerUsage", ("power_w",), lambda milliwatts: (milliwatts / 1000,)),
)
_COLUMNS = tuple(column for metric in _METRICS for column in metric.columns)
_MEMORY_FIELDS = ("memory_total_bytes", "memory_used_bytes", "memory_utilization_percent")


class GpuSampler:
    """Samples every visible GPU in a background thread. One sampler serves one fit.

    No method raises; a sampler that cannot measure says why in ``snapshot``.

    Args:
        clock: Seconds, on the time base of ``origin_s``.
        period_s: Seconds between samples. Drivers renew utilization every 1/6 to 1 s.
        keep_sampling: Asked before each sample; the thread ends when it is False.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        period_s: float = 0.2,
        keep_sampling: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock, self._period_s, self._keep_sampling = clock, period_s, keep_sampling
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        # Guards the next two; not held during NVML calls, they may hang. R: a signal handler may take a snapshot.
        self._lock = threading.RLock()
        self._gpus: tuple[_Gpu, ...] = ()
        self._why_none: str | None = "sampling was not started"

    def start(self, origin_s: float) -> None:
        """Begin to sample; ``time_s`` of a sample is ``clock() - origin_s``, in seconds."""
        if self._thread is not None:
            return
        self._why_none = "the NVIDIA driver had not answered by then"
        self._thread = threading.Thread(target=self._run, args=(origin_s,), name="kerasdiag-gpu", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the process may have no more threads
            self._stop.set()
            self._why_none = f"no thread could be started: {error}"

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the sampling; wait at most ``timeout_s`` seconds for the driver, once."""
        if self._stop.is_set() or self._thread is None:
            return
        self._stop.set()
        if self._thread is not threading.current_thread():  # which the garbage collector may make call this
            self._thread.join(timeout_s)
            if self._thread.is_alive():  # a daemon: it cannot keep the process from ending either
                self._give_up("the NVIDIA driver does not answer")

    def snapshot(self) -> tuple[tuple[GpuSeries, ...], str | None]:
        """Return the series so far, and why nothing is measured (None when something is)."""
        with self._lock:
            series = tuple(gpu.series() for gpu in self._gpus)
            why_none = self._why_none
        if any(set(getattr(one, column)) - {None} for one in series for column in _COLUMNS):
            return series, None
        return series, why_none or "; ".join(f"GPU {one.index}: {one.not_measured[_COLUMNS[0]]}" for one in series)

    def _give_up(self, why: str) -> None:
        with self._lock:
            self._why_none = why
            for gpu in self._gpus:
                gpu.switch_off(_COLUMNS, f"no more samples: {why}")

    def _run(self, origin_s: float) -> None:
        try:
            import pynvml

            _, failure = ask(pynvml, "nvmlInit")
            if failure:
                self._give_up(failure.why)
                return
            try:
                self._sample_until_stopped(pynvml, origin_s)
            finally:
                ask(pynvml, "nvmlShutdown")  # NVML counts its users: another one in this process keeps its own
        except ImportError as error:
            self._give_up(f"the Python package nvidia-ml-py is not installed ({error})")
        except Exception as error:  # nothing that goes wrong here may reach the training
            self._give_up(f"sampling failed: {type(error).__name__}: {error}")

    def _sample_until_stopped(self, nvml: Any, origin_s: float) -> None:
        listed, remark = find_visible_gpus(nvml, os.environ)
        gpus = tuple(_Gpu(nvml, gpu, remark) for gpu in listed)
        with self._lock:
            if self._stop.is_set():  # stop() gave up on a driver that answered after all: its reason stands
                return
            self._gpus, self._why_none = gpus, None if gpus else remark
        while any(gpu.answers for gpu in gpus) and not self._stop.is_set() and self._keep_sampling():
            for gpu in gpus:
                time_s = self._clock() - origin_s
                answers = gpu.ask(nvml)
                with self._lock:
                    if self._stop.is_set():
                        return
                    gpu.keep(time_s, answers)
            self._stop.wait(self._period_s)


class _Gpu:
    """One GPU: how to ask it, what it answered, and what it does not answer."""

    def __init__(self, nvml: Any, listed: ListedGpu, remark: str | None) -> None:
        self._listed = listed
        self._samples = _Samples()
        self._off: dict[str, str] = {}  # column -> why it is no longer asked for
        self._last_failure: dict[str, str] = {}  # column -> why a sample is missing
        self._remarks = {"visible": remark} if remark else {}
        self._memory_total_bytes: int | None = None
        if listed.failure:
            self.switch_off((*_COLUMNS, "memory_total_bytes"), listed.failure.why)
        else:
            self._ask_once(nvml)

    @property
    def answers(self) -> bool:
        return any(column not in self._off for column in _COLUMNS)

    def switch_off(self, columns: Iterable[str], why: str) -> None:
        """Stop asking for ``columns``; the first reason given for a column stays."""
        self._off = {**dict.fromkeys(columns, why), **self._off}

    def _ask_once(self, nvml: Any) -> None:
        """Ask for what does not change during a run."""
        mig_mode, _ = ask(nvml, "nvmlDeviceGetMigMode", self._listed.handle)  # unknown to GPUs before Ampere: no MIG
        if mig_mode and mig_mode[0] == 1:
            self.switch_off(_UTILIZATION.columns, "NVIDIA does not report utilization for a GPU in MIG mode")
        memory, failure = ask(nvml, "nvmlDeviceGetMemoryInfo", self._listed.handle)
        if memory and memory.total:
            self._memory_total_bytes = int(memory.total)
        elif failure and failure.code != NOT_SUPPORTED:
            self._remarks["memory_total_bytes"] = failure.why
        else:
            # A GPU that shares the system's memory (GB10) reports 0 % memory utilization whatever it does
            # (mostlygeek/llama-swap #782): a zero that nobody measured.
            self.switch_off(_MEMORY_FIELDS, "the driver reports no memory of this GPU's own")

    def ask(self, nvml: Any) -> list[tuple[_Metric, Any, Failure | None]]:
        """Ask for every metric that is not off. May hang; changes nothing."""
        asked = [metric for metric in _METRICS if any(column not in self._off for column in metric.columns)]
        return [(metric, *ask(nvml, metric.call, self._listed.handle)) for metric in asked]

    def keep(self, time_s: float, answers: Iterable[tuple[_Metric, Any, Failure | None]]) -> None:
        """Record what ``ask`` returned as the sample of ``time_s``."""
        values: dict[str, float | None] = {}
        for metric, answer, failure in answers:
            if failure is None:
                values.update(zip(metric.columns, metric.read(answer)))
                continue
            self._last_failure.update(dict.fromkeys(metric.columns, failure.why))
            if failure.code in LOST:
                self.switch_off(_COLUMNS, f"no more samples: {failure.why}")
            elif failure.code in PERMANENT:
                self.switch_off(metric.columns, failure.why)
        if self.answers:
            row = tuple(None if name in self._off else values.get(name) for name in _COLUMNS)
            self._samples.append((time_s, row))

    def series(self) -> GpuSeries:
        rows = self._samples.rows()
        values = {name: tuple(row[column] for _, row in rows) for column, name in enumerate(_COLUMNS)}
        why = "the driver gave no usable value" if rows else "no sample was taken"
        reasons = {name: self._last_failure.get(name, why) for name in _COLUMNS if set(values[name]) <= {None}}
        return GpuSeries(
            index=self._listed.index,
            name=self._listed.name or f"GPU {self._listed.index} (name unknown)",
            uuid=self._listed.uuid,
            time_s=tuple(time_s for time_s, _ in rows),
            **values,
            memory_total_bytes=self._memory_total_bytes,
            not_measured={**reasons, **self._off, **self._remarks},
        )


class _Samples:
    """Rows in the order of time, fewer than ``MAX_ROWS``.

    When they are full, neighbours are merged in pairs and every later row stands for twice as many
    samples: all rows weigh the same, so sums and means over a run of days stay right.
    """

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._unmerged: list[_Row] = []  # samples of the row that is being filled
        self._samples_per_row = 1

    def append(self, row: _Row) -> None:
        self._unmerged.append(row)
        if len(self._unmerged) < self._samples_per_row:
            return
        self._rows.append(_merge(self._unmerged))
        self._unmerged = []
        if len(self._rows) >= MAX_ROWS:
            self._rows = [_merge(self._rows[start : start + 2]) for start in range(0, len(self._rows), 2)]
            self._samples_per_row *= 2

    def rows(self) -> list[_Row]:
        return self._rows + ([_merge(self._unmerged)] if self._unmerged else [])


def _merge(rows: Sequence[_Row]) -> _Row:
    """Return one row: the first time stamp, and per column the mean of what was measured."""
    known = ([value for value in column if value is not None] for column in zip(*(values for _, values in rows)))
    return rows[0][0], tuple(sum(values) / len(values) if values else None for values in known)
