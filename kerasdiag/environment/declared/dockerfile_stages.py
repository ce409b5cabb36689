"""The text of a Dockerfile: its instructions, stages, variables and the lines that a shell reads."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

_INSTRUCTION = re.compile(r"\s*(FROM|ARG|ENV|RUN)\s+(.*)", re.IGNORECASE | re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")
# <<EOF after a space; "1 << 2" and "<<<" are none.
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?([\"']?)([A-Za-z_]\w*)\1")
_SHELLS = ("sh", "bash", "dash", "zsh", "ash")


def last_stage(text: str) -> list[tuple[str, str]]:
    """Return the instructions of the stages that end up in the image, with the variables filled in."""
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
                variables.update(pairs_of(rest))
            stage.append((name, rest))
    return stage


def _filled(text: str, variables: Mapping[str, str], *, is_shell: bool = False) -> str:
    """The text with its variables filled in; what is not known is empty, but in a shell stays as it is."""

    def value(match: re.Match[str]) -> str:
        known = variables.get(match[1] or match[3])
        return known or match[2] or (match[0] if is_shell and match[2] is None else "")

    return _VARIABLE.sub(value, text)


def pairs_of(text: str) -> dict[str, str]:
    """Return the variables of an ENV line: ``A=1 B="2"``, or ``A 1``."""
    pairs = re.findall(r"(\w+)=(?:\"([^\"]*)\"|'([^']*)'|(\S*))", text)
    words = text.split(maxsplit=1)
    if not pairs and len(words) == 2:
        return {words[0]: words[1]}
    return {name: "".join(values) for name, *values in pairs}


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Instructions in upper case with their text; comments between continued lines are dropped, as Docker does."""
    lines = iter(text.splitlines())
    escape = _escape_of(text)
    pending: list[str] = []
    for line in lines:
        stripped = line.rstrip()
        if stripped.lstrip().startswith("#") or (pending and not stripped):
            continue
        if stripped.endswith(escape):
            pending.append(stripped[:-1])
            continue
        whole, pending = " ".join([*pending, stripped]), []
        opened = _HEREDOC.search(whole) if re.match(r"\s*(RUN|COPY|ADD)\b", whole, re.IGNORECASE) else None
        if opened:
            body = list(itertools.takewhile(lambda line, end=opened[2]: line.strip() != end, lines))  # type: ignore[misc]
            whole = _with_heredoc(whole, opened, body)
        yield from _instruction(whole)
    yield from _instruction(" ".join(pending))


def _escape_of(text: str) -> str:
    """The character that continues lines: the directive ``escape`` among the comments at the top may name another."""
    for line in text.splitlines():
        directive = re.fullmatch(r"#\s*(\w+)\s*=\s*(\S+)\s*", line)
        if directive is None:
            break
        if directive[1].lower() == "escape" and directive[2] in ("\\", "`"):
            return directive[2]
    return "\\"


def _with_heredoc(line: str, opened: re.Match[str], body: list[str]) -> str:
    """The instruction with the lines below it as its commands, where a shell reads them; else without these lines."""
    before = re.sub(r"^\s*RUN\b\s*(--\w+=\S+\s*)*", "", line[: opened.start()], flags=re.IGNORECASE)
    reader = re.split(r"&&|\|\||[;|]", before)[-1].split()
    if re.match(r"\s*RUN\b", line, re.IGNORECASE) and (not reader or reader[0].rpartition("/")[2] in _SHELLS):
        return "\n".join(["RUN :", *body])
    return line[: opened.start()]


def _instruction(text: str) -> Iterator[tuple[str, str]]:
    match = _INSTRUCTION.fullmatch(text)
    if match:
        yield match[1].upper(), match[2].strip()
