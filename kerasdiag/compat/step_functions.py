"""Keras' own training step, as a function of one batch."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kerasdiag.compat.models import backend_name, is_keras_2
from kerasdiag.compat.step_access import CALLABLE, PYTHON_FUNCTION, StepAccess

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.


def one_step_function(model: Any, train_function: Any, access: StepAccess, element_spec: Any) -> Callable[[Any], Any]:
    """Return Keras' own training step as a function of one batch.

    It is kept on ``train_function``, so a second fit neither traces again nor draws other random
    numbers than the first, and it lives no longer than the original.

    Args:
        model: The model.
        train_function: What Keras would call.
        access: Row for this Keras.
        element_spec: Structure of ``tf.TypeSpec`` of the batches. As a fixed signature it keeps a
            smaller last batch from tracing the model a second time, which would also change
            dropout masks.
    """
    tensorflow = sys.modules["tensorflow"]
    kept = train_function.__dict__.setdefault("_kerasdiag_one_steps", [])
    for spec, function in kept:
        if spec == element_spec:
            return function  # type: ignore[no-any-return]  # foreign function attribute
    if access.entry == CALLABLE:
        # The inner function converts itself, and the original runs as plain Python.
        step, autograph = train_function, False
    else:
        single = single_step_function(model) if _makes_several_steps(train_function) else train_function
        step, autograph = single.python_function, True

    def one_step(batch: Any) -> Any:
        return step(iter([batch]))

    function = tensorflow.function(one_step, input_signature=[element_spec], autograph=autograph)
    # Traced now, while no batch has been pulled: a step that cannot be taken apart fails here, and
    # the training can go on without the profiler and without having lost a batch.
    function.get_concrete_function()
    kept.append((element_spec, function))
    return function  # type: ignore[no-any-return]  # TensorFlow has no types


def as_called(one_step: Any, element_spec: Any) -> Callable[[Any], Any]:
    """Return what runs this function at the least cost: 0.1 ms by its only concrete function, 0.1 more without binding.

    It does not know of ``tf.config.run_functions_eagerly``; who calls it asks ``makes_eager_steps`` before.

    Args:
        one_step: What ``one_step_function`` has made.
        element_spec: Structure of ``tf.TypeSpec`` of the batches. Where a part is no dense tensor, versions differ in
            what a concrete function takes; where one is a dictionary, in the order of its parts.
    """
    tensorflow = sys.modules["tensorflow"]
    flatten = tensorflow.nest.flatten
    if not all(isinstance(spec, tensorflow.TensorSpec) for spec in flatten(element_spec)):
        return one_step  # type: ignore[no-any-return]  # TensorFlow has no types
    concrete = one_step.get_concrete_function()
    if not _is_in_plain_order(element_spec) or not _takes_flat(concrete):
        return concrete  # type: ignore[no-any-return]  # the same

    def call(batch: Any) -> Any:
        return concrete._call_flat(flatten(batch), concrete.captured_inputs)

    return call


def _is_in_plain_order(structure: Any) -> bool:
    """Tell whether there is but one order in which the parts of a batch can be passed."""
    if isinstance(structure, (tuple, list)):
        return all(_is_in_plain_order(part) for part in structure)
    return not isinstance(structure, Mapping) and not hasattr(structure, "__attrs_attrs__")


def _takes_flat(concrete: Any) -> bool:
    """Tell whether this TensorFlow runs a concrete function as 2.10 to 2.21 do, on tensors and what it has captured."""
    try:
        parameters = list(inspect.signature(concrete._call_flat).parameters.values())
    except (AttributeError, TypeError, ValueError):
        return False
    needed = [one.name for one in parameters if one.default is one.empty]
    return len(needed) == 2 and needed[1] == "captured_inputs"


def eager_step_function(model: Any, train_function: Any, access: StepAccess) -> Callable[[Any], Any]:
    """The same where the model runs eagerly: nothing is traced, for that would run the user's Python once more."""
    is_multiple = access.entry != CALLABLE and _makes_several_steps(train_function)
    single = single_step_function(model) if is_multiple else train_function

    def one_step(batch: Any) -> Any:
        return single(iter([batch]))

    return one_step


