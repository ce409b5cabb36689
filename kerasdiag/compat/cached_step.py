"""A training step on one and the same batch, again and again, and everything as it was afterwards.

What a step changes lies in variables (weights, slots of the optimizer, metrics, seeds of Keras 3), which are copied
and put back; on JAX a step changes nothing but what it returns. The random numbers of Keras 2 lie within the traced
function, so that one with random operations is traced anew for this, and thrown away: Python that runs while Keras
traces then runs once more. A step that leaves behind what cannot be put back is refused. Where a step is Python each
time (torch; JAX that is not compiled), code of the user's in layers, losses and metrics is not looked into.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from kerasdiag.compat.kept_state import attributes_kept, buffers_kept, global_seed_kept
from kerasdiag.compat.models import backend_name, compiles_with_xla, is_keras_2, layers_of, runs_eagerly
from kerasdiag.compat.step_access import GAP, StepAccess, steps_of_execution
from kerasdiag.compat.step_effects import (
    UnrepeatableStepError,
    draws_random_numbers,
    operations_in,
    refuse_operations,
    refuse_own_python,
)
from kerasdiag.compat.step_functions import as_called, one_step_function
from kerasdiag.compat.step_python import python_in_graph, python_in_jaxpr
from kerasdiag.random_streams import streams_kept
from kerasdiag.user_code import Reach

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.


# Makes so many steps, and returns how many it has made.
Run = Callable[[int], int]


@contextmanager
def cached_step(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Run]:
    """Give a function that makes steps on the batch, until their losses are there; then put everything back.

    Args:
        model: A model that is built and compiled.
        access: Row for its Keras.
        train_function: What Keras would call.
        batch: The batch, as the training gets it.

    Raises:
        UnrepeatableStepError: The step may change what cannot be put back.
    """
    if runs_eagerly(model):
        raise UnrepeatableStepError("run_eagerly: a step of Python may keep state that cannot be put back")
    backend = backend_name(model)
    make = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[backend]
    steps = make(model, access, train_function, batch)
    with streams_kept(), global_seed_kept(model), attributes_kept(model), steps as run:
        yield run


@contextmanager
def own_train_function(model: Any, access: StepAccess, arrays: Any) -> Iterator[tuple[Any, Any]]:
    """Give a ``train_function`` for a model that no fit is training, and a batch as that function takes it.

    The attributes of the model are as they were afterwards.

    Args:
        model: A model that is built and compiled.
        access: Row for its Keras.
        arrays: A batch as its generator gives it: images, labels, weights.
    """
    attributes = vars(model)
    names = ("train_function", "train_tf_function")
    kept = {name: attributes[name] for name in (*names, "optimizer") if name in attributes}
    seeds = _layer_seeds(model)
    batch = _as_batch(access, arrays)
    try:
        if is_keras_2(model):
            # Keras 2 traces a function twice if it makes variables, and draws other seeds the second time: the own
            # optimizer of the model must stay as unbuilt as it may be.
            attributes["optimizer"] = type(model.optimizer).from_config(model.optimizer.get_config())
        if access.backend != "tensorflow":
            model._symbolic_build(data_batch=batch)  # as fit does: optimizer, metrics
        model.make_train_function(force=True)
        yield attributes["train_function"], batch
    finally:
        for name in names:
            attributes.pop(name, None)
        attributes.update(kept)
        for generator, seed in seeds:
            generator._seed = seed


def _as_batch(access: StepAccess, arrays: Any) -> Any:
    if isinstance(arrays, (tuple, list)):
        return tuple(_as_batch(access, one) for one in arrays)
    if access.backend == "tensorflow":
        return sys.modules["tensorflow"].convert_to_tensor(arrays)
    return sys.modules["torch"].as_tensor(arrays) if access.backend == "torch" else arrays


@contextmanager
def _tensorflow(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Run]:
    tensorflow = sys.modules["tensorflow"]
    spec = tensorflow.nest.map_structure(_spec, batch)
    kept = list(train_function.__dict__.get("_kerasdiag_one_steps", ()))
    seeds = _layer_seeds(model)
    step = next((function for _, function in kept), None)
    python = [] if step is None else _look_through(step, model)  # before Python runs once more
    if step is None or draws_random_numbers(operations_in(step)):
        train_function.__dict__["_kerasdiag_one_steps"] = []
        try:
            step = one_step_function(model, train_function, access, spec)
        finally:
            train_function.__dict__["_kerasdiag_one_steps"] = kept
        python = _look_through(step, model)
    copies = [(variable, variable.numpy()) for variable in _variables(model, step)]

    call_step = as_called(step, spec)

    def run(count: int) -> int:
        for _ in range(count):
            wait_for_logs(call_step(batch))
        return count

    try:
        with _all_kept(python):
            yield run
    finally:
        for variable, value in copies:
            variable.assign(value)
        for generator, seed in seeds:
            generator._seed = seed


def _look_through(step: Any, model: Any) -> list[Reach]:
    """Return what the Python that a step calls can change; refuse a step that leaves something behind."""
    refuse_operations(operations_in(step))
    return python_in_graph(step, model)


@contextmanager
def _all_kept(reaches: list[Reach]) -> Iterator[None]:
    with ExitStack() as kept:
        for reach in reaches:
            kept.enter_context(reach.kept())
        yield


def _spec(tensor: Any) -> Any:
    tensorflow = sys.modules["tensorflow"]
    if hasattr(tensor, "_type_spec"):  # ragged, sparse, or one part for each replica
        return tensor._type_spec
    return tensorflow.TensorSpec((None, *tensor.shape[1:]) if tensor.shape.rank else tensor.shape, tensor.dtype)


def wait_for_logs(logs: Any) -> None:
    """Wait for a step, as Keras does when it reads the losses."""
    for value in logs.values() if isinstance(logs, dict) else (logs,):
        if hasattr(value, "numpy"):
            value.numpy()


def _layer_seeds(model: Any) -> list[tuple[Any, Any]]:
    """Where Keras 2 counts the seeds of a layer's operations, while it traces them."""
    generators = [getattr(layer, "_random_generator", None) for layer in layers_of(model)]
    return [(one, one._seed) for one in generators if one is not None and hasattr(one, "_seed")]


