"""Where a training step of each Keras gets its batch, and which fits cannot be measured."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from kerasdiag.compat.models import backend_name, keras_package
from kerasdiag.fit_call import FitCall

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.

PYTHON_FUNCTION = "python-function"
CALLABLE = "callable"
ITERATOR = "iterator"
GAP = "gap"


@dataclass(frozen=True)
class StepAccess:
    """One row of the table below: where a training step gets its batch, and how that can be timed.

    On TensorFlow the graph pulls the batch inside ``train_function``, so nothing outside can see
    the wait. Each version also accepts a one-element Python iterator somewhere, and with that the
    batch can be pulled, and timed, before the step.

    Attributes:
        package: Import name of the Keras package.
        backend: Backend that the row holds for.
        since: First version the row holds for.
        below: First version it holds for no more; None for open end.
        entry: ``"python-function"``: ``train_function`` is a tf.function whose Python function
            calls ``next`` on what it is given. ``"callable"``: it is a Python function with a
            branch for plain iterators. ``"iterator"``: it calls ``next`` in Python on its second
            argument. ``"gap"``: Keras pulls the batch before ``on_train_batch_begin``.
        pulls_ahead: Of an execution of several steps, how many batches the graph pulls while a
            step computes: 0, 1, or all (None).
    """

    package: str
    backend: str
    since: str
    below: str | None
    entry: str
    pulls_ahead: int | None = 0


STEP_ACCESS = (
    StepAccess("keras", "tensorflow", "2.10", "3.0", PYTHON_FUNCTION),
    StepAccess("tf_keras", "tensorflow", "2.15", None, PYTHON_FUNCTION),
    StepAccess("keras", "tensorflow", "3.0", "3.7", PYTHON_FUNCTION, pulls_ahead=None),
    StepAccess("keras", "tensorflow", "3.7", None, CALLABLE, pulls_ahead=1),
    StepAccess("keras", "jax", "3.0", "3.7", GAP),
    StepAccess("keras", "jax", "3.7", None, ITERATOR),
    StepAccess("keras", "torch", "3.0", None, GAP),
)


def find_step_access(model: Any, fit: FitCall) -> StepAccess | str:
    """Return the row of ``STEP_ACCESS`` for this fit, or in plain words why its wait cannot be measured."""
    access = step_access(model)
    if isinstance(access, str):
        return access
    package = keras_package(model)
    assert package is not None, "it has a row"
    if access.backend == "tensorflow" and has_gpu() and steps_of_execution(model) > 1 and not may_sample(access):
        return (
            f"steps_per_execution is {steps_of_execution(model)}, and within an execution this Keras lets the GPU run "
            "behind the program, so a wait may be hidden behind GPU work; Keras 3.7 or newer can be measured"
        )
    if access.backend == "tensorflow" and _host_runs_ahead(fit, package[1]):
        return "this Keras lets the GPU run behind the program here, so a wait may be hidden behind GPU work; " + (
            "fit with verbose=1 to measure it" if package[1] < Version("3.0") else "Keras 3.7 or newer can be measured"
        )
    return access


def step_access(model: Any) -> StepAccess | str:
    """Return the row of ``STEP_ACCESS`` for this model, or in plain words why its steps cannot be reached."""
    backend = backend_name(model)
    package = keras_package(model)
    if package is None:
        return f"{type(model).__qualname__} is not a model of a Keras that kerasdiag knows"
    name, version = package
    rows = [one for one in STEP_ACCESS if (one.package, one.backend) == (name, backend)]
    if not rows:
        return f"the {backend} backend is not measured; TensorFlow, JAX and torch are"
    for access in rows:
        if version >= Version(access.since) and (access.below is None or version < Version(access.below)):
            return _objection(model, access) or access
    return f"{name} {version} is older than the oldest supported version ({rows[0].since})"


def _objection(model: Any, access: StepAccess) -> str | None:
    """Return why the steps of this particular model cannot be reached, or None."""
    owner = next((base for base in type(model).__mro__ if "make_train_function" in vars(base)), None)
    if owner is None or owner.__module__.split(".")[0] != access.package:
        return "the model overrides make_train_function, so its training step is not Keras' own"
    strategy = type(getattr(model, "distribute_strategy", None)).__name__
    if "ParameterServer" in strategy or "TPU" in strategy:
        return f"{strategy} runs steps where this process cannot time them"
    if getattr(model, "autotune_steps_per_execution", False):
        return 'steps_per_execution="auto" times the steps itself to choose a number, and would choose by ours'
    if access.backend == "torch" and (device := _torch_device(model)) not in ("cpu", "cuda"):
        return f"torch lets {device} run behind the program, so a wait may be hidden behind its work; cpu and cuda are measured"
    if access.entry == GAP and steps_of_execution(model) > 1:
        return f"steps_per_execution is {steps_of_execution(model)}, which is measured on JAX from Keras 3.7 on"
    return None


def steps_of_execution(model: Any) -> int:
    """Return how many steps the next call of ``train_function`` makes, if the input holds out.

    Keras 2 keeps it in a tf.Variable, None before compile set it, and lowers it for the last execution of an epoch;
    Keras 3 has an int and lets the input run out.
    """
    value: Any = getattr(model, "_steps_per_execution", None)
    if value is None:
        value = getattr(model, "steps_per_execution", 1)
    return int(value.numpy()) if hasattr(value, "numpy") else int(value or 1)


def ends_in_partial_execution(access: StepAccess) -> bool:
    """Tell whether an execution that ran out of batches returns what its steps gave; before 3.7 it raises."""
    return access.entry != PYTHON_FUNCTION


def may_sample(access: StepAccess) -> bool:
    """Tell whether measured and other steps may take turns without changing the training.

    Before Keras 3.7 the two are functions of their own, in Keras 2 with random numbers of their own.
    """
    return access.entry == CALLABLE


def has_gpu() -> bool:
    """Tell whether TensorFlow computes on a GPU."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and bool(tensorflow.config.list_logical_devices("GPU"))


def _torch_device(model: Any) -> str:
    parameter = next(iter(model.parameters()), None)
    return "cpu" if parameter is None else str(parameter.device.type)


def _host_runs_ahead(fit: FitCall, version: Version) -> bool:
    """Tell whether nothing waits for the GPU between two steps, so that host waits may cost nothing.

    Keras 3 reads the metrics after each step (3.6 alone does so in another thread). Keras 2 does
    only when a progress bar or a callback without tensor logs is there.
    """
    if not has_gpu():
        return False
    if version >= Version("3.0"):
        return Version("3.6") <= version < Version("3.7")
    bars = getattr(fit.callbacks, "params", None) or {}
    reads_logs = getattr(fit.callbacks, "_should_call_train_batch_hooks", False) and not getattr(
        fit.callbacks, "_batch_hooks_support_tf_logs", True
    )
    return bars.get("verbose") != 1 and not reads_logs
