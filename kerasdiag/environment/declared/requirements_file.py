"""requirements.txt, and the arguments of ``pip install``, which are the same thing in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kerasdiag.environment.declared.conda_spec import add_conda_spec, is_conda_line
from kerasdiag.environment.declared.declaration import Declaration, read_list
from kerasdiag.errors import DoctorUsageError

# Options of pip whose value is the next word.
_WITH_VALUE = {
    "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target", "--prefix", "--root",
    "--python", "-p", "--platform", "--python-version", "--trusted-host", "--cache-dir", "--proxy", "--timeout",
    "--retries", "--no-binary", "--only-binary", "--progress-bar", "--src", "--log", "--cert", "--abi",
    "--implementation", "--upgrade-strategy", "--global-option", "--config-settings", "-C",
}  # fmt: skip
_CONSTRAINTS = ("-c", "--constraint")
_NAMES_A_FILE = ("-r", "--requirement", "--requirements", *_CONSTRAINTS)
_EDITABLE = ("-e", "--editable")
_FROM_IMAGE = re.compile(r"FROM\s+[^\s=]", re.IGNORECASE)


def read_requirements(file: Path, into: Declaration, named_by: str = "-r", text: str | None = None) -> None:
    """Read a requirements file and all files that it names.

    Args:
        file: The file.
        into: Where its packages are noted.
        named_by: Who names the file.
        text: What it holds, where somebody has read it: a pipe can be read only once.

    Raises:
        DoctorUsageError: It, or one that it names, cannot be read, or no line of it is a requirement.
    """
    if file.resolve() in into.read:
        return
    into.read.add(file.resolve())
    lines = list(_lines(read_list(file, named_by) if text is None else text))
    if any(_FROM_IMAGE.match(line) for line in lines):  # some of its other lines may read like requirements
        raise DoctorUsageError(
            f"{named_by}: {file} is no list of packages, but looks like a Dockerfile. Those are recognised by their names: "
            "Dockerfile, Dockerfile.gpu, gpu.Dockerfile."
        )
    num_read = sum(_add_line(line, file, into) for line in lines)
    if lines and not num_read:
        raise DoctorUsageError(f"{named_by}: {file} is no list of packages: no line of it is a requirement.")


def _add_line(line: str, file: Path, into: Declaration) -> bool:
    """Note what a line says; return whether it is one of a requirements file, or of a list that conda wrote."""
    words = line.split()
    option, _, value = words[0].partition("=")
    if option in _NAMES_A_FILE or re.match(r"-[rc]\S", words[0]):
        other = value or " ".join(words[1:]) if option in _NAMES_A_FILE else words[0][2:]
        if other and "://" not in other:
            is_constraint = option in _CONSTRAINTS or words[0].startswith("-c")
            (read_constraints if is_constraint else read_requirements)(file.parent / other, into, str(file))
        return True
    if option in _EDITABLE:
        into.add_requirement(value or " ".join(words[1:]))
        return True
    if line.startswith("-"):
        return True
    if is_conda_line(line):
        add_conda_spec(line, into)
        return True
    return into.add_requirement(re.split(r"\s--?[a-z]", line)[0].strip())


def read_constraints(file: Path, into: Declaration, named_by: str = "-c") -> None:
    """Read a file of constraints, which say in which version something is installed, not that it is.

    Args:
        file: The file.
        into: Where they are noted.
        named_by: Who names the file.

    Raises:
        DoctorUsageError: It, or one that it names, cannot be read.
    """
    seen = into.read_as_constraints
    own = Declaration(python=into.python, system=into.system, read=seen, read_as_constraints=seen)
    read_requirements(file, own, named_by)
    into.constraints.update({**own.constraints, **own.versions})


def add_arguments(words: Sequence[str], into: Declaration) -> list[tuple[str, bool]]:
    """Note what ``pip install WORDS`` installs; returns the files that it names, and whether each holds constraints."""
    files = []
    arguments = iter(words)
    for word in arguments:
        option, _, value = word.partition("=")
        if option in _NAMES_A_FILE:
            files.append((value or next(arguments, ""), option in _CONSTRAINTS))
        elif option in _EDITABLE:
            into.add_requirement(value or next(arguments, ""))
        elif re.match(r"-[rc]\S", word):
            files.append((word[2:], word.startswith("-c")))
        elif re.fullmatch(r"-[A-Zaq-z]+r", word):  # -Ur
            files.append((next(arguments, ""), False))
        elif word in _WITH_VALUE:
            next(arguments, None)
        elif word and not word.startswith("-") and word != ".":
            into.add_requirement(word)
    return [(file, is_constraint) for file, is_constraint in files if file and "://" not in file]


def _lines(text: str) -> Iterator[str]:
    """Lines without comments; those that end in a backslash go on in the next."""
    joined = re.sub(r"\\\r?\n", " ", text)
    for line in joined.splitlines():
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        if stripped:
            yield stripped
