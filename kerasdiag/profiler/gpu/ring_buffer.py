"""The driver's own samples of a GPU's utilization.

Whoever polls the utilization sees the last period of the driver's, some of them twice and some never. The
driver keeps what it measured in a ring buffer, from which each period is taken once, however late its reader.
"""

from __future__ import annotations

from typing import Any  # pynvml has no type stubs

from kerasdiag.environment.visible_gpus import PERMANENT, Failure, ask
from kerasdiag.profiler.gpu.metrics import percent

_GPU_UTILIZATION = 1  # nvmlSamplingType_t
_FIELDS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # by nvmlValueType_t


class RingBuffer:
    """What one GPU's buffer holds that was not read yet.

    An idle GPU empties it, which the driver tells as "not found" or as no sample at all: that is no fault, and the
    GPU is polled meanwhile (polarsignals/gpu-metrics-agent #37).
    """

    def __init__(self) -> None:
        # In microseconds of a clock that is not ours (of boot time, or of the calendar): only compared with its like.
        self._newest = 0
        self.is_off = False

    def read(self, nvml: Any, gpu: Any) -> tuple[list[float], Failure | None]:
        """Return the samples since the last call, in percent, and why there are none. May hang."""
        answer, failure = ask(nvml, "nvmlDeviceGetSamples", gpu, _GPU_UTILIZATION, self._newest)
        if failure is not None:
            self.is_off = failure.code in PERMANENT
            return [], failure
        kind, samples = answer
        field = _FIELDS[kind] if 0 <= kind < len(_FIELDS) else "uiVal"
        new = [(one.timeStamp, getattr(one.sampleValue, field)) for one in samples if one.timeStamp > self._newest]
        self._newest = max((stamp for stamp, _ in new), default=self._newest)
        return [value for value in (percent(raw) for _, raw in new) if value is not None], None
