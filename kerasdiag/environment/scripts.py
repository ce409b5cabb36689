"""The scripts and notebooks that the user named, read and parsed; nothing of them is executed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasdiag.environment.script_names import SUFFIXES, no_scripts_in, refuse_other_files
from kerasdiag.environment.script_text import ParsedText, Problem, parse_notebook, parse_script
from kerasdiag.errors import DoctorUsageError

_MOST_BYTES = 64 * 1024**2  # a notebook full of pictures; a training script has thousands
_MOST_FILES = 5000  # below one folder
# Not the user's own code. Hidden folders (.git, .tox, .ipynb_checkpoints) are left out too.
_OTHERS_CODE = ("__pycache__", "node_modules", "site-packages", "build", "dist")
_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
_MARKERS = ("keras", "tensorflow")


@dataclass(frozen=True, eq=False)
class Script:
    """One script or notebook. Two of them are equal only if they are the same object.

    Attributes:
        path: As it was named on the command line, or found below a folder that was.
        text: Its lines and syntax tree; both empty where it was not parsed.
        problems: What could not be read or parsed.
        is_named: Whether it was named itself, and not found below a folder.
        is_parsed: False for what was found below a folder and names neither Keras nor TensorFlow.
    """

    path: str
    text: ParsedText
    problems: tuple[Problem, ...] = ()
    is_named: bool = True
    is_parsed: bool = True


@dataclass(frozen=True)
class ScriptFacts:
    """All scripts that were named."""

    scripts: tuple[Script, ...]


def find_scripts(names: Sequence[str]) -> ScriptFacts:
    """Read these files, and of these folders all scripts and notebooks.

    Raises:
        DoctorUsageError: A name leads to no file, to one that is no script, or to a folder without scripts.
    """
    files: dict[str, None] = {}
    for name in names:
        files.update(dict.fromkeys(_files_of(name)))
    return ScriptFacts(tuple(_read(file, is_named=file in names) for file in files))


def _files_of(name: str) -> list[str]:
    if not os.path.lexists(name):
        raise DoctorUsageError(f"There is no script {name}. Name Python files, notebooks, or folders of them.")
    if not os.path.isdir(name):
        refuse_other_files(name)
        return [name]
    found = sorted(_below(name))
    if not found:
        raise no_scripts_in(name)
    if len(found) > _MOST_FILES:
        raise DoctorUsageError(
            f"The folder {name} holds {len(found):,} scripts; name one below it, with {_MOST_FILES:,} at most."
        )
    return found


def _below(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not _is_skipped(place, each)]
        yield from (os.path.join(place, file) for file in files if file.endswith(SUFFIXES) and not file.startswith("."))


def _is_skipped(place: str, folder: str) -> bool:
    return folder.startswith(".") or folder in _OTHERS_CODE or (Path(place) / folder / _VIRTUAL_ENVIRONMENT).exists()


def _read(file: str, *, is_named: bool) -> Script:
    path = Path(file)
    try:
        num_bytes = path.stat().st_size
        if num_bytes > _MOST_BYTES:
            return _unread(file, is_named, f"it has {num_bytes:,} bytes, more than a script or notebook of yours would")
        data = path.read_bytes() if path.is_file() else None
    except OSError as error:
        return _unread(file, is_named, error.strerror or type(error).__name__)
    if data is None:
        return _unread(file, is_named, "it is no regular file")
    # The usual file of a folder: nothing in it is about Keras. Of one that was named, somebody expects an answer.
    if not is_named and not any(marker.encode() in data for marker in _MARKERS) and b"\0" not in data:
        return Script(file, ParsedText(), is_named=False, is_parsed=False)
    text, problems = (parse_notebook if path.suffix.lower() == ".ipynb" else parse_script)(data)
    return Script(file, text, problems, is_named)


def _unread(file: str, is_named: bool, why: str) -> Script:
    return Script(file, ParsedText(), (Problem(1, 1, None, f"cannot be read: {why}"),), is_named)
