"""Why a GPU's clocks are below what they could be."""

from __future__ import annotations

from typing import Any  # pynvml has no type stubs

from kerasdiag.environment.visible_gpus import FUNCTION_NOT_FOUND, Failure, ask

POWER_LIMIT = "its power limit"
# Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h) that slow a working GPU down. Idle, the user's own
# clocks and a display's clock are no fault.
_SLOW_REASONS = {
    0x4: POWER_LIMIT,
    0x8: "a hardware slowdown",
    0x10: "clocks kept equal to another GPU's",
    0x20: "its temperature (driver)",
    0x40: "its temperature (hardware)",
    0x80: "the power brake of its supply",
}


def ask_slow_reasons(nvml: Any, handle: Any) -> tuple[tuple[str, ...] | None, Failure | None]:
    """Return what slows a GPU down just now, in words, and None; or None and why there is no answer."""
    bits, failure = ask(nvml, "nvmlDeviceGetCurrentClocksEventReasons", handle)
    if failure is not None and failure.code == FUNCTION_NOT_FOUND:  # drivers before 535
        bits, failure = ask(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    if failure is not None:
        return None, failure
    return tuple(why for bit, why in _SLOW_REASONS.items() if bits & bit), None