def _makes_several_steps(train_function: Any) -> bool:
    """Tell whether a function of Keras before 3.7 loops over the steps of an execution, however many they are now."""
    # Keras 3 hides it behind a decorator that keeps AutoGraph away.
    code = getattr(inspect.unwrap(getattr(train_function, "python_function", train_function)), "__code__", None)
    return any("steps_per_execution" in name for name in getattr(code, "co_names", ()))


def fresh_train_function(model: Any, train_function: Any) -> Any:
    """Return what Keras makes of a step whose tracing has failed once.

    A ``tf.function`` of Keras 3 that failed while it was traced fails the next time with an error of its own, and the
    user's mistake is not told. Keras 2 makes its functions anew by itself.
    """
    if is_keras_2(model):
        return train_function
    model.make_train_function(force=True)
    return model.train_function


def single_step_function(model: Any) -> Any:
    """Have Keras make its ``train_function`` for one step per execution, beside the one that the model has.

    For versions before 3.7, whose function of several steps cannot be taken apart.
    """
    attributes = vars(model)
    # Keras 2 reads a variable, which its input reads too; None stands for one step there.
    name = "_steps_per_execution" if is_keras_2(model) else "steps_per_execution"
    kept = {one: attributes[one] for one in (name, "train_function", "train_tf_function") if one in attributes}
    attributes[name] = None if is_keras_2(model) else 1
    try:
        model.make_train_function(force=True)
        return attributes["train_function"]
    finally:
        attributes.pop("train_tf_function", None)
        attributes.update(kept)


def is_keras_own_function(train_function: Any, access: StepAccess) -> bool:
    """Tell whether ``model.train_function`` still is what this Keras makes, not somebody's wrapper."""
    function = train_function
    if access.entry == PYTHON_FUNCTION and not _is_python(train_function):
        function = train_function.python_function
    module = getattr(function, "__module__", None) or ""
    return callable(function) and module.split(".")[0] == access.package


def makes_eager_steps(model: Any, train_function: Any, access: StepAccess) -> bool:
    """Tell whether a call of ``train_function`` would run without a graph now: callbacks may switch that."""
    if sys.modules["tensorflow"].config.functions_run_eagerly():
        return True
    if access.entry == PYTHON_FUNCTION:
        return _is_python(train_function)
    return bool(model.run_eagerly)


def _is_python(train_function: Any) -> bool:
    """Tell whether what Keras before 3.7 made for this training is no ``tf.function``: it made it to run eagerly."""
    return not hasattr(train_function, "python_function")


def graph_attribute(model: Any, access: StepAccess) -> str | None:
    """Name of the model attribute whose traced graph Keras' TensorBoard writes after the first step."""
    if access.entry == CALLABLE:
        return None  # a plain function has no graph, and TensorBoard does not look for one
    return "train_tf_function" if is_keras_2(model) else "train_function"


def step_marker(model: Any) -> Callable[[int], AbstractContextManager[Any]]:
    """Return what marks a step for XProf: a context manager for each step number.

    Keras 2 does it itself. Keras 3 names its trace otherwise, so that XProf finds no steps and gives no verdict.
    """
    backend = backend_name(model)
    if is_keras_2(model):
        return nullcontext
    if backend == "tensorflow":
        trace = sys.modules["tensorflow"].profiler.experimental.Trace
        return lambda step: trace("train", step_num=step, _r=1)
    jax = sys.modules.get("jax")
    if backend == "jax" and jax is not None:
        annotation = jax.profiler.StepTraceAnnotation
        return lambda step: annotation("train", step_num=step)
    return nullcontext
