"""A training step on one and the same batch, again and again, and everything as it was afterwards.

What a step changes lies in variables (weights, slots of the optimizer, metrics, seeds of Keras 3), which are copied
and put back; on JAX a step changes nothing but what it returns. The random numbers of Keras 2 lie within the traced
function, so that one with random operations is traced anew for this, and thrown away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kerasdiag.compat.models import backend_name, is_keras_2, layers_of, runs_eagerly
from kerasdiag.compat.step_access import StepAccess
from kerasdiag.compat.step_functions import as_called, one_step_function

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.


@contextmanager
def cached_step(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Callable[[int], None]]:
    """Give a function that makes so many steps on the batch, until their losses are there; then put everything back.

    Args:
        model: A model that is built and compiled.
        access: Row for its Keras.
        train_function: What Keras would call.
        batch: The batch, as the training gets it.

    Raises:
        ValueError: The step may keep state outside of variables.
    """
    if runs_eagerly(model):
        raise ValueError("run_eagerly: a step of Python may keep state that cannot be put back")
    backend = backend_name(model)
    make = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[backend]
    with make(model, access, train_function, batch) as run:
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
def _tensorflow(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Callable[[int], None]]:
    tensorflow = sys.modules["tensorflow"]
    spec = tensorflow.nest.map_structure(_spec, batch)
    kept = list(train_function.__dict__.get("_kerasdiag_one_steps", ()))
    seeds = _layer_seeds(model)
    step = next((function for _, function in kept), None)
    if step is None or _draws_random_numbers(step):
        train_function.__dict__["_kerasdiag_one_steps"] = []
        try:
            step = one_step_function(model, train_function, access, spec)
        finally:
            train_function.__dict__["_kerasdiag_one_steps"] = kept
    copies = [(variable, variable.numpy()) for variable in _variables(model, step)]

    call_step = as_called(step, spec)

    def run(count: int) -> None:
        for _ in range(count):
            wait_for_logs(call_step(batch))

    try:
        yield run
    finally:
        for variable, value in copies:
            variable.assign(value)
        for generator, seed in seeds:
            generator._seed = seed


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


def _draws_random_numbers(step: Any) -> bool:
    """Tell whether a traced function has operations that keep a random state of their own."""
    graph = step.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return any("Random" in node.op and "Stateless" not in node.op for node in nodes)


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
    found = {id(one): one for source in sources for one in source if one is not None}
    return list(found.values())


@contextmanager
def _jax(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Callable[[int], None]]:  # noqa: ARG001
    jax = sys.modules["jax"]
    groups = (
        model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables,
    )  # fmt: skip
    # Copies: a compiled step takes the memory of its arguments.
    state = tuple([jax.numpy.array(variable.value, copy=True) for variable in group] for group in groups)
    holder = [state]

    def run(count: int) -> None:
        steps = max(1, int(getattr(model, "steps_per_execution", 1) or 1))
        for _ in range(-(-count // steps)):
            logs, holder[0] = train_function(holder[0], iter([batch] * steps))
        jax.block_until_ready((logs, holder[0]))

    yield run


@contextmanager
def _torch(model: Any, access: StepAccess, train_function: Any, batch: Any) -> Iterator[Callable[[int], None]]:  # noqa: ARG001
    torch = sys.modules["torch"]
    copies = [(one, one.value.detach().clone()) for one in _variables(model)]
    was_training = model.training
    uses_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if uses_gpu else []

    def run(count: int) -> None:
        for _ in range(count):
            train_function([batch])
        if devices:
            torch.cuda.synchronize()

    try:
        with torch.random.fork_rng(devices=devices):
            model.train()
            yield run
    finally:
        model.train(was_training)
        with torch.no_grad():
            for variable, value in copies:
                variable.value.copy_(value)
