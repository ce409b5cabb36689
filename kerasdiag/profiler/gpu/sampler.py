"""What the GPUs did during a fit: a daemon thread that samples them through NVML.

All NVML work, from loading the library to closing it, happens in that thread. A driver that is absent,
too old, or hangs costs the training nothing; the series then say what was not measured and why.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any  # pynvml has no type stubs

from kerasdiag.environment.visible_gpus import ask, find_visible_gpus
from kerasdiag.profile import GpuSeries
from kerasdiag.profiler.gpu.metrics import COLUMNS
from kerasdiag.profiler.gpu.sampled_gpu import SampledGpu
from kerasdiag.profiler.gpu.sharing import ProcessNumbers

# What takes the driver long (PCIe throughput: 20 ms a direction) is asked of one GPU per round, and of each GPU
# not more often than every so many rounds.
_ROUNDS_PER_SLOW_ONE = 5


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
        self._gpus: tuple[SampledGpu, ...] = ()
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
        if any(set(getattr(one, column)) - {None} for one in series for column in COLUMNS):
            return series, None
        return series, why_none or "; ".join(f"GPU {one.index}: {one.not_measured[COLUMNS[0]]}" for one in series)

    def _give_up(self, why: str) -> None:
        with self._lock:
            self._why_none = why
            for gpu in self._gpus:
                gpu.switch_off(COLUMNS, f"no more samples: {why}")

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
        numbers = ProcessNumbers()
        gpus = tuple(SampledGpu(nvml, gpu, remark, numbers) for gpu in listed)
        with self._lock:
            if not self._stop.is_set():  # else stop() gave up on a driver that answered after all: its reason stands
                self._gpus, self._why_none = gpus, None if gpus else remark
        try:
            self._sample(nvml, gpus, origin_s)
        finally:
            for gpu in gpus:
                gpu.close(nvml)

    def _sample(self, nvml: Any, gpus: tuple[SampledGpu, ...], origin_s: float) -> None:
        turn = 0
        while any(gpu.answers for gpu in gpus) and not self._stop.is_set() and self._keep_sampling():
            for number, gpu in enumerate(gpus):
                time_s = self._clock() - origin_s
                answers = gpu.ask(nvml, time_s, slowly=number == turn, is_stopped=self._stop.is_set)
                with self._lock:
                    if self._stop.is_set():
                        return
                    gpu.keep(time_s, answers)
            turn = (turn + 1) % max(len(gpus), _ROUNDS_PER_SLOW_ONE)
            self._stop.wait(self._period_s)
