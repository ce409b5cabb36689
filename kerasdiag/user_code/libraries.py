"""What is known about libraries: whose functions keep no state that matters, and which of them do."""

from __future__ import annotations

import re
import sys
import sysconfig
import types
from pathlib import Path

_FRAMEWORKS = frozenset({"tensorflow", "keras", "tf_keras", "keras_preprocessing", "keras_applications"})
# Their functions draw from NumPy's and Python's global random numbers, if from any, and those are put back.
_NUMERICAL = frozenset(
    {"numpy", "scipy", "PIL", "cv2", "skimage", "pandas", "imageio", "tifffile", "h5py", "pydicom", "nibabel", "jax"}
)
# The pure ones among the functions of Keras and TensorFlow: these draw from NumPy's global numbers, if from any.
_PURE = re.compile(r"applications\..*\bpreprocess_input$|preprocessing\.(image|sequence)\.")
_INPUTS = re.compile(r"preprocessing.*(ImageDataGenerator|Iterator|TimeseriesGenerator)$")
# Streams of their own, which nobody can put back, and objects that number their instances.
_STATEFUL_WORDS = re.compile(
    r"rand|drop|shuffle|noise|seed|sample|layers|model|variable|\.data\b|function|py_func|module|initializer|write|summary",
    re.IGNORECASE,
)
_STATEFUL = {
    "builtins": re.compile(r"\.(exec|eval|compile|__import__|globals|input|breakpoint)$"),
    "cv2": re.compile(r"rand|rng|kmeans|write|waitKey", re.IGNORECASE),
    "os": re.compile(r"\.(remove|unlink|rename|replace|mk|rm|system|popen|exec|spawn|fork|kill|put|environ|chdir)"),
    **dict.fromkeys(
        ("sys", "gc", "ctypes", "importlib", "inspect", "shutil", "subprocess", "socket", "multiprocessing", "atexit"),
        re.compile(""),
    ),
}
_STANDARD_FOLDERS = tuple(Path(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib"))


def is_library(module_name: str | None) -> bool:
    """Tell whether a module is of Python itself or of a library that is known here."""
    root = (module_name or "").partition(".")[0]
    return root in _FRAMEWORKS or root in _NUMERICAL or _is_standard(root)


def is_framework(module_name: str) -> bool:
    """Tell whether a module is of Keras or TensorFlow, which have random numbers of their own."""
    return module_name.partition(".")[0] in _FRAMEWORKS


def is_of_input(kind: type) -> bool:
    """Tell whether a class is one of Keras' own inputs, whose state is in their attributes alone."""
    root = kind.__module__.partition(".")[0]
    return root in _FRAMEWORKS and (
        kind.__name__ in ("PyDataset", "Sequence") or bool(_INPUTS.search(f"{kind.__module__}.{kind.__name__}"))
    )


def objection_to(path: str) -> str | None:
    """Return why something of a library must not be called beside a training, or None.

    Args:
        path: Its dotted name, module first, such as ``"numpy.random.rand"``.
    """
    root = path.partition(".")[0]
    if root in _FRAMEWORKS:
        stateful = not _PURE.search(path) and _STATEFUL_WORDS.search(path)
    else:
        pattern = _STATEFUL.get("os" if root in ("posix", "nt") else root)
        stateful = pattern is not None and pattern.search(path)
    return f"{path}, which may change what cannot be put back" if stateful else None


def installed_package(module_name: str | None) -> str | None:
    """Return the package that a module is of if it was installed, and not written by the user; else None."""
    root = (module_name or "").partition(".")[0]
    path = _file_of(sys.modules.get(root))
    return root if path is not None and _is_installed(path) and root != "__main__" else None


def _is_standard(root: str) -> bool:
    if root in sys.builtin_module_names:
        return True
    module = sys.modules.get(root)
    # A module of the user's may have the name of a standard one.
    path = _file_of(module)
    if path is None:  # a frozen one, or none at all
        return module is not None and root in getattr(sys, "stdlib_module_names", ())
    return not _is_installed(path) and any(folder in path.parents for folder in _STANDARD_FOLDERS)


def _file_of(module: object) -> Path | None:
    file = getattr(module, "__file__", None) if isinstance(module, types.ModuleType) else None
    return Path(file) if file else None


def _is_installed(path: Path) -> bool:
    return bool({"site-packages", "dist-packages"}.intersection(path.parts))
