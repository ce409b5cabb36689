"""The Python that a compiled step calls: what it can change is kept, or the step is not made once more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from kerasdiag.compat.kept_state import parts_of
from kerasdiag.compat.step_effects import nodes_in, refusal
from kerasdiag.user_code import Reach, reach_of

# Any stands for foreign objects throughout: models, functions, states and batches of whichever Keras runs.

_STATELESS = "PyFuncStateless"  # its author has said that it may be called any number of times
_TENSORFLOW_CALLS = ("PyFunc", "EagerPyFunc", _STATELESS)


def python_in_graph(step: Any, model: Any) -> list[Reach]:
    """Return what the Python functions that a step of TensorFlow calls can change, so that it can be kept.

    Args:
        step: A ``tf.function`` of one signature.
        model: The model. Attributes of it and of its layers are put back by ``attributes_kept``.

    Raises:
        UnrepeatableStepError: One of the functions changes what cannot be put back, or nobody knows it.
    """
    registered = sys.modules["tensorflow.python.ops.script_ops"]._py_funcs._funcs
    found = []
    for node in nodes_in(step):
        if node.op in _TENSORFLOW_CALLS:
            function = _written_by_user(registered.get(node.attr["token"].s.decode()))
            found += _reach(function, node.op, model, is_stateless=node.op == _STATELESS)
    return found


def python_in_jaxpr(call: Any, model: Any, *arguments: Any) -> list[Reach]:
    """Return the same of a compiled step of JAX.

    Nothing is compiled: JAX finds the step as it was traced for the training. ``pure_callback`` is no effect to it.

    Raises:
        UnrepeatableStepError: It prints, or a function that ``io_callback`` calls changes what cannot be put back.
    """
    found = []
    for equation in _equations(sys.modules["jax"].make_jaxpr(call)(*arguments).jaxpr):
        if _calls_python(equation):
            function = getattr(equation.params.get("callback"), "callback_func", None)
            found += _reach(function, equation.primitive.name, model)
    return found


def _reach(function: Any, operation: str, model: Any, *, is_stateless: bool = False) -> list[Reach]:
    reach = reach_of(function, parts_of(model)) if function is not None else "what it changes is not known"
    if not isinstance(reach, str):
        return [reach]
    if is_stateless:
        return []
    raise refusal(f"calls Python ({operation}: {reach})")


def _written_by_user(function: Any) -> Any:
    """What TensorFlow has wrapped: ``EagerFunc`` in ``_func``, autograph's mark in the variable ``func`` of a closure."""
    function = getattr(function, "_func", function)
    while isinstance(function, FunctionType):
        # The mark has the name and the module of what it is around, but not its globals.
        names = function.__code__.co_freevars
        if not str(function.__globals__.get("__name__")).startswith("tensorflow.") or "func" not in names:
            break
        function = (function.__closure__ or ())[names.index("func")].cell_contents
    return function


def _calls_python(equation: Any) -> bool:
    """Whether an equation of its own calls Python, or prints; kernels have effects, too: on their own memory."""
    known = "callback" in equation.params or equation.primitive.name.startswith("debug")
    return known and bool(equation.effects)


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in _inner(equation):
            yield from _equations(inner)


def _inner(equation: Any) -> list[Any]:
    values = [
        one for value in equation.params.values() for one in (value if isinstance(value, (list, tuple)) else [value])
    ]
    return [inner for inner in (getattr(one, "jaxpr", one) for one in values) if hasattr(inner, "eqns")]
