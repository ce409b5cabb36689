"""Who computes on a GPU: this process, others, or both."""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple  # Any: pynvml has no type stubs

from kerasdiag.environment.visible_gpus import Failure, ask

_FIRST_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO in the kernel's proc_ns.h


class Sharing(NamedTuple):
    """Who computes on a GPU.

    Attributes:
        others: How many processes beside ours.
        is_used: Whether ours does; None where process numbers do not tell, or no process is listed at all, which is also
            what drivers do that list none.
    """

    others: int
    is_used: bool | None


class ProcessNumbers:
    """Tells our process from others by the numbers that the driver gives them.

    Inside of a container most drivers give the numbers of the host (NVIDIA/nvidia-docker #1483). There our own number
    is not found, and one of those that are listed may be ours: it is not counted as another one.

    Args:
        are_ours: Whether the driver's numbers are those that we know; by default found out.
    """

    def __init__(self, are_ours: bool | None = None) -> None:
        self._are_ours = _in_first_namespace() if are_ours is None else are_ours
        self._own = os.getpid()
        self._descends: dict[int, bool] = {self._own: True}

    def ask(self, nvml: Any, gpu: Any) -> tuple[Sharing | None, Failure | None]:
        """Ask who computes on a GPU. May hang."""
        running, failure = ask(nvml, "nvmlDeviceGetComputeRunningProcesses", gpu)
        if failure is not None:
            return None, failure
        computing = {one.pid for one in running}
        is_used = self._own in computing
        if computing - {self._own}:
            # Under Windows every program with a window is listed as computing and as drawing.
            drawing, _ = ask(nvml, "nvmlDeviceGetGraphicsRunningProcesses", gpu)
            computing -= {one.pid for one in drawing or ()}
        if not computing:
            return Sharing(0, is_used or None), None
        if is_used or self._are_ours:
            return Sharing(sum(not self._is_ours(number) for number in computing), is_used), None
        return Sharing(max(0, len(computing) - 1), None), None

    def _is_ours(self, number: int) -> bool:
        """Whether a process is ours or was started by us, such as a loader's worker."""
        if number not in self._descends:
            self._descends[number] = self._own in _ancestors(number)
        return self._descends[number]


def _ancestors(number: int) -> set[int]:
    import psutil

    try:
        return {one.pid for one in psutil.Process(number).parents()}
    except (psutil.Error, OSError):  # it ended, or is somebody else's
        return set()


def _in_first_namespace() -> bool:
    if sys.platform != "linux":
        return True
    try:
        return os.readlink("/proc/self/ns/pid") == _FIRST_NAMESPACE
    except OSError:
        return False
