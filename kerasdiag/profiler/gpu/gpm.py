"""GPU performance monitoring (GPM): how much of the chip works, on Hopper and later.

``utilization.gpu`` is 100 % when one kernel runs on one of 132 multiprocessors. These counters tell how many of them
were busy. They are read as the difference of two samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any  # pynvml has no type stubs

from kerasdiag.environment.visible_gpus import Failure, ask
from kerasdiag.profiler.gpu.metrics import CHIP, percent

COLUMNS = tuple(CHIP)
APART_S = 0.1  # the hardware does not renew its counters faster
_VERSION = 1  # of the structure that nvmlGpmMetricsGet takes


class ChipCounters:
    """The counters of one GPU. Used by one thread; holds memory of NVML's from ``open`` to ``close``."""

    def __init__(self) -> None:
        self._before: Any = None
        self._before_s: float | None = None
        self._spare: Any = None
        self.why_off: str | None = "not opened"

    def open(self, nvml: Any, gpu: Any) -> None:
        """Find out whether this GPU has them."""
        if not hasattr(nvml, "c_nvmlGpmMetricsGet_t"):
            self.why_off = "the installed nvidia-ml-py does not know these counters"
            return
        support, failure = ask(nvml, "nvmlGpmQueryDeviceSupport", gpu)
        if failure is not None or not support.isSupportedDevice:
            self.why_off = failure.why if failure else "only GPUs from Hopper on have these counters"
            return
        for name in ("_before", "_spare"):
            sample, failure = ask(nvml, "nvmlGpmSampleAlloc")
            if failure is not None:
                self.why_off = failure.why
                return
            setattr(self, name, sample)
        self.why_off = None

    def read(self, nvml: Any, gpu: Any, time_s: float) -> tuple[Mapping[str, float | None], Failure | None]:
        """Return the means since the last call, in percent, by column; nothing the first time. May hang."""
        if self._before_s is not None and time_s - self._before_s < APART_S:
            return {}, None
        _, failure = ask(nvml, "nvmlGpmSampleGet", gpu, self._spare)
        if failure is not None:
            return {}, failure
        values: Mapping[str, float | None] = {}
        if self._before_s is not None:
            values, failure = self._between(nvml)
        self._before, self._spare, self._before_s = self._spare, self._before, time_s
        return values, failure

    def _between(self, nvml: Any) -> tuple[Mapping[str, float | None], Failure | None]:
        question = nvml.c_nvmlGpmMetricsGet_t()
        question.version, question.numMetrics = _VERSION, len(CHIP)
        question.sample1, question.sample2 = self._before, self._spare
        for row, number in enumerate(CHIP.values()):
            question.metrics[row].metricId = number
        answer, failure = ask(nvml, "nvmlGpmMetricsGet", question)
        if failure is not None:
            return {}, failure
        told = zip(CHIP, answer.metrics)  # each has an error code of its own
        return {name: percent(one.value) if one.nvmlReturn == 0 else None for name, one in told}, None

    def close(self, nvml: Any) -> None:
        """Give the samples back."""
        for sample in (self._before, self._spare):
            if sample is not None:
                ask(nvml, "nvmlGpmSampleFree", sample)
        self._before = self._spare = None
        self.why_off = "closed"
