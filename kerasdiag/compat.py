"""Every difference between Keras and TensorFlow versions, one function each, named by behaviour.

No other module asks for a version. Nothing here imports Keras or TensorFlow: whoever trains has
loaded them already, and they are taken from ``sys.modules``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from kerasdiag.fit_call import FitCall

# Any stands for foreign objects throughout: models, iterators and batches of whichever Keras runs.

PYTHON_FUNCTION = "python-function"
CALLABLE = "callable"


@dataclass(frozen=True)
class StepAccess:
    """One row of the table below: how to reach Keras' own training step on a batch at hand.

    In each of these versions the TensorFlow graph pulls the batch inside ``train_function``, so
    nothing outside can see the wait. Each also accepts a one-element Python iterator somewhere,
    and with that the batch can be pulled, and timed, before the step.

    Attributes:
        package: Import name of the Keras package.
        since: First version the row holds for.
        below: First version it holds for no more; None for open end.
        entry: ``"python-function"``: ``train_function`` is a tf.function whose Python function
            calls ``next`` on what it is given. ``"callable"``: it is a Python function with a
            branch for plain iterators.
    """

    package: str
    since: str
    below: str | None
    entry: str


STEP_ACCESS = (
    StepAccess("keras", "2.10", "3.0", PYTHON_FUNCTION),
    StepAccess("tf_keras", "2.15", None, PYTHON_FUNCTION),
    StepAccess("keras", "3.0", "3.7", PYTHON_FUNCTION),
    StepAccess("keras", "3.7", None, CALLABLE),
)

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


def find_step_access(model: Any, fit: FitCall) -> StepAccess | str:
    """Return the row of ``STEP_ACCESS`` for this fit, or in plain words why its wait cannot be measured."""
    backend = backend_name(model)
    package = keras_package(model)
    if package is None:
        return f"{type(model).__qualname__} is not a model of a Keras that kerasdiag knows"
    name, version = package
    if backend != "tensorflow":
        return f"the {backend} backend is not measured yet, only TensorFlow is"
    for access in STEP_ACCESS:
        if access.package != name or version < Version(access.since):
            continue
        if access.below is None or version < Version(access.below):
            return _objection(model, fit, access, version) or access
    return f"{name} {version} is older than the oldest supported version (2.10)"


def _objection(model: Any, fit: FitCall, access: StepAccess, version: Version) -> str | None:
    """Return why this particular fit cannot be measured, or None."""
    owner = next((base for base in type(model).__mro__ if "make_train_function" in vars(base)), None)
    if owner is None or owner.__module__.split(".")[0] != access.package:
        return "the model overrides make_train_function, so its training step is not Keras' own"
    strategy = type(getattr(model, "distribute_strategy", None)).__name__
    if "ParameterServer" in strategy or "TPU" in strategy:
        return f"{strategy} runs steps where this process cannot time them"
    executions = _steps_per_execution(model)
    if executions != 1:
        return f"steps_per_execution is {executions}; only 1 is measured yet"
    if _host_runs_ahead(fit, version):
        return "this Keras lets the GPU run behind the program here, so a wait may be hidden behind GPU work; " + (
            "fit with verbose=1 to measure it" if version < Version("3.0") else "Keras 3.7 or newer can be measured"
        )
    return None


def _steps_per_execution(model: Any) -> Any:
    # Keras 2 keeps a tf.Variable, or None before compile set it; Keras 3 an int. A tuner that
    # varies the value (jit_compile and steps_per_execution="auto" of Keras 2.14+) is not 1 either.
    if getattr(model, "autotune_steps_per_execution", False):
        return "auto"
    value: Any = getattr(model, "_steps_per_execution", None)
    if value is None:
        value = getattr(model, "steps_per_execution", 1)
    return int(value.numpy()) if hasattr(value, "numpy") else value


def _host_runs_ahead(fit: FitCall, version: Version) -> bool:
    """Tell whether nothing waits for the GPU between two steps, so that host waits may cost nothing.

    Keras 3 reads the metrics after each step (3.6 alone does so in another thread). Keras 2 does
    only when a progress bar or a callback without tensor logs is there.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not tensorflow.config.list_logical_devices("GPU"):
        return False
    if version >= Version("3.0"):
        return Version("3.6") <= version < Version("3.7")
    bars = getattr(fit.callbacks, "params", None) or {}
    reads_logs = getattr(fit.callbacks, "_should_call_train_batch_hooks", False) and not getattr(
        fit.callbacks, "_batch_hooks_support_tf_logs", True
    )
    return bars.get("verbose") != 1 and not reads_logs


