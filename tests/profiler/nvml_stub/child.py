"""Runs one scenario of test_gpu.py in a process of its own, because pynvml loads its library only once.

The scenario is Python code, the first argument; it uses the names below. What it leaves in ``result``,
and the sampler's last snapshot, go to stdout as JSON.
"""

import ctypes
import dataclasses
import json
import sys
import time
from typing import Any, Callable

from kerasdiag.profiler.gpu import GpuSampler, gpm

gpm.APART_S = 0.0  # the counters of the stand-in are always new
sampler = GpuSampler(period_s=0.01)
result: dict[str, Any] = {"imported": [name for name in ("pynvml", "tensorflow", "keras") if name in sys.modules]}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``; a child that waits for 10 s has failed its test."""
    deadline = time.monotonic() + 10.0
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain; the snapshot was {sampler.snapshot()}")
        time.sleep(0.005)


def sample(more: int = 5) -> None:
    """Wait until the first GPU has ``more`` samples than now, starting the sampler if need be."""
    sampler.start(time.perf_counter())

    def count() -> int:
        return max((len(gpu.time_s) for gpu in sampler.snapshot()[0]), default=0)

    target = count() + more
    wait_until(lambda: count() >= target)


def thread_ended() -> bool:
    """Say whether the sampling thread ended by itself."""
    return sampler._thread is not None and not sampler._thread.is_alive()


def stub() -> ctypes.CDLL:
    """Return the stand-in for the driver, to set its knobs; call it once it is loaded."""
    import pynvml

    return pynvml.nvmlLib


exec(sys.argv[1])
gpus, why_none = sampler.snapshot()
json.dump({**result, "gpus": [dataclasses.asdict(gpu) for gpu in gpus], "why_none": why_none}, sys.stdout)
