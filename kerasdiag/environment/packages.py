"""Which packages are installed, and whose code runs behind ``ImageDataGenerator``.

Read from metadata and source files: a broken TensorFlow is described like a sound one, and nothing
is imported.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from kerasdiag.compat import version_matches
from kerasdiag.environment.distributions import Distribution, find_distributions
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.environment.own_python import own_pip, own_python
from kerasdiag.version_facts import tables

TENSORFLOW_NAMES = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos")
NIGHTLY_NAMES = ("tf-nightly", "tf-nightly-cpu", "tf-nightly-gpu")
LEGACY_KERAS_VARIABLE = "TF_USE_LEGACY_KERAS"
# Variables that change what the packages do; the checks see no others.
VARIABLES = (LEGACY_KERAS_VARIABLE, "KERAS_BACKEND", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION")
# Whose requirements are read, and those of what they require.
_ROOTS = (*TENSORFLOW_NAMES, *NIGHTLY_NAMES, "tensorflow-cpu-aws", "keras", "tf-keras", "kerasdiag")

# Where each package keeps ImageDataGenerator: the first of these files that exists holds the code, the
# others only pass its name on.
_GENERATOR_FILES = {
    "keras": (
        "keras/src/legacy/preprocessing/image.py",  # 3
        "keras/src/preprocessing/image.py",  # 2.13-2.15
        "keras/preprocessing/image.py",
    ),
    "tf-keras": ("tf_keras/src/preprocessing/image.py", "tf_keras/preprocessing/image.py"),
    "tensorflow": (
        "tensorflow_core/python/keras/preprocessing/image.py",  # 1.15-2.1
        "tensorflow/python/keras/preprocessing/image.py",
    ),
}
# TensorFlow since 2.6 takes tf.keras from the package keras; what it still carries is dead code.
_TENSORFLOW_WITH_OWN_KERAS = "<2.6"
_IMPORT_LINE = re.compile(r"^\s*(from|import)\s+keras_preprocessing\b", re.MULTILINE)
# Where the wheels of Pillow keep the libraries that they bring.
_PILLOW_LIBRARIES = ("pillow.libs", "Pillow.libs", "PIL/.libs", "PIL/.dylibs")


@dataclass(frozen=True)
class GeneratorCode:
    """Whose code ``ImageDataGenerator`` of one package runs.

    Attributes:
        package: Name of the distribution that offers it, such as ``"keras"``.
        version: Its version.
        uses_keras_preprocessing: Whether that code comes from the package keras-preprocessing.
        file: The file that says so; None where it was not found and the version decided.
    """

    package: str
    version: str
    uses_keras_preprocessing: bool
    file: str | None


@dataclass(frozen=True)
class PackageFacts:
    """What is installed, or what lists say is to be installed.

    Attributes:
        versions: Version by normalised name, of every distribution.
        generators: One for each package that offers ``ImageDataGenerator`` to scripts.
        wants_legacy_keras: Whether ``TF_USE_LEGACY_KERAS`` asks TensorFlow for Keras 2.
        interpreter: What they run on.
        place: Whose packages they are, in words; empty for those of this interpreter.
        python: How a shell calls that interpreter; of lists without meaning.
        pip: How it calls its pip; empty where there are only lists.
        edited_in: Where somebody writes down what is to be installed; empty where it is installed.
        unpinned: Of lists: what they say about packages whose version they leave open.
        not_found: Of lists: files that they install from, and that were not found.
        is_declared: Whether they come from lists, which may leave out what pip will bring besides.
        requires: Requirements of TensorFlow, Keras and what these require, by name.
        conda: Names of those that conda installed; it builds with pins of its own.
        jpeg_library: File name of the JPEG library that Pillow brings, None where none was seen.
        environ: Those of ``VARIABLES`` that are set.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    generators: tuple[GeneratorCode, ...] = ()
    wants_legacy_keras: bool = False
    interpreter: Interpreter = field(default_factory=Interpreter)
    place: str = ""
    python: str = "python"
    pip: str = "pip"
    edited_in: str = ""
    unpinned: Mapping[str, str] = field(default_factory=dict)
    not_found: tuple[str, ...] = ()
    is_declared: bool = False
    requires: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    conda: frozenset[str] = frozenset()
    jpeg_library: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def tensorflow(self) -> tuple[str, str] | None:
        """Name and version of the TensorFlow that is installed, None without one."""
        return next(((name, self.versions[name]) for name in TENSORFLOW_NAMES if name in self.versions), None)

    @property
    def keras(self) -> tuple[str, str] | None:
        """Name and version of the package that ``tf.keras`` is taken from, else of Keras alone; None without one."""
        if self.tensorflow and version_matches(self.tensorflow[1], _TENSORFLOW_WITH_OWN_KERAS):
            return self.tensorflow
        if self.wants_legacy_keras and "tf-keras" in self.versions:
            return "tf-keras", self.versions["tf-keras"]
        return ("keras", self.versions["keras"]) if "keras" in self.versions else None


