"""What the checks of GPUs say where none is seen."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, skipped, unknown
from kerasdiag.environment.gpus import GpuFacts


def without_gpu(gpus: GpuFacts | None, why: str) -> Answer:
    """Skip a check where there is no GPU to look at; where the driver hung or crashed nobody knows whether there is one."""
    return unknown(gpus.remark) if gpus is not None and gpus.is_silent else skipped(why)
