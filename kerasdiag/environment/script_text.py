"""From bytes to a syntax tree: encodings, the cells of notebooks, and lines that only IPython understands."""

from __future__ import annotations

import ast
import io
import json
import sys
import tokenize
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kerasdiag.environment.ipython_lines import without_ipython

_COMMENT_MARK = "kerasdiag"  # comments are looked for only in a text that speaks to this doctor


@dataclass(frozen=True)
class Problem:
    """Something that could not be parsed: line and column from 1, within the cell of a notebook."""

    line: int
    column: int
    cell: int | None
    message: str


@dataclass(frozen=True)
class ParsedText:
    """Lines and tree of a script.

    Attributes:
        lines: All lines without their ends; those of a notebook's code cells one after the other.
        tree: The parsed lines.
        cell_starts: Line, from 1, at which each code cell begins; empty for a script.
        comments: Comments by their lines, where one of them speaks to this doctor; else empty.
    """

    lines: tuple[str, ...] = ()
    tree: ast.Module = field(default_factory=lambda: ast.Module(body=[], type_ignores=[]))
    cell_starts: tuple[int, ...] = ()
    comments: Mapping[int, str] = field(default_factory=dict)

    def place(self, line: int) -> tuple[int, int | None]:
        """Return line within the cell and number of the cell; in a script the line itself and None."""
        cells = [number for number, start in enumerate(self.cell_starts) if start <= line]
        return (line - self.cell_starts[cells[-1]] + 1, cells[-1] + 1) if cells else (line, None)


def parse_script(data: bytes) -> tuple[ParsedText, tuple[Problem, ...]]:
    """Parse a Python file; one that does not parse is an empty text and a problem."""
    lines = _lines(_decode(data))
    body, comments, problem = _parse(lines, None)
    tree = ast.Module(body=body, type_ignores=[])
    return ParsedText(tuple(lines), tree, (), comments), (problem,) if problem else ()


def parse_notebook(data: bytes) -> tuple[ParsedText, tuple[Problem, ...]]:
    """Parse the code cells of a notebook; a cell that does not parse is left out and is a problem."""
    try:
        sources = _code_cells(json.loads(data.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError) as error:
        return ParsedText(), (Problem(1, 1, None, f"is no notebook: {error}"),)
    lines: list[str] = []
    comments: dict[int, str] = {}
    starts, body, problems = [], [], []
    for number, source in enumerate(sources, start=1):
        starts.append(len(lines) + 1)
        cell = _lines(source)
        statements, said, problem = _parse(cell, number)
        for statement in statements:
            ast.increment_lineno(statement, len(lines))
        body += statements
        comments.update({len(lines) + line: comment for line, comment in said.items()})
        if problem:
            problems.append(problem)
        lines += cell
    tree = ast.Module(body=body, type_ignores=[])
    return ParsedText(tuple(lines), tree, tuple(starts), comments), tuple(problems)


def _code_cells(notebook: Any) -> list[str]:  # Any: JSON values of anybody's file
    """Sources of the code cells, in both formats of notebooks (3: worksheets and `input`)."""
    if not isinstance(notebook, dict):
        raise ValueError("it holds no object")  # noqa: TRY004 - of a file, not of an argument
    cells = notebook.get("cells")
    if cells is None:
        sheets = notebook.get("worksheets")
        cells = [cell for sheet in sheets for cell in _cells_of(sheet)] if isinstance(sheets, list) else None
    if not isinstance(cells, list):
        raise ValueError("it holds no cells")  # noqa: TRY004 - as above
    return [_source(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]


def _cells_of(sheet: Any) -> list[Any]:  # Any: see above
    cells = sheet.get("cells") if isinstance(sheet, dict) else None
    return cells if isinstance(cells, list) else []


def _source(cell: dict[str, Any]) -> str:  # Any: see above
    source = cell.get("source", cell.get("input", ""))
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _decode(data: bytes) -> str:
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except (SyntaxError, ValueError):  # an encoding that nobody knows
        encoding = "utf-8-sig"
    return data.decode(encoding, "replace")


def _lines(text: str) -> list[str]:
    # Not splitlines(): the parser does not end a line at a form feed or U+2028.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class _Parsed(NamedTuple):
    """Statements and comments of some lines, or why there are none."""

    body: list[ast.stmt]
    comments: dict[int, str]
    problem: Problem | None = None


def _parse(lines: list[str], cell: int | None) -> _Parsed:
    plain = _try(lines)
    if isinstance(plain, list):
        return _Parsed(plain, _comments(lines))
    python = without_ipython(lines)
    cleaned = _try(python)
    if isinstance(cleaned, list):
        return _Parsed(cleaned, _comments(python))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    why = cleaned.msg if isinstance(cleaned, SyntaxError) else type(cleaned).__name__
    message = f"does not parse as Python {version}, which runs this doctor: {why}"
    line, column = (cleaned.lineno, cleaned.offset) if isinstance(cleaned, SyntaxError) else (1, 1)
    return _Parsed([], {}, Problem(max(1, line or 1), max(1, column or 1), cell, message))


def _try(lines: list[str]) -> list[ast.stmt] | Exception:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\\d" in somebody's string
            return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error


def _comments(lines: list[str]) -> dict[int, str]:
    """Comments by their lines, of a text that has been parsed."""
    if not any(_COMMENT_MARK in line.lower() for line in lines):
        return {}
    try:
        tokens = list(tokenize.generate_tokens(iter([f"{line}\n" for line in lines]).__next__))
    except (tokenize.TokenError, SyntaxError):  # what the parser takes and the tokenizer does not: a form feed ...
        return {}
    return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
