"""What the GPUs did during a fit: a daemon thread (sampler) that asks NVML a table of questions (metrics)."""

from kerasdiag.profiler.gpu.sampler import GpuSampler

__all__ = ["GpuSampler"]
