"""Which kind of list a file is, and the packages that one or several of them declare."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from kerasdiag.environment.declared.conda_file import read_conda_file
from kerasdiag.environment.declared.declaration import Declaration, read_list
from kerasdiag.environment.declared.dockerfile import read_dockerfile
from kerasdiag.environment.declared.lock_files import read_pipfile_lock, read_toml_lock
from kerasdiag.environment.declared.requirements_file import read_requirements
from kerasdiag.environment.packages import PackageFacts, declared_packages
from kerasdiag.errors import DoctorUsageError

_TOML_LOCK = re.compile(r"(poetry|uv|pdm)\.lock|pylock(\..+)?\.toml")
_DOCKERFILE = re.compile(r"(docker|container)file(\..+)?|.+\.(docker|container)file")


def find_declared(paths: Sequence[str]) -> PackageFacts:
    """Read lists of packages as one environment; a later one wins.

    Args:
        paths: Requirements, lock files, environment.yml or Dockerfiles.

    Raises:
        DoctorUsageError: One cannot be read, or holds no list that is known here.
    """
    declared = Declaration()
    # What names a Python comes first: the markers of the others ask for it.
    for path in sorted(paths, key=_names_no_python):
        _read(Path(path).expanduser(), declared)
    declared.constrain()
    facts = declared_packages(
        declared.versions,
        declared.unpinned,
        declared.interpreter,
        " and ".join(map(_called, paths)),
        declared.environ,
        edited_in=" and ".join(dict.fromkeys(map(_edited_in, paths))),
    )
    return dataclasses.replace(facts, conda=frozenset(declared.conda), not_found=tuple(declared.not_found))


def _called(path: str) -> str:
    """The name of a list; a pipe of the shell has none but its number."""
    return path if path.startswith("/dev/") else Path(path).name


def _edited_in(path: str) -> str:
    """Where somebody writes down what a list holds: nobody edits a lock file."""
    name = Path(path).name.lower()
    if _TOML_LOCK.fullmatch(name):
        return "pyproject.toml (then lock anew)"
    return "Pipfile (then lock anew)" if name == "pipfile.lock" else _called(path)


def _names_no_python(path: str) -> bool:
    name = Path(path).name.lower()
    return not (_DOCKERFILE.fullmatch(name) or name.endswith((".yml", ".yaml")) or name == "pipfile.lock")


def _read(file: Path, into: Declaration) -> None:
    name = file.name.lower()
    if name in ("pipfile", "setup.py", "setup.cfg") or (name.endswith(".toml") and not _TOML_LOCK.fullmatch(name)):
        raise DoctorUsageError(
            f"-r {file}: this says what a project asks for, not what is installed. Name its lock file, a requirements "
            "file, an environment.yml or a Dockerfile; or look at the environment itself with --python."
        )
    text = read_list(file, "-r")
    if _DOCKERFILE.fullmatch(name):
        read_dockerfile(file, text, into)
    elif _TOML_LOCK.fullmatch(name):
        read_toml_lock(file, text, into)
    elif name == "pipfile.lock":
        read_pipfile_lock(file, text, into)
    elif name.endswith((".yml", ".yaml")):
        read_conda_file(file, text, into)
    else:
        read_requirements(file, into, text=text)
