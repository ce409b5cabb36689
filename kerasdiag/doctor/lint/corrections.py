"""How a line of a script would read corrected, without what the Keras of the script refuses (``refused.py``)."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Sequence

from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.edits import Edit, corrected, put_in_place, taken_out
from kerasdiag.doctor.lint.places import text_between
from kerasdiag.doctor.lint.refused import refused_in

_COMMENT = re.compile(r"#[^\n]*")


def with_argument(subject: Subject, call: ast.Call, argument: str) -> tuple[str, ...]:
    """Return the lines of a call with one more argument; nothing where that would be no Python."""
    end_line, end_offset = call.end_lineno or call.lineno, (call.end_col_offset or 1) - 1
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    ends = [(part.end_lineno or 0, part.end_col_offset or 0) for part in arguments]
    if not ends:
        return _mended(subject, call, [Edit(end_line, end_offset, end_line, end_offset, argument)])
    last = max(ends)
    rest = _COMMENT.sub("", text_between(subject.script, last, (end_line, end_offset))).strip(" \t\n\\")
    if not rest.strip(","):
        return _mended(subject, call, [Edit(*last, *last, f", {argument}")])
    comma = "" if rest.endswith(",") else ", "  # behind a bracket that belongs to the last argument
    return _mended(subject, call, [Edit(end_line, end_offset, end_line, end_offset, f"{comma}{argument}")])


def with_item(subject: Subject, call: ast.Call, argument: str, item: str) -> tuple[str, ...]:
    """Return the lines of a call with one more item in an argument that is a list; with the argument where it lacks."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == argument), None)
    if given is None:
        return with_argument(subject, call, f"{argument}=[{item}]")
    if not isinstance(given, ast.List):
        return replaced(subject, given, f"[*{ast.unparse(given)}, {item}]")
    if not given.elts:
        return replaced(subject, given, f"[{item}]")
    line, offset = given.elts[-1].end_lineno or 0, given.elts[-1].end_col_offset or 0
    return _mended(subject, call, [Edit(line, offset, line, offset, f", {item}")])


def without_arguments(subject: Subject, call: ast.Call, names: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of a call without these named arguments."""
    return _mended(subject, call, unwanted=[keyword for keyword in call.keywords if keyword.arg in names])


def replaced(subject: Subject, node: ast.expr, text: str) -> tuple[str, ...]:
    """Return the lines around an expression with another one in its place."""
    return _mended(subject, node, [put_in_place(node, text)])


def unrefused(subject: Subject, call: ast.Call) -> tuple[str, ...]:
    """Return the lines of a call without what its Keras refuses; nothing where it refuses nothing."""
    unwanted, edits = refused_in(subject, call)
    return _mended(subject, call) if edits or any(unwanted.values()) else ()


def _mended(
    subject: Subject, node: ast.AST, edits: Iterable[Edit] = (), unwanted: Collection[ast.keyword] = ()
) -> tuple[str, ...]:
    """The statement around a node after these edits, and the call that the node is without what is unwanted."""
    refused = refused_in(subject, node)
    leaving = dict(refused.unwanted)
    if isinstance(node, ast.Call):
        # One list for each call: the commas of all that leave it are taken out together.
        leaving[node] = [*leaving.get(node, ()), *unwanted]
    every = [edit for call, arguments in leaving.items() for edit in taken_out(call, arguments)]
    return corrected(subject.script, node, [*every, *refused.edits, *edits])