def one_step_function(train_function: Any, access: StepAccess, element_spec: Any) -> Callable[[Any], Any]:
    """Return Keras' own training step as a function of one batch.

    It is kept on ``train_function``, so a second fit neither traces again nor draws other random
    numbers than the first, and it lives no longer than the original.

    Args:
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
        step, autograph = train_function.python_function, True

    def one_step(batch: Any) -> Any:
        return step(iter([batch]))

    function = tensorflow.function(one_step, input_signature=[element_spec], autograph=autograph)
    # Traced now, while no batch has been pulled: a step that cannot be taken apart fails here, and
    # the training can go on without the profiler and without having lost a batch.
    function.get_concrete_function()
    kept.append((element_spec, function))
    return function  # type: ignore[no-any-return]  # TensorFlow has no types


def eager_step_function(train_function: Any) -> Callable[[Any], Any]:
    """The same for a model compiled with ``run_eagerly=True``, where nothing is traced."""

    def one_step(batch: Any) -> Any:
        return train_function(iter([batch]))

    return one_step


def was_traced_before(train_function: Any) -> bool:
    """Tell whether this model trained without the profiler before, on a Keras where that matters.

    Keras 2 seeds random layers per traced function, so a step traced anew draws other dropout
    masks than the old one would have drawn. Keras 3 keeps the random state in variables.
    """
    count = getattr(train_function, "experimental_get_tracing_count", None)
    return callable(count) and count() > 0 and "_kerasdiag_one_steps" not in train_function.__dict__


def is_keras_own_function(train_function: Any, access: StepAccess, *, run_eagerly: bool) -> bool:
    """Tell whether ``model.train_function`` still is what this Keras makes, not somebody's wrapper."""
    function = train_function
    if access.entry == PYTHON_FUNCTION and not run_eagerly:
        function = getattr(train_function, "python_function", None)
    module = getattr(function, "__module__", None) or ""
    return callable(function) and module.split(".")[0] == access.package


def graph_attribute(model: Any, access: StepAccess) -> str | None:
    """Name of the model attribute whose traced graph Keras' TensorBoard writes after the first step."""
    if access.entry == CALLABLE:
        return None  # a plain function has no graph, and TensorBoard does not look for one
    return "train_tf_function" if is_keras_2(model) else "train_function"


def is_keras_2(model: Any) -> bool:
    """Tell whether the model is of Keras 2 or ``tf_keras``."""
    package = keras_package(model)
    return package is not None and package[1] < Version("3.0")


def counts_one_update_too_many(model: Any) -> bool:
    """Tell whether Keras, alone, updates the optimizer once more when the input ends an epoch.

    Seen on 2.15, 3.3, 3.6 and 3.15, not on 2.10: the pull that finds no batch still runs the parts
    of the graph that need none. Pulling the batch first does not, nor does an eager or XLA step.
    """
    package = keras_package(model)
    graph = not model.run_eagerly and not compiles_with_xla(model)
    return graph and package is not None and package[1] >= Version("2.11")


def compiles_with_xla(model: Any) -> bool:
    """Tell whether the training step is compiled by XLA, anew for each shape of batch."""
    return bool(getattr(model, "jit_compile", False) or getattr(model, "_jit_compile", False))


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


def writes_checkpoints(callback: Any) -> bool:
    """Tell whether a callback is one of Keras' own that keep the model on the disk, or made from one."""
    return any(
        base.__name__ in CHECKPOINT_CALLBACKS and base.__module__.split(".")[0] in ("keras", "tf_keras")
        for base in type(callback).__mro__
    )


def hide_from_tracebacks(*paths: str) -> None:
    """Let Keras' own filter of tracebacks pass over the frames of these files, as it does over Keras' and TensorFlow's."""
    for name in ("keras.utils", "keras.src.utils", "tf_keras.src.utils"):
        module = sys.modules.get(f"{name}.traceback_utils")
        hidden = getattr(module, "_EXCLUDED_PATHS", None)
        if isinstance(hidden, tuple) and not set(paths) <= set(hidden):
            vars(module)["_EXCLUDED_PATHS"] = (*hidden, *paths)
