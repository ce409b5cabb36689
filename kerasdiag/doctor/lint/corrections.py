"""How a line of a script would read corrected."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from kerasdiag.doctor.lint.places import statement_lines, text_between
from kerasdiag.environment.scripts import Script

_MOST_LINES = 8  # of a corrected statement; of a longer one only what changed
_COMMENT = re.compile(r"#[^\n]*")


class Edit(NamedTuple):
    """Replace the text from here to there (line from 1, offset in bytes, as ``ast`` counts)."""

    line: int
    offset: int
    end_line: int
    end_offset: int
    text: str


def with_argument(script: Script, call: ast.Call, argument: str) -> tuple[str, ...]:
    """Return the lines of a call with one more argument; nothing where that would be no Python."""
    end_line, end_offset = call.end_lineno or call.lineno, (call.end_col_offset or 1) - 1
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    ends = [(part.end_lineno or 0, part.end_col_offset or 0) for part in arguments]
    if not ends:
        return corrected(script, call, [Edit(end_line, end_offset, end_line, end_offset, argument)])
    last = max(ends)
    rest = _COMMENT.sub("", text_between(script, last, (end_line, end_offset))).strip(" \t\n\\")
    if not rest.strip(","):
        return corrected(script, call, [Edit(*last, *last, f", {argument}")])
    comma = "" if rest.endswith(",") else ", "  # behind a bracket that belongs to the last argument
    return corrected(script, call, [Edit(end_line, end_offset, end_line, end_offset, f"{comma}{argument}")])


def with_item(script: Script, call: ast.Call, argument: str, item: str) -> tuple[str, ...]:
    """Return the lines of a call with one more item in an argument that is a list; with the argument where it lacks."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == argument), None)
    if given is None:
        return with_argument(script, call, f"{argument}=[{item}]")
    if not isinstance(given, ast.List):
        return replaced(script, given, f"[*{ast.unparse(given)}, {item}]")
    if not given.elts:
        return replaced(script, given, f"[{item}]")
    line, offset = given.elts[-1].end_lineno or 0, given.elts[-1].end_col_offset or 0
    return corrected(script, call, [Edit(line, offset, line, offset, f", {item}")])


def without_arguments(script: Script, call: ast.Call, names: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of a call without these named arguments."""
    return without_parts(script, call, [keyword for keyword in call.keywords if keyword.arg in names])


def without_parts(
    script: Script, call: ast.Call, unwanted: Sequence[ast.expr | ast.keyword], edits: Sequence[Edit] = ()
) -> tuple[str, ...]:
    """Return the lines of a call without some of its arguments, and with further edits."""
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    parts = sorted(arguments, key=lambda part: (part.lineno, part.col_offset))
    every = list(edits)
    kept_end: tuple[int, int] | None = None
    for number, part in enumerate(parts):
        start, end = (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)
        if part not in unwanted:
            kept_end = end
        elif kept_end is not None:
            before = parts[number - 1]
            every.append(Edit(before.end_lineno or 0, before.end_col_offset or 0, *end, ""))
        elif number + 1 < len(parts):
            every.append(Edit(*start, parts[number + 1].lineno, parts[number + 1].col_offset, ""))
        else:
            every.append(Edit(*start, *end, ""))
    return corrected(script, call, every)


def replaced(script: Script, node: ast.expr, text: str) -> tuple[str, ...]:
    """Return the lines around an expression with another one in its place."""
    return corrected(
        script, node, [Edit(node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0, text)]
    )


def corrected(script: Script, node: ast.AST, edits: Sequence[Edit]) -> tuple[str, ...]:
    """Return the lines of the statement around a node after these edits; nothing where they would be no Python."""
    first, last = statement_lines(script, node)
    text = [line.encode() for line in script.text.lines[first - 1 : last]]
    for edit in sorted(edits, reverse=True):
        begin, end = edit.line - first, edit.end_line - first
        text[begin : end + 1] = [text[begin][: edit.offset] + edit.text.encode() + text[end][edit.end_offset :]]
    lines = textwrap.dedent("\n".join(line.decode(errors="replace") for line in text)).split("\n")
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        if not lines[0].rstrip().endswith(":"):  # the head of a loop or function is no statement of its own
            return ()
    if len(lines) > _MOST_LINES:
        before = {line.strip() for line in script.text.lines[first - 1 : last]}
        lines = [line.strip() for line in lines if line.strip() not in before]
    return tuple(line for line in lines if line.strip())
