"""kerasdiag finds out whether a Keras training waits for its data, says why, and repairs it.

The names below are loaded when first used: importing kerasdiag imports neither TensorFlow nor
Keras, and the doctor works where both are broken.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasdiag.diagnosis import Diagnosis, Verdict, diagnose
    from kerasdiag.profile import RunProfile
    from kerasdiag.profiler.callback import BottleneckProfiler
    from kerasdiag.repair.convert import autofix

__version__ = "0.1.0"

__all__ = ["BottleneckProfiler", "Diagnosis", "RunProfile", "Verdict", "__version__", "autofix", "diagnose"]

_HOMES = {
    "BottleneckProfiler": "kerasdiag.profiler.callback",
    "Diagnosis": "kerasdiag.diagnosis",
    "RunProfile": "kerasdiag.profile",
    "Verdict": "kerasdiag.diagnosis",
    "autofix": "kerasdiag.repair.convert",
    "diagnose": "kerasdiag.diagnosis",
}


def __getattr__(name: str) -> Any:  # Any: classes and functions alike
    if name not in _HOMES:
        raise AttributeError(f"module 'kerasdiag' has no attribute {name!r}. Public names: {', '.join(__all__)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # a sub-module of the same name can no longer come between
    return value


def __dir__() -> list[str]:
    return __all__
