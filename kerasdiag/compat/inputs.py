"""What can be fed to ``fit``: datasets, generators, their workers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from packaging.version import Version

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.


def adds_prefetch(dataset: Any) -> bool:
    """Tell whether tf.data adds a final prefetch to this dataset by itself, so that none is missing.

    Seen on 2.15 and 2.21 with default options; on 2.10 only behind some operations, so not counted.
    """
    tensorflow = sys.modules["tensorflow"]
    if Version(tensorflow.__version__) < Version("2.15"):
        return False
    options = dataset.options()
    optimization = options.experimental_optimization
    switches = (
        options.autotune.enabled,
        optimization.apply_default_optimizations,
        getattr(optimization, "inject_prefetch", None),
    )
    return all(switch is not False for switch in switches)


def generator_loader(generator: Any) -> Callable[..., Any] | None:
    """Return the ``load_img`` that this iterator calls, or None where it is not found.

    It is looked up where the iterator's own code would: the module ``image_utils`` (Keras 2.6 and
    later), or a name of its own module (keras-preprocessing).
    """
    for base in type(generator).__mro__:
        method = vars(base).get("_get_batches_of_transformed_samples")
        names = getattr(method, "__globals__", {})
        if "image_utils" in names or "load_img" in names:
            loader = getattr(names.get("image_utils"), "load_img", None) or names.get("load_img")
            return loader if callable(loader) else None
    return None


def generator_floatx(generator: Any) -> str:
    """Return the ``floatx`` of the Keras that this iterator is made of; its arrays have this dtype."""
    for base in type(generator).__mro__:
        module = sys.modules.get(base.__module__.split(".")[0])
        floatx = getattr(getattr(module, "backend", None), "floatx", None)
        if callable(floatx):
            return str(floatx())
    return "float32"


def empties_every_second_epoch(generator: Any) -> str | None:
    """Return the version of the Keras of this generator if ``steps_per_epoch`` empties every second epoch there.

    Keras 3.3 to 3.6 do so whatever the input: their iterator does not start again.
    """
    for base in type(generator).__mro__:
        if base.__module__.split(".")[0] == "keras":
            version = str(sys.modules["keras"].__version__)
            return version if Version("3.0") <= Version(version) < Version("3.7") else None
    return None


def use_workers(data: Any, workers: int) -> dict[str, int]:
    """Have so many workers prepare the batches of a generator; return what ``fit`` must be given for it.

    Keras 2 takes the number in ``fit``, Keras 3 as an attribute of the input.
    """
    if any(hasattr(base, "workers") for base in type(data).__mro__):
        data.workers = workers
        return {}
    return {"workers": workers}


def computes_on_accelerator(generator: Any) -> bool:
    """Tell whether the Keras of this generator computes on something else than the cores that make its batches."""
    modules = [sys.modules.get(base.__module__.split(".")[0]) for base in type(generator).__mro__]
    backends = [getattr(getattr(module, "config", None), "backend", None) for module in modules]
    backend = next((str(backend()) for backend in backends if callable(backend)), "tensorflow")
    module = sys.modules.get(backend)
    if module is None:
        return False
    if backend == "torch":
        return bool(module.cuda.is_available())
    if backend == "jax":
        return str(module.default_backend()) != "cpu"
    return any(device.device_type != "CPU" for device in module.config.list_physical_devices())
