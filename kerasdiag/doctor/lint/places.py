"""Where something stands in a script, what a comment there says, and how the line would read corrected."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from kerasdiag.doctor.lint.values import Call
from kerasdiag.environment.scripts import Script
from kerasdiag.findings import Location

_IGNORE = re.compile(r"#\s*kerasdiag:\s*ignore(?:\[([^\]]*)\])?", re.IGNORECASE)
_MOST_LINES = 8  # of a corrected statement; of a longer one only what changed


class Edit(NamedTuple):
    """Replace the text from here to there (line from 1, offset in bytes, as ``ast`` counts)."""

    line: int
    offset: int
    end_line: int
    end_offset: int
    text: str


def location_of(script: Script, node: ast.AST) -> Location:
    """Return where a node begins, as editors count."""
    line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        # Of a chain over many lines the method itself, not the beginning of the chain.
        line = node.func.end_lineno or line
        offset = (node.func.end_col_offset or 0) - len(node.func.attr.encode())
    text = script.text.lines[line - 1] if line <= len(script.text.lines) else ""
    column = len(text.encode()[:offset].decode(errors="replace")) + 1
    in_cell, cell = script.text.place(line)
    return Location(script.path, in_cell, column, cell)


def is_ignored(script: Script, node: ast.AST, code: str) -> bool:
    """Whether a comment on a line of the statement says ``kerasdiag: ignore`` of this code, or of all."""
    first, last = _statement_lines(script, node)
    for line in script.text.lines[first - 1 : last]:
        match = _IGNORE.search(line)
        if match and (match[1] is None or code in {each.strip().upper() for each in match[1].split(",")}):
            return True
    return False


def with_argument(script: Script, call: ast.Call, argument: str) -> tuple[str, ...]:
    """Return the lines of a call with one more argument; nothing where that would be no Python."""
    end_line, end_offset = call.end_lineno or call.lineno, (call.end_col_offset or 1) - 1
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    ends = [(part.end_lineno or 0, part.end_col_offset or 0) for part in arguments]
    if not ends:
        return corrected(script, call, [Edit(end_line, end_offset, end_line, end_offset, argument)])
    last = max(ends)
    if _text_between(script, last, (end_line, end_offset)).strip(" \t\n,\\"):
        last = (end_line, end_offset)  # brackets or a comment follow the last argument
    return corrected(script, call, [Edit(*last, *last, f", {argument}")])


def without_arguments(
    script: Script, call: ast.Call, names: Sequence[str], method: str | None = None
) -> tuple[str, ...]:
    """Return the lines of a call without these arguments, and with another method where one is named."""
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    parts = sorted(arguments, key=lambda part: (part.lineno, part.col_offset))
    edits = []
    kept_end: tuple[int, int] | None = None
    for number, part in enumerate(parts):
        start, end = (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)
        if not (isinstance(part, ast.keyword) and part.arg in names):
            kept_end = end
        elif kept_end is not None:
            before = parts[number - 1]
            edits.append(Edit(before.end_lineno or 0, before.end_col_offset or 0, *end, ""))
        elif number + 1 < len(parts):
            edits.append(Edit(*start, parts[number + 1].lineno, parts[number + 1].col_offset, ""))
        else:
            edits.append(Edit(*start, *end, ""))
    if method is not None and isinstance(call.func, ast.Attribute):
        line, end_offset = call.func.end_lineno or 0, call.func.end_col_offset or 0
        edits.append(Edit(line, end_offset - len(call.func.attr.encode()), line, end_offset, method))
    return corrected(script, call, edits)


def replaced(script: Script, node: ast.expr, text: str) -> tuple[str, ...]:
    """Return the lines around an expression with another one in its place."""
    return corrected(
        script, node, [Edit(node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0, text)]
    )


def corrected(script: Script, node: ast.AST, edits: Sequence[Edit]) -> tuple[str, ...]:
    """Return the lines of the statement around a node after these edits; nothing where they would be no Python."""
    first, last = _statement_lines(script, node)
    text = [line.encode() for line in script.text.lines]
    for edit in sorted(edits, reverse=True):
        head, tail = text[edit.line - 1][: edit.offset], text[edit.end_line - 1][edit.end_offset :]
        text[edit.line - 1 : edit.end_line] = [head + edit.text.encode() + tail]
        last -= edit.end_line - edit.line
    lines = textwrap.dedent("\n".join(line.decode(errors="replace") for line in text[first - 1 : last])).split("\n")
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        if not lines[0].rstrip().endswith(":"):  # the head of a loop or function is no statement of its own
            return ()
    if len(lines) > _MOST_LINES:
        before = {line.strip() for line in script.text.lines}
        lines = [line.strip() for line in lines if line.strip() not in before]
    return tuple(line for line in lines if line.strip())


def source_of(script: Script, node: ast.AST) -> str:
    """Return an expression as it is written, on one line."""
    start = (getattr(node, "lineno", 1), getattr(node, "col_offset", 0))
    end = (getattr(node, "end_lineno", 1), getattr(node, "end_col_offset", 0))
    return " ".join(_text_between(script, start, end).split())


def name_of_data(script: Script, call: Call) -> str:
    """Return what a call of fit reads, as it is written."""
    keyword = call.keyword_node("x") or call.keyword_node("generator")
    return source_of(script, call.node.args[0] if call.node.args else keyword.value if keyword else call.node)


def _text_between(script: Script, start: tuple[int, int], end: tuple[int, int]) -> str:
    lines = [line.encode() for line in script.text.lines[start[0] - 1 : end[0]]]
    if not lines:
        return ""
    lines[-1] = lines[-1][: end[1]]
    lines[0] = lines[0][start[1] :]
    return b"\n".join(lines).decode(errors="replace")


def _statement_lines(script: Script, node: ast.AST) -> tuple[int, int]:
    """First and last line of the smallest statement around a node that has no statements in it."""
    first = getattr(node, "lineno", 1)
    last = getattr(node, "end_lineno", None) or first
    best: tuple[int, int] | None = None
    for statement in ast.walk(script.text.tree):
        if isinstance(statement, ast.stmt) and not hasattr(statement, "body"):
            start, end = statement.lineno, statement.end_lineno or statement.lineno
            if start <= first and last <= end and (best is None or end - start < best[1] - best[0]):
                best = (start, end)
    return best or (first, last)
