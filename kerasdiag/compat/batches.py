"""What comes out of an input, and what goes on behind a step, on each backend."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kerasdiag.compat.step_access import StepAccess
from kerasdiag.fit_call import FitCall

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.


def is_end_of_input(error: BaseException) -> bool:
    """Tell whether an iterator raised this because it has no more batches."""
    return isinstance(error, StopIteration) or type(error).__name__ == "OutOfRangeError"


def queued_batches(fit: FitCall) -> Callable[[], int | None] | None:
    """Return what counts the batches that lie ready in the queue of Keras' workers; None where there is none.

    The queue holds what was ordered, done or not. Keras 3 calls it ``future_queue`` from 3.6 on, and ``queue`` before.
    """
    adapter = getattr(fit.arguments.get("epoch_iterator"), "data_adapter", None)
    if adapter is None:
        adapter = getattr(fit.arguments.get("data_handler"), "_adapter", None)  # Keras 2
    if not hasattr(adapter, "enqueuer") and not hasattr(adapter, "_enqueuer"):
        return None

    def count() -> int | None:
        enqueuer = getattr(adapter, "enqueuer", None) or getattr(adapter, "_enqueuer", None)
        orders = getattr(enqueuer, "future_queue", None) or getattr(enqueuer, "queue", None)
        if orders is None:
            return None
        return sum(1 for one in list(orders.queue) if _is_ready(one))

    return count


def _is_ready(order: Any) -> bool:
    return not hasattr(order, "ready") or bool(order.ready())  # a worker that failed puts its exception there


def ready_input(fit: FitCall, access: StepAccess) -> Callable[[Any], Iterator[Any] | None] | None:
    """Return what makes, from a batch, an input of such batches that is always ready; None where that is not known.

    On JAX and torch Keras hands every batch on by its own adapter of the input: tf.data as arrays, and on torch what
    Python makes through a ``DataLoader``. A ``DataLoader`` of the user's is the user's input, whole. Of what Python makes
    one row is enough: whether Keras copies the rest (NumPy's arrays on torch) or not (tensors) cannot be seen behind it.
    A GPU under torch does what it is told in turn: a copy to it would wait for the step.
    """
    adapter: Any = type(getattr(fit.arguments.get("epoch_iterator"), "data_adapter", None))
    if access.backend == "torch" and _uses_cuda():
        return None
    if adapter.__name__ == "TFDatasetAdapter":
        return lambda batch: _ready_dataset(adapter, _zeros(batch), access.backend)
    if adapter.__name__ in ("PyDatasetAdapter", "GeneratorDataAdapter"):
        convert = getattr(_utilities_of(adapter), _CONVERTERS[access.backend], None)
        return None if convert is None else lambda batch: _ready_batches(convert, _zeros(batch, rows=1))
    return None


# What Keras' adapters call, by backend, to hand on what comes out of a Python iterator.
_CONVERTERS = {"jax": "get_jax_iterator", "torch": "get_torch_dataloader"}


def _utilities_of(adapter: type) -> Any:
    return getattr(sys.modules.get(adapter.__module__), "data_adapter_utils", None)


def _ready_dataset(adapter: Any, batch: Any, backend: str) -> Iterator[Any]:
    tensorflow = sys.modules["tensorflow"]
    with tensorflow.device("CPU:0"):
        ready: Any = adapter(tensorflow.data.Dataset.from_tensors(batch).repeat().prefetch(2))
    if backend == "jax":
        return iter(ready.get_jax_iterator())
    with _torch_seed_kept():
        return iter(ready.get_torch_dataloader())


def _ready_batches(convert: Callable[[Iterable[Any]], Iterable[Any]], batch: Any) -> Iterator[Any]:
    with _torch_seed_kept():
        return iter(convert(itertools.repeat(batch)))


def _torch_seed_kept() -> Any:
    """A DataLoader draws a seed from the global stream."""
    torch = sys.modules.get("torch")
    return contextlib.nullcontext() if torch is None else torch.random.fork_rng(devices=[])


def _zeros(batch: Any, rows: int | None = None) -> Any:
    """A batch of this structure and these shapes, or with so many rows; torch's lists are tuples for TensorFlow."""
    if batch is None:
        return None
    if hasattr(batch, "todense") or getattr(batch, "is_sparse", False):
        raise TypeError(f"a {type(batch).__name__} is not made dense: it may be far larger than memory")
    if isinstance(batch, dict):
        return {name: _zeros(part, rows) for name, part in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(_zeros(part, rows) for part in batch)
    import numpy as np  # here, so that the command line starts fast

    shape = tuple(batch.shape)
    if rows is not None and shape:
        shape = (rows, *shape[1:])
    return np.zeros(shape, str(batch.dtype).rpartition(".")[2])  # torch.float32


def work_in_flight(backend: str, result: Any) -> list[Any]:
    """Return what tells when the device has computed a step: objects with ``is_ready`` and ``block_until_ready``.

    Args:
        backend: Name of the backend.
        result: What ``train_function`` returned: logs, on JAX with the new state behind them.
    """
    if backend == "jax":
        logs = result[0] if isinstance(result, tuple) else result
        return [one for one in logs.values() if hasattr(one, "is_ready")]
    if backend == "torch" and _uses_cuda():
        return [_CudaWork(sys.modules["torch"])]
    return []  # computed by the time the call returns


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available() and torch.cuda.is_initialized())


class _CudaWork:
    """What the GPU has been given so far."""

    def __init__(self, torch: Any) -> None:
        self._event = torch.cuda.Event(blocking=True)
        self._event.record()

    def is_ready(self) -> bool:
        return bool(self._event.query())

    def block_until_ready(self) -> None:
        self._event.synchronize()
