"""A Dockerfile: its last stage, what it is made from, and what its pip and conda lines install."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from kerasdiag.environment.declared.conda_file import add_conda_spec, read_conda_file, read_conda_specs
from kerasdiag.environment.declared.declaration import Declaration, read_list
from kerasdiag.environment.declared.requirements_file import add_arguments, read_constraints, read_requirements

_INSTRUCTION = re.compile(r"\s*(FROM|ARG|ENV|RUN)\s+(.*)", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")
_VERSION = re.compile(r"(\d+\.\d+(?:\.\d+)?)(?![\w.]*rc)")


def read_dockerfile(file: Path, text: str, into: Declaration) -> None:
    """Note the packages of the image that a Dockerfile builds.

    Args:
        file: Where it lies; a requirements file is looked for beside it, whatever it is called in the image.
        text: What it holds.
        into: Where its packages are noted.
    """
    into.system = "linux"
    for name, rest in _last_stage(text):
        if name == "FROM":
            _add_image(rest.split()[0] if rest.split() else "", into)
        elif name == "ENV":
            into.environ.update(_pairs(rest))
        elif name == "RUN":
            for words in _commands(rest):
                _add_command(words, file, into)


def _last_stage(text: str) -> list[tuple[str, str]]:
    """Instructions of the stages that end up in the image, with the variables filled in."""
    before_stages: dict[str, str] = {}
    variables = before_stages
    variables_of: dict[str, dict[str, str]] = {}
    stages: dict[str, list[tuple[str, str]]] = {}
    stage: list[tuple[str, str]] = []
    for name, raw in _instructions(text):
        if name == "RUN":  # a shell has variables of its own
            rest = _filled(raw, variables, is_shell=True)
        else:
            rest = _filled(raw, before_stages if name == "FROM" else variables)
        if name == "ARG":
            variable, separator, value = rest.partition("=")
            given = value.strip().strip("\"'") if separator else before_stages.get(variable.strip())
            if given is not None:
                variables[variable.strip()] = given
        elif name == "FROM":
            words = [word for word in rest.split() if not word.startswith("--")]
            base = words[0] if words else ""
            stage = [*stages[base.lower()]] if base.lower() in stages else [("FROM", base)]
            variables = dict(variables_of.get(base.lower(), {}))
            own = [str(len({id(one) for one in stages.values()}))]
            if len(words) >= 3 and words[1].lower() == "as":
                own.append(words[2].lower())
            for called in own:
                stages[called], variables_of[called] = stage, variables
        else:
            if name == "ENV":
                variables.update(_pairs(rest))
            stage.append((name, rest))
    return stage


def _filled(text: str, variables: Mapping[str, str], *, is_shell: bool = False) -> str:
    """The text with its variables filled in; what is not known is empty, but in a shell stays as it is."""

    def value(match: re.Match[str]) -> str:
        known = variables.get(match[1] or match[3])
        return known or match[2] or (match[0] if is_shell and match[2] is None else "")

    return _VARIABLE.sub(value, text)


def _pairs(text: str) -> dict[str, str]:
    """Variables of an ENV line: ``A=1 B="2"``, or ``A 1``."""
    pairs = re.findall(r"(\w+)=(?:\"([^\"]*)\"|'([^']*)'|(\S*))", text)
    words = text.split(maxsplit=1)
    if not pairs and len(words) == 2:
        return {words[0]: words[1]}
    return {name: "".join(values) for name, *values in pairs}


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Instructions in upper case with their text; comments between continued lines are dropped, as Docker does."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    pending: list[str] = []
    heredoc = ""
    for line in lines:
        if heredoc:
            if line.strip() == heredoc:
                heredoc = ""
                yield from _instruction("\n".join(pending))
                pending = []
            else:
                pending.append(line)
            continue
        opened = re.search(r"<<-?\s*[\"']?(\w+)[\"']?", line) if re.match(r"\s*RUN\b", line, re.IGNORECASE) else None
        if opened and not pending:
            heredoc, pending = opened[1], ["RUN :"]
            continue
        stripped = line.rstrip()
        if stripped.endswith("\\"):
            pending.append(stripped[:-1])
        elif stripped or not pending:
            yield from _instruction(" ".join([*pending, stripped]))
            pending = []
    if pending:
        yield from _instruction("\n".join(pending) if heredoc else " ".join(pending))


def _instruction(text: str) -> Iterator[tuple[str, str]]:
    match = _INSTRUCTION.fullmatch(text)
    if match:
        yield match[1].upper(), match[2].strip()


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
        command = next((at for at, one in enumerate(rest) if not one.startswith("-")), len(rest))
        if re.fullmatch(r"pip[\d.]*", program) and rest[command : command + 1] == ["install"]:
            for other, is_constraint in add_arguments(rest[command + 1 :], into):
                beside = next(
                    (one for one in (file.parent / other, file.parent / Path(other).name) if one.is_file()), None
                )
                if beside is not None:
                    (read_constraints if is_constraint else read_requirements)(beside, into, str(file))
            return
        if program in ("conda", "mamba", "micromamba") and "run" not in rest[:1]:  # conda run -n env pip install
            _add_conda(words[place + 1 :], file, into)
            return


def _add_conda(words: list[str], file: Path, into: Declaration) -> None:
    arguments = iter(words)
    for word in arguments:
        if word in ("-c", "--channel", "-n", "--name", "-p", "--prefix"):
            next(arguments, None)
        elif word in ("-f", "--file") or word.startswith("--file="):
            named = word.partition("=")[2] or next(arguments, "")
            beside = file.parent / Path(named).name
            if beside.suffix in (".yml", ".yaml") and beside.is_file():
                read_conda_file(beside, read_list(beside, str(file)), into)
            elif beside.is_file():
                read_conda_specs(read_list(beside, str(file)), into)
        elif not word.startswith("-") and word not in (
            "install",
            "create",
            "env",
            "update",
            "run",
            "clean",
            "activate",
        ):
            add_conda_spec(word, into)
