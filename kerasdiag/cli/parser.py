"""The parser of the command line: what is wrong is said with the usage of the sub-command that it is about."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import NoReturn

import kerasdiag

STRAY_HINT = "stray_hint"  # a sub-command may set this default: what its unknown options are mostly about
_PARSER = "parser"
# As argparse words it, with and without quotes around the choices (Python 3.12 dropped them).
_INVALID_CHOICE = re.compile(r"invalid choice: '(?P<word>[^']*)' \(choose from (?P<choices>.*)\)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """A parser that guesses what a misspelt word was meant to be; its sub-commands get the same."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end with exit code 2."""
        found = _INVALID_CHOICE.search(message)
        super().error(message if found is None else message + _guess(found["word"], found["choices"]))

    def parse_all(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse, and end with the usage of the sub-command where something is left over.

        argparse itself shows the usage of the whole command line then, which says nothing about the mistake.
        """
        _remember_parsers(self)
        parsed, stray = self.parse_known_args(arguments)
        if stray:
            hint = getattr(parsed, STRAY_HINT, "")
            getattr(parsed, _PARSER).error(f"unrecognized arguments: {' '.join(stray)}{hint}")
        return parsed


def _remember_parsers(parser: argparse.ArgumentParser) -> None:
    """Let the parsed arguments name the innermost parser that they went through."""
    parser.set_defaults(**{_PARSER: parser})
    for action in parser._actions:  # there is no public way to a parser's sub-commands
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _remember_parsers(command)


def _guess(word: str, choices: str) -> str:
    for name in kerasdiag.__all__:
        if name.lower() == word.lower():
            return f". {name} is no command but Python: from kerasdiag import {name}"
    near = difflib.get_close_matches(word.lower(), re.findall(r"[^\s,']+", choices))
    return f". Did you mean {' or '.join(near)}?" if near else ""
