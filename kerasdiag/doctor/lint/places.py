"""Where something stands in a script, how it is written there, and what a comment there says."""

from __future__ import annotations

import ast
import re
from weakref import WeakKeyDictionary

from kerasdiag.doctor.lint.values import Call
from kerasdiag.environment.scripts import Script
from kerasdiag.findings import Location

_IGNORE = re.compile(r"#\s*kerasdiag:\s*ignore\s*(?:\[([^\]]*)\]|$|#)", re.IGNORECASE)
_Lines = tuple[int, int]  # first and last

# Statements without others in them, by each line that they stand on.
_statements: WeakKeyDictionary[Script, dict[int, list[_Lines]]] = WeakKeyDictionary()


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
    first, last = statement_lines(script, node)
    for line in range(first, last + 1):
        match = _IGNORE.search(script.text.comments.get(line, ""))
        if match and (match[1] is None or code in {each.strip().upper() for each in match[1].split(",")}):
            return True
    return False


def source_of(script: Script, node: ast.AST) -> str:
    """Return an expression as it is written, on one line."""
    start = (getattr(node, "lineno", 1), getattr(node, "col_offset", 0))
    end = (getattr(node, "end_lineno", 1), getattr(node, "end_col_offset", 0))
    return " ".join(text_between(script, start, end).split())


def name_of_data(script: Script, call: Call) -> str:
    """Return what a call of fit reads, as it is written."""
    keyword = call.keyword_node("x") or call.keyword_node("generator")
    return source_of(script, call.node.args[0] if call.node.args else keyword.value if keyword else call.node)


def is_dotted_name(text: str) -> bool:
    """Whether a text is a name, or an attribute of one: what can stand left of ``=``."""
    return all(part.isidentifier() for part in text.split("."))


def text_between(script: Script, start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the text from here to there (line from 1, offset in bytes)."""
    lines = [line.encode() for line in script.text.lines[start[0] - 1 : end[0]]]
    if not lines:
        return ""
    lines[-1] = lines[-1][: end[1]]
    lines[0] = lines[0][start[1] :]
    return b"\n".join(lines).decode(errors="replace")


def statement_lines(script: Script, node: ast.AST) -> tuple[int, int]:
    """Return first and last line of the smallest statement around a node that has no statements in it."""
    first = getattr(node, "lineno", 1)
    last = getattr(node, "end_lineno", None) or first
    around = [lines for lines in _by_line(script).get(first, ()) if last <= lines[1]]
    return min(around, key=lambda lines: lines[1] - lines[0], default=(first, last))


def _by_line(script: Script) -> dict[int, list[_Lines]]:
    found = _statements.get(script)
    if found is None:
        found = {}
        for statement in ast.walk(script.text.tree):
            if isinstance(statement, ast.stmt) and not hasattr(statement, "body") and not hasattr(statement, "cases"):
                lines = (statement.lineno, statement.end_lineno or statement.lineno)
                for line in range(lines[0], lines[1] + 1):
                    found.setdefault(line, []).append(lines)
        _statements[script] = found
    return found