def _variables(model: Any, step: Any = None) -> list[Any]:
    """Everything that a step may assign to, once each."""
    optimizer = getattr(model, "optimizer", None)
    of_optimizer = getattr(optimizer, "variables", ())
    sources = [
        model.variables,
        of_optimizer() if callable(of_optimizer) else of_optimizer,
        getattr(model, "metrics_variables", ()),
        [one for metric in getattr(model, "metrics", ()) for one in metric.variables],
        [getattr(model, "_train_counter", None)] if is_keras_2(model) else [],
        step.get_concrete_function().graph.variables if step is not None else (),
    ]
    # Keras 2 puts the handler of a vocabulary among them, which no step changes.
    found = {id(one): one for source in sources for one in source if hasattr(one, "assign")}
    return list(found.values())


@contextmanager
def _jax(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Run]:
    jax = sys.modules["jax"]
    groups = (
        model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables,
    )  # fmt: skip
    # Copies: a compiled step takes the memory of its arguments.
    state = tuple([jax.numpy.array(variable.value, copy=True) for variable in group] for group in groups)
    holder = [state]

    def call(before: Any, one: Any, count: int = 1) -> Any:
        batches = [one] * count
        return train_function(before, batches if access.entry == GAP else iter(batches))

    if compiles_with_xla(model):
        python = python_in_jaxpr(call, model, state, batch)
    else:
        refuse_own_python(model)
        python = []
    most = steps_of_execution(model)

    def run(count: int) -> int:
        for begun in range(0, count, most):  # an execution ends where its input does
            logs, holder[0] = call(holder[0], batch, min(most, count - begun))
        jax.block_until_ready((logs, holder[0]))
        return count

    with _all_kept(python):
        yield run


@contextmanager
def _torch(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Run]:  # noqa: ARG001
    torch = sys.modules["torch"]
    refuse_own_python(model)
    copies = [(one, one.value.detach().clone()) for one in _variables(model)]
    uses_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if uses_gpu else []

    def run(count: int) -> int:
        for _ in range(count):
            train_function([batch])
        if devices:
            torch.cuda.synchronize()
        return count

    try:
        with torch.random.fork_rng(devices=devices), buffers_kept(model):
            model.train()
            yield run
    finally:
        with torch.no_grad():
            for variable, value in copies:
                variable.value.copy_(value)
