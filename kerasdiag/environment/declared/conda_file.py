"""environment.yml of conda: the lines of ``dependencies``, and the pip lines below them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kerasdiag.environment.declared.conda_spec import add_conda_spec
from kerasdiag.environment.declared.declaration import Declaration
from kerasdiag.environment.declared.requirements_file import add_arguments, read_constraints, read_requirements
from kerasdiag.errors import DoctorUsageError


def read_conda_file(file: Path, text: str, into: Declaration) -> None:
    """Note the packages of an environment.yml.

    Args:
        file: Where it lies; its pip lines may name files beside it.
        text: What it holds.
        into: Where its packages are noted.

    Raises:
        DoctorUsageError: It has no dependencies, or a requirements file that it names cannot be read.
    """
    if not re.search(r"^dependencies\s*:", text, re.MULTILINE):
        raise DoctorUsageError(
            f"{file} is no environment.yml: it has no dependencies. What `conda list --export` writes is read as well."
        )
    items = list(_items(text))
    # Python first: the markers of pip lines ask for it.
    for is_pip, item in sorted(items, key=lambda pair: pair[0]):
        if is_pip:
            for other, is_constraint in add_arguments(item.split() if item.startswith("-") else [item], into):
                (read_constraints if is_constraint else read_requirements)(file.parent / other, into, str(file))
        else:
            add_conda_spec(item, into)


def read_conda_specs(text: str, into: Declaration) -> None:
    """Note the packages of a list that ``conda install --file`` takes: a package as conda writes it on each line."""
    for line in text.splitlines():
        spec = re.sub(r"(^|\s)#.*", "", line).strip()
        if spec:
            add_conda_spec(spec, into)


def _items(text: str) -> Iterator[tuple[bool, str]]:
    """Whether it is pip's, and the item, for each item below ``dependencies``."""
    in_dependencies, pip_indent = False, -1
    for line in text.splitlines():
        content = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not content.strip():
            continue
        key = re.match(r"([A-Za-z_]+)\s*:\s*(.*)", content)
        if key:
            in_dependencies, pip_indent = key[1] == "dependencies", -1
            if in_dependencies and key[2].startswith("["):
                yield from ((False, _unquoted(item)) for item in key[2].strip("[] ").split(","))
            continue
        match = re.match(r"(\s*)-\s+(.*)", content)
        if not in_dependencies or match is None:
            continue
        indent, item = len(match[1]), _unquoted(match[2])
        if indent <= pip_indent:
            pip_indent = -1
        if re.fullmatch(r"pip\s*:", item):
            pip_indent = indent
        else:
            yield pip_indent >= 0, item


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
