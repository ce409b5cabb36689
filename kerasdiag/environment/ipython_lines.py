"""Lines that only IPython understands (``%time``, ``!ls``, ``model.fit?``), blanked so that the others parse."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Cell magics below which there is Python; below any other (%%bash, %%writefile ...) there is something else.
_PYTHON_BELOW = ("time", "timeit", "capture", "prun", "python", "python3", "heat", "memit", "skip")
# All of these count only where a statement may begin: elsewhere % divides, and ! and ? stand in a text or comment.
_COMMAND = re.compile(r"^(\s*)[%!]")
_HELP = re.compile(r"^(\s*)(?=.*\?)\??\??[\w.]+\?{0,2}\s*$")
_VALUE_OF_COMMAND = re.compile(r"^(\s*[\w, .]+=\s*)[!%]")
_TOKEN = re.compile(
    r"(?P<quote>'''|\"\"\")|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|#.*|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<on>\\$)"
)


def without_ipython(lines: Sequence[str]) -> list[str]:
    """Replace what only IPython understands, so that all other lines keep their numbers."""
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%") and (re.match(r"%%(\w*)", first) or [""])[1] not in _PYTHON_BELOW:
        return [""] * len(lines)
    cleaned = []
    state = _Statement()
    is_command = False  # a command that a backslash carries on to this line
    for line in lines:
        python = "" if is_command else _python_of(line) if state.is_complete else None
        if python is None:
            state.read(line)
        else:
            is_command = line.rstrip().endswith("\\")
        cleaned.append(line if python is None else python)
    return cleaned


def _python_of(line: str) -> str | None:
    """What stands in for a line at which a statement may begin; None where it is no line for IPython."""
    found = _COMMAND.match(line) or _HELP.match(line)
    if found:
        return f"{found[1]}pass"
    value = _VALUE_OF_COMMAND.match(line)
    return f"{value[1]}None" if value else None


class _Statement:
    """Whether the lines that were read end a statement: no bracket, no text and no backslash is open."""

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""
        self._goes_on = False

    @property
    def is_complete(self) -> bool:
        return not (self._depth or self._quote or self._goes_on)

    def read(self, line: str) -> None:
        self._goes_on = False
        position = 0
        while True:
            if self._quote:
                end = line.find(self._quote, position)
                if end < 0:
                    return
                position, self._quote = end + 3, ""
            token = _TOKEN.search(line, position)
            if token is None:
                return
            position = token.end()
            self._quote = token["quote"] or ""
            self._depth = max(0, self._depth + bool(token["open"]) - bool(token["close"]))
            self._goes_on = bool(token["on"])
