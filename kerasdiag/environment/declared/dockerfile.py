"""A Dockerfile: what its image is made from, and what its pip and conda lines install and remove again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from kerasdiag.environment.declared.conda_file import read_conda_file, read_conda_specs
from kerasdiag.environment.declared.conda_spec import add_conda_spec
from kerasdiag.environment.declared.declaration import Declaration, read_list
from kerasdiag.environment.declared.dockerfile_stages import last_stage, pairs_of
from kerasdiag.environment.declared.requirements_file import add_arguments, read_constraints, read_requirements
from kerasdiag.errors import DoctorUsageError

_VERSION = re.compile(r"(\d+\.\d+(?:\.\d+)?)(?![\w.]*rc)")


def read_dockerfile(file: Path, text: str, into: Declaration) -> None:
    """Note the packages of the image that a Dockerfile builds.

    Args:
        file: Where it lies; a requirements file is looked for beside it, whatever it is called in the image.
        text: What it holds.
        into: Where its packages are noted.

    Raises:
        DoctorUsageError: It has no instruction of a Dockerfile, or a file that it installs from cannot be read.
    """
    instructions = last_stage(text)
    if not instructions:
        raise DoctorUsageError(f"-r {file}: this is no Dockerfile: it has neither FROM nor RUN.")
    into.system = "linux"
    for name, rest in instructions:
        if name == "FROM":
            _add_image(rest.split()[0] if rest.split() else "", into)
        elif name == "ENV":
            into.environ.update(pairs_of(rest))
        elif name == "RUN":
            for words in _commands(rest):
                _add_command(words, file, into)


def _add_image(image: str, into: Declaration) -> None:
    """What the tag of an image tells: python:3.7-slim, tensorflow/tensorflow:2.10.1-gpu."""
    path, _, tag = image.rpartition("@")[0].rpartition(":") if "@" in image else image.rpartition(":")
    name = "/".join(path.split("/")[-2:]) if path.count("/") else path
    version = _VERSION.match(tag)
    if name in ("python", "library/python"):
        into.python = version[1] if version else None
    elif name == "tensorflow/tensorflow":
        if version:
            into.pin("tensorflow", version[1])
        else:
            into.leave_open("tensorflow", f"the tag of the image {image} names no version")


def _commands(text: str) -> Iterator[list[str]]:
    """Commands of a RUN line, in words."""
    text = re.sub(r"^(--\w+=\S+\s+)+", "", text)
    if text.startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            if len(words) == 3 and words[1] == "-c":
                yield from _commands(words[2])
            else:
                yield words
            return
    joined = re.sub(r"\\[ \t]*\n", " ", text)  # lines of a heredoc go on like those of any shell
    for line in re.split(r"&&|\|\||[;\n]|(?<!\|)\|(?!\|)", _protected(joined)):
        try:
            yield [word.replace("\1", ";") for word in shlex.split(line)]
        except ValueError:  # noqa: PERF203  # an open quote
            yield line.replace("\1", ";").split()


def _protected(text: str) -> str:
    """The text with the semicolons in quotes, which are markers, kept from being taken as ends of commands."""
    return re.sub(r"\"[^\"\n]*\"|'[^'\n]*'", lambda match: match[0].replace(";", "\1"), text)


def _add_command(words: list[str], file: Path, into: Declaration) -> None:
    for place, word in enumerate(words):
        program = word.rpartition("/")[2]
        rest = words[place + 1 :]
        at = next((number for number, one in enumerate(rest) if not one.startswith("-")), len(rest))
        command, arguments = "".join(rest[at : at + 1]), rest[at + 1 :]
        if re.fullmatch(r"pip[\d.]*", program) and command in ("install", "uninstall"):
            if command == "uninstall":
                _remove(arguments, into)
                return
            for other, is_constraint in add_arguments(arguments, into):
                beside = _beside(file, other, into)
                if beside is not None:
                    (read_constraints if is_constraint else read_requirements)(beside, into, str(file))
            return
        if program in ("conda", "mamba", "micromamba") and command != "run":  # conda run -n env pip install
            if command == "env":
                command, arguments = "".join(arguments[:1]), arguments[1:]
            if command in ("remove", "uninstall"):
                _remove(arguments, into)
            elif command in ("install", "create", "update", "upgrade"):
                _add_conda(arguments, file, into)
            return


def _remove(words: list[str], into: Declaration) -> None:
    for word in words:
        if not word.startswith("-"):
            into.remove(word)


def _beside(file: Path, named: str, into: Declaration) -> Path | None:
    """The file of this name beside the Dockerfile, whatever folder it has in the image; None and a note without one."""
    for one in (file.parent / named, file.parent / Path(named).name):
        if one.is_file():
            return one
    into.not_found[named] = None
    return None


def _add_conda(words: list[str], file: Path, into: Declaration) -> None:
    arguments = iter(words)
    for word in arguments:
        if word in ("-c", "--channel", "-n", "--name", "-p", "--prefix"):
            next(arguments, None)
        elif word in ("-f", "--file") or word.startswith("--file="):
            beside = _beside(file, word.partition("=")[2] or next(arguments, ""), into)
            if beside is not None and beside.suffix in (".yml", ".yaml"):
                read_conda_file(beside, read_list(beside, str(file)), into)
            elif beside is not None:
                read_conda_specs(read_list(beside, str(file)), into)
        elif not word.startswith("-"):
            add_conda_spec(word, into)
