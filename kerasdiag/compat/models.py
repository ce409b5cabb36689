"""Models, callbacks and versions of each Keras."""

from __future__ import annotations

import sys
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.

# Where each Keras defines the container that every fit, on any backend, makes of its callbacks.
CALLBACK_LIST_MODULES = (
    "keras.callbacks",  # 2.10 to 2.12
    "keras.src.callbacks",  # 2.13 to 2.15
    "keras.src.callbacks.callback_list",  # 3
    "tf_keras.src.callbacks",
)
CHECKPOINT_CALLBACKS = ("ModelCheckpoint", "BackupAndRestore", "OrbaxCheckpoint")


def version_matches(version: str, specifier: str) -> bool | None:
    """Tell whether a version, pre-releases included, lies in a range such as ``">=1.0.6,<1.1"``; None if it is none."""
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return None


def keras_package(model: Any) -> tuple[str, Version] | None:
    """Return import name and version of the Keras that ``model`` is made of, or None."""
    for base in type(model).__mro__:
        name = base.__module__.split(".")[0]
        if name in ("keras", "tf_keras") and base.__name__ in ("Model", "Trainer"):
            try:
                return name, Version(sys.modules[name].__version__)
            except (KeyError, AttributeError, InvalidVersion):
                return None
    return None


def backend_name(model: Any) -> str:
    """Return ``"tensorflow"``, ``"jax"``, ``"torch"`` ..., or ``"unknown"``."""
    package = keras_package(model)
    if package is None:
        return "unknown"
    name, version = package
    if version < Version("3.0"):
        return "tensorflow"
    backend = getattr(getattr(sys.modules[name], "config", None), "backend", None)
    return str(backend()) if callable(backend) else "unknown"


def software_versions(model: Any) -> dict[str, str]:
    """Return the versions that a profile records, by name."""
    versions = {"python": ".".join(map(str, sys.version_info[:3])), "backend": backend_name(model)}
    package = keras_package(model)
    if package is not None:
        versions[package[0]] = str(package[1])
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        versions["tensorflow"] = str(getattr(tensorflow, "__version__", "unknown"))
    return versions


def is_of_keras(thing: Any) -> bool:
    """Tell whether a class or function is Keras' own."""
    return str(thing.__module__).split(".")[0] in ("keras", "tf_keras")


def layers_of(model: Any) -> list[Any]:
    """Return all layers of a model, those of models within it too."""
    flatten = getattr(model, "_flatten_layers", None)
    return list(flatten() if callable(flatten) else getattr(model, "layers", ()))


def is_keras_2(model: Any) -> bool:
    """Tell whether the model is of Keras 2 or ``tf_keras``."""
    package = keras_package(model)
    return package is not None and package[1] < Version("3.0")


def runs_eagerly(model: Any) -> bool:
    """Tell whether the model's steps are made without a graph: compiled so, or by TensorFlow's switch for all functions.

    The model of Keras 3 does not know of that switch, nor that of Keras 2 if ``run_eagerly=False`` was given.
    """
    return bool(model.run_eagerly) or (backend_name(model) == "tensorflow" and _functions_run_eagerly())


def _functions_run_eagerly() -> bool:
    return bool(sys.modules["tensorflow"].config.functions_run_eagerly())


def compiles_with_xla(model: Any) -> bool:
    """Tell whether the training step is compiled by XLA, anew for each shape of batch."""
    return bool(getattr(model, "jit_compile", False) or getattr(model, "_jit_compile", False))


def is_distributed(model: Any) -> bool:
    """Tell whether a strategy of ``tf.distribute`` splits the batches of this model."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy is not None and "Default" not in type(strategy).__name__


def was_traced_before(train_function: Any) -> bool:
    """Tell whether this model trained without the profiler before, on a Keras where that matters.

    Keras 2 seeds random layers per traced function, so a step traced anew draws other dropout
    masks than the old one would have drawn. Keras 3 keeps the random state in variables.
    """
    count = getattr(train_function, "experimental_get_tracing_count", None)
    return callable(count) and count() > 0 and "_kerasdiag_one_steps" not in train_function.__dict__


def counts_one_update_too_many(model: Any) -> bool:
    """Tell whether Keras, alone, updates the optimizer once more when the input ends an epoch.

    Seen on 2.15, 3.3, 3.6 and 3.15, not on 2.10: the pull that finds no batch still runs the parts
    of the graph that need none. Pulling the batch first does not, nor does an eager or XLA step.
    """
    package = keras_package(model)
    if backend_name(model) != "tensorflow" or runs_eagerly(model) or compiles_with_xla(model):
        return False
    return package is not None and package[1] >= Version("2.11")


def writes_checkpoints(callback: Any) -> bool:
    """Tell whether a callback is one of Keras' own that keep the model on the disk, or made from one."""
    return any(base.__name__ in CHECKPOINT_CALLBACKS and is_of_keras(base) for base in type(callback).__mro__)


def hide_from_tracebacks(*paths: str) -> None:
    """Let Keras' own filter of tracebacks pass over the frames of these files, as it does over Keras' and TensorFlow's."""
    for name in ("keras.utils", "keras.src.utils", "tf_keras.src.utils"):
        module = sys.modules.get(f"{name}.traceback_utils")
        hidden = getattr(module, "_EXCLUDED_PATHS", None)
        if isinstance(hidden, tuple) and not set(paths) <= set(hidden):
            vars(module)["_EXCLUDED_PATHS"] = (*hidden, *paths)
