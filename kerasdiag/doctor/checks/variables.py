"""KD501: environment variables that make a training slow, or hide why it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kerasdiag.doctor.check import Answer, check, found, ok
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

_CUDA = "https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables"
_TF32 = "https://docs.nvidia.com/cuda/cublas/"
_PYTHON = "https://docs.python.org/3/using/cmdline.html#environment-variables"
_DETERMINISM = "https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism"
_ONEDNN = "https://github.com/tensorflow/tensorflow/releases/tag/v2.9.0"
_PROFILERS = "https://docs.nvidia.com/cupti/"


@dataclass(frozen=True)
class _Variable:
    """A variable, when it matters, and what it does then; of some any value does, a path of the user as well."""

    name: str
    is_set: Callable[[str], bool]
    does: str
    severity: Severity
    reference: str
    takes_anything: bool = False


def _is_true(value: str) -> bool:
    return value.strip().lower() in ("1", "true", "yes", "on")


def _is_anything(value: str) -> bool:
    return value.strip() not in ("", "0")


def _is_one(value: str) -> bool:
    return value.strip() == "1"


_VARIABLES = (
    _Variable("CUDA_LAUNCH_BLOCKING", _is_one, "makes Python wait for each kernel of the GPU", Severity.WARN, _CUDA),
    _Variable("CUDA_INJECTION64_PATH", bool, "loads a profiler into each process with CUDA", Severity.WARN, _PROFILERS, True),
    _Variable("PYTHONDEVMODE", bool, "makes Python check itself at run time", Severity.WARN, _PYTHON, True),
    _Variable("PYTHONTRACEMALLOC", _is_anything, "makes Python trace each allocation", Severity.WARN, _PYTHON),
    _Variable("PYTHONMALLOC", lambda value: "debug" in value, "makes Python check each allocation", Severity.WARN, _PYTHON),
    _Variable("TF_DETERMINISTIC_OPS", _is_true, "keeps TensorFlow to reproducible, slower operations", Severity.INFO, _DETERMINISM),
    _Variable("NVIDIA_TF32_OVERRIDE", lambda value: value.strip() == "0", "turns the fast TF32 format of newer GPUs off", Severity.INFO, _TF32),
    _Variable("TF_ENABLE_ONEDNN_OPTS", lambda value: value.strip() == "0", "turns the faster operations for CPUs off", Severity.INFO, _ONEDNN),
)  # fmt: skip
# Pools of TensorFlow: one thread on many cores.
_THREADS = {
    "TF_NUM_INTRAOP_THREADS": "lets each operation of TensorFlow use one core",
    "TF_NUM_INTEROP_THREADS": "makes TensorFlow do one operation after the other",
}
_TENSORFLOW = "https://www.tensorflow.org/api_docs/python/tf/config/threading"


@check("KD501", "slowing-variables", needs=("variables",), uses=("gpus",))
def slowing_variables(environment: Environment) -> Answer:
    """An environment variable makes every training on this machine slow.

    What it finds:
        Switches for debugging that were left on (CUDA_LAUNCH_BLOCKING, PYTHONDEVMODE, PYTHONTRACEMALLOC, PYTHONMALLOC),
        an injected profiler, TensorFlow held to one thread, and, as notes, choices that cost speed: determinism, no TF32,
        no oneDNN.

    Why it matters:
        Nothing in the script shows it, and it comes back with each shell that reads the same profile file.

    Example:
        CUDA_LAUNCH_BLOCKING=1 makes Python wait for each kernel of the GPU.

    Fix:
        Unset it, and look for where it is set: ~/.bashrc, the Dockerfile, the notebook's first cell, the job's script.

    When to ignore:
        If it is there on purpose: for reproducible results, or while a fault is looked for.
    """
    gpus = environment.gpus
    is_for_gpus = gpus is None or gpus.is_there or gpus.is_silent
    variables = {
        name: value
        for name, value in (environment.variables or {}).items()
        if is_for_gpus or not name.startswith(("CUDA_", "NVIDIA_"))
    }
    findings = [
        _finding(one, variables[one.name])
        for one in _VARIABLES
        if one.name in variables and one.is_set(variables[one.name])
    ]
    if environment.cores > 1:
        findings += [
            _finding(
                _Variable(name, _is_one, f"{does}, of {environment.cores}", Severity.WARN, _TENSORFLOW), variables[name]
            )
            for name, does in _THREADS.items()
            if _is_one(variables.get(name, ""))
        ]
    return found(*findings) if findings else ok("none of the variables that slow a training down is set")


def _finding(variable: _Variable, value: str) -> Finding:
    return Finding(
        code="KD501",
        severity=variable.severity,
        message=f"{variable.name}{'' if variable.takes_anything else f'={value}'} {variable.does}.",
        evidence=(
            Evidence(f"{variable.name} is {value!r} in this process", Provenance.DECLARED, variable.takes_anything),
        ),
        remedy=Remedy("Unless it is meant:", (f"unset {variable.name}",), safe=True),
        numbers={"variables": 1},
        price=Price.unknown("only a run without it tells"),
        references=(variable.reference,),
    )
