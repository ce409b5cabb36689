"""Which packages are installed, and whose code runs behind ``ImageDataGenerator``.

Read from metadata and source files: a broken TensorFlow is described like a sound one, and nothing
is imported.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from kerasdiag.compat import version_matches

TENSORFLOW_NAMES = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos")
LEGACY_KERAS_VARIABLE = "TF_USE_LEGACY_KERAS"
_NAMES = (*TENSORFLOW_NAMES, "tf-nightly", "keras", "tf-keras", "keras-preprocessing")

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
# For packages whose files are not found: Keras 2.9 took the iterators in (keras v2.9.0
# preprocessing/image.py; before, it subclassed those of keras-preprocessing).
_IMPORTS_KERAS_PREPROCESSING = {"keras": ">=2.2,<2.9", "tf-keras": "<2.9", "tensorflow": ">=1.11,<2.6"}
_IMPORT_LINE = re.compile(r"^\s*(from|import)\s+keras_preprocessing\b", re.MULTILINE)


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
    """What is installed.

    Attributes:
        versions: Version by name of the distribution, of those that matter here.
        generators: One for each package that offers ``ImageDataGenerator`` to scripts.
        wants_legacy_keras: Whether ``TF_USE_LEGACY_KERAS`` asks TensorFlow for Keras 2.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    generators: tuple[GeneratorCode, ...] = ()
    wants_legacy_keras: bool = False

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


def find_packages(search_path: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> PackageFacts:
    """Look up what is installed.

    Args:
        search_path: Folders in which packages lie; by default those of this interpreter.
        environ: Environment variables; by default those of this process.
    """
    search_path = sys.path if search_path is None else search_path
    environ = os.environ if environ is None else environ
    versions = {name: version for name in _NAMES for version in [_version(name, search_path)] if version}
    found = PackageFacts(versions, (), environ.get(LEGACY_KERAS_VARIABLE, "").lower() in ("1", "true"))
    generators = [
        _generator_code(package, distribution, version, search_path)
        for package, distribution, version in _offering(found)
    ]
    return PackageFacts(versions, tuple(generators), found.wants_legacy_keras)


def _version(name: str, search_path: Sequence[str]) -> str | None:
    for distribution in metadata.distributions(name=name, path=list(search_path)):
        fields = distribution.metadata
        if fields and "Version" in fields:  # else an interrupted pip left an empty folder
            return fields["Version"]
    return None


def _offering(found: PackageFacts) -> list[tuple[str, str, str]]:
    """Packages that offer ImageDataGenerator: row of the tables above, distribution, version."""
    offering = [(name, name, found.versions[name]) for name in ("keras", "tf-keras") if name in found.versions]
    if found.tensorflow and version_matches(found.tensorflow[1], _TENSORFLOW_WITH_OWN_KERAS):
        offering.append(("tensorflow", *found.tensorflow))
    return offering


def _generator_code(package: str, distribution: str, version: str, search_path: Sequence[str]) -> GeneratorCode:
    for name in _GENERATOR_FILES[package]:
        for folder in search_path:
            file = Path(folder or ".") / name
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            return GeneratorCode(distribution, version, bool(_IMPORT_LINE.search(text)), str(file))
    known = version_matches(version, _IMPORTS_KERAS_PREPROCESSING[package])
    return GeneratorCode(distribution, version, bool(known), None)
