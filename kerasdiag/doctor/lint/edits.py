"""Pieces of a script's text that are taken out or put in, and the lines that come of it."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Iterable
from typing import NamedTuple

from kerasdiag.doctor.lint.places import statement_lines
from kerasdiag.environment.scripts import Script

_MOST_LINES = 8  # of a corrected statement; of a longer one only what changed


class Edit(NamedTuple):
    """Replace the text from here to there (line from 1, offset in bytes, as ``ast`` counts)."""

    line: int
    offset: int
    end_line: int
    end_offset: int
    text: str


def put_in_place(node: ast.expr, text: str) -> Edit:
    """Return the edit that puts another text where an expression stands."""
    return Edit(node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0, text)


def taken_out(call: ast.Call, unwanted: Collection[ast.expr | ast.keyword]) -> list[Edit]:
    """Return the edits that take arguments out of a call.

    Args:
        call: The call.
        unwanted: All of its arguments that shall go: what is left before one decides which comma goes with it.
    """
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    parts = sorted(arguments, key=lambda part: (part.lineno, part.col_offset))
    edits = []
    is_one_kept = False
    for number, part in enumerate(parts):
        start, end = (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)
        if part not in unwanted:
            is_one_kept = True
        elif is_one_kept:
            before = parts[number - 1]
            edits.append(Edit(before.end_lineno or 0, before.end_col_offset or 0, *end, ""))
        elif number + 1 < len(parts):
            edits.append(Edit(*start, parts[number + 1].lineno, parts[number + 1].col_offset, ""))
        else:
            edits.append(Edit(*start, *end, ""))
    return edits


def corrected(script: Script, node: ast.AST, edits: Iterable[Edit]) -> tuple[str, ...]:
    """Return the lines of the statement around a node after these edits; nothing where they would be no Python."""
    first, last = statement_lines(script, node)
    text = [line.encode() for line in script.text.lines[first - 1 : last]]
    for edit in sorted(set(edits), reverse=True):
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
