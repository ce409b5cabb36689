"""From bytes to a syntax tree: encodings, the cells of notebooks, and lines that only IPython understands."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
import warnings
from dataclasses import dataclass, field
from typing import Any

# Cell magics below which there is Python; below any other (%%bash, %%writefile ...) there is something else.
_PYTHON_BELOW = ("time", "timeit", "capture", "prun", "python", "python3", "heat", "memit", "skip")
_MAGIC_LINE = re.compile(r"^(\s*)(%|!|\?|.*\w\?+\s*$)")
_MAGIC_VALUE = re.compile(r"^(\s*[\w, .]+=\s*)[!%].*$")


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
    """

    lines: tuple[str, ...] = ()
    tree: ast.Module = field(default_factory=lambda: ast.Module(body=[], type_ignores=[]))
    cell_starts: tuple[int, ...] = ()

    def place(self, line: int) -> tuple[int, int | None]:
        """Return line within the cell and number of the cell; in a script the line itself and None."""
        cells = [number for number, start in enumerate(self.cell_starts) if start <= line]
        return (line - self.cell_starts[cells[-1]] + 1, cells[-1] + 1) if cells else (line, None)


def parse_script(data: bytes) -> tuple[ParsedText, tuple[Problem, ...]]:
    """Parse a Python file; one that does not parse is an empty text and a problem."""
    lines = _lines(_decode(data))
    body, problem = _parse(lines, None)
    tree = ast.Module(body=body, type_ignores=[])
    return ParsedText(tuple(lines), tree), (problem,) if problem else ()


def parse_notebook(data: bytes) -> tuple[ParsedText, tuple[Problem, ...]]:
    """Parse the code cells of a notebook; a cell that does not parse is left out and is a problem."""
    try:
        sources = _code_cells(json.loads(data.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError) as error:
        return ParsedText(), (Problem(1, 1, None, f"is no notebook: {error}"),)
    lines: list[str] = []
    starts, body, problems = [], [], []
    for number, source in enumerate(sources, start=1):
        starts.append(len(lines) + 1)
        cell = _lines(source)
        statements, problem = _parse(cell, number)
        for statement in statements:
            ast.increment_lineno(statement, len(lines))
        body += statements
        if problem:
            problems.append(problem)
        lines += cell
    return ParsedText(tuple(lines), ast.Module(body=body, type_ignores=[]), tuple(starts)), tuple(problems)


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


def _parse(lines: list[str], cell: int | None) -> tuple[list[ast.stmt], Problem | None]:
    plain = _try(lines)
    if isinstance(plain, list):
        return plain, None
    cleaned = _try(_without_magics(lines))
    if isinstance(cleaned, list):
        return cleaned, None
    if isinstance(cleaned, SyntaxError):
        message = f"does not parse as Python 3: {cleaned.msg}"
        return [], Problem(max(1, cleaned.lineno or 1), max(1, cleaned.offset or 1), cell, message)
    return [], Problem(1, 1, cell, f"does not parse as Python 3: {type(cleaned).__name__}")


def _try(lines: list[str]) -> list[ast.stmt] | Exception:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\\d" in somebody's string
            return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error


def _without_magics(lines: list[str]) -> list[str]:
    """Replace what only IPython understands, so that all other lines keep their numbers."""
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%") and (re.match(r"%%(\w*)", first) or [""])[1] not in _PYTHON_BELOW:
        return [""] * len(lines)
    cleaned = []
    is_continued = False
    for line in lines:
        magic = _MAGIC_LINE.match(line)
        if magic or is_continued:
            cleaned.append(f"{magic[1] if magic and not is_continued else ''}{'' if is_continued else 'pass'}")
            is_continued = line.rstrip().endswith("\\")
        else:
            cleaned.append(_MAGIC_VALUE.sub(r"\1None", line))
    return cleaned