def find_packages(
    search_path: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    interpreter: Interpreter | None = None,
) -> PackageFacts:
    """Look up what is installed.

    Args:
        search_path: Folders in which packages lie; by default those of this interpreter.
        environ: Environment variables; by default those of this process.
        interpreter: What runs the packages; by default this one.
    """
    is_own = search_path is None
    search_path = sys.path if search_path is None else search_path
    installed = find_distributions(search_path)
    versions = {name: one.version for name, one in installed.items()}
    closure = _closure(installed)
    return PackageFacts(
        versions,
        tuple(_generator_code(*offered, search_path) for offered in _offering(PackageFacts(versions))),
        interpreter=interpreter or Interpreter.here(),
        requires={name: required for name, (required, _) in closure.items()},
        conda=frozenset(name for name, (_, installer) in closure.items() if installer == "conda"),
        jpeg_library=_jpeg_library(installed),
        python=own_python() if is_own else "python",
        pip=own_pip() if is_own else "pip",
        **_variables(os.environ if environ is None else environ),
    )


def declared_packages(
    versions: Mapping[str, str],
    unpinned: Mapping[str, str],
    interpreter: Interpreter,
    place: str,
    environ: Mapping[str, str],
    *,
    edited_in: str = "",
) -> PackageFacts:
    """Return what lists say is to be installed; whose code runs follows from the versions.

    Args:
        versions: Version by normalised name, of what is pinned.
        unpinned: What they say about packages whose version they leave open.
        interpreter: What the packages are for, as far as that is known.
        place: The lists, in words.
        environ: Environment variables that they set.
        edited_in: Where somebody writes down what is in them; by default in themselves.
    """
    found = PackageFacts(versions)
    generators = [_generator_code(*offered, ()) for offered in _offering(found)]
    if not generators and found.tensorflow:
        # pip brings the Keras that this TensorFlow requires.
        generators = [_generator_code("tensorflow-with-keras", *found.tensorflow, ())]
    return PackageFacts(
        versions, tuple(generators), interpreter=interpreter, place=place, pip="", unpinned=unpinned, is_declared=True,
        edited_in=edited_in or place, **_variables(environ),
    )  # fmt: skip


def _variables(environ: Mapping[str, str]) -> dict[str, Any]:  # Any: two attributes of PackageFacts
    wants_legacy = environ.get(LEGACY_KERAS_VARIABLE, "").lower() in ("1", "true")
    kept = {name: environ[name] for name in VARIABLES if environ.get(name)}
    return {"wants_legacy_keras": wants_legacy, "environ": kept}


def _closure(installed: Mapping[str, Distribution]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Requirements and installer of the roots and of all that they may require, whatever the markers say."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    names = [name for name in _ROOTS if name in installed]
    while names:
        name = names.pop()
        if name not in found:
            found[name] = installed[name].requires(), installed[name].installer()
            names += [other for other in _names(found[name][0]) if other in installed]
    return found


def _names(requirements: Iterable[str]) -> list[str]:
    names = []
    for text in requirements:
        try:
            names.append(str(canonicalize_name(Requirement(text).name)))
        except InvalidRequirement:  # noqa: PERF203  # one bad line must not hide the others
            continue
    return names


def _jpeg_library(installed: Mapping[str, Distribution]) -> str | None:
    pillow = installed.get("pillow") or installed.get("pillow-simd")
    for folder in _PILLOW_LIBRARIES if pillow else ():
        assert pillow is not None, "else there is no folder"
        try:
            names = sorted(name for name in os.listdir(pillow.folder / folder) if name.startswith("libjpeg"))
        except OSError:
            continue
        if names:
            return names[0]
    return None


def _offering(found: PackageFacts) -> list[tuple[str, str, str]]:
    """Packages that offer ImageDataGenerator: row of the tables above, distribution, version."""
    offering = [(name, name, found.versions[name]) for name in ("keras", "tf-keras") if name in found.versions]
    if found.tensorflow and version_matches(found.tensorflow[1], _TENSORFLOW_WITH_OWN_KERAS):
        offering.append(("tensorflow", *found.tensorflow))
    return offering


def _generator_code(package: str, distribution: str, version: str, search_path: Sequence[str]) -> GeneratorCode:
    for name in _GENERATOR_FILES.get(package, ()):
        for folder in search_path:
            file = Path(folder or ".") / name
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            return GeneratorCode(distribution, version, bool(_IMPORT_LINE.search(text)), str(file))
    # Keras 2.9 took the iterators in; before, it subclassed those of keras-preprocessing.
    ranges = [row["versions"] for row in tables()["runs_keras_preprocessing"] if row["package"] == package]
    runs_it = any(version_matches(version, versions) for versions in ranges)
    return GeneratorCode(distribution, version, runs_it, None)
