"""What a function refers to, read from its bytecode by the names of instructions, which Python versions share."""

from __future__ import annotations

import builtins
import dis
import importlib.util
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any  # values of the user's

from kerasdiag.user_code.keep import GONE, contents_of

# They stand between a name and what is asked of it.
_TRANSPARENT = frozenset({"EXTENDED_ARG", "CACHE", "NOP", "PUSH_NULL", "PRECALL", "DUP_TOP", "COPY"})


@dataclass(frozen=True)
class Reference:
    """A value that code names, and the attributes that it asks of it, one after the other.

    Attributes:
        text: Its name in the code.
        value: The value.
        attributes: Their names.
        is_stored: Whether the last one is set, not read.
    """

    text: str
    value: Any
    attributes: tuple[str, ...] = ()
    is_stored: bool = False


@dataclass(frozen=True)
class Names:
    """What the code of a function says, functions inside it included.

    Attributes:
        references: Values from outside that it names.
        attributes: Every attribute that it reads, of whatever.
        stored_globals: Global variables that it sets.
        stored_attributes: Attributes that it sets, of whatever.
        problems: Why it cannot be told what it refers to.
    """

    references: list[Reference] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    stored_globals: set[str] = field(default_factory=set)
    stored_attributes: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def names_in(function: types.FunctionType) -> Names:
    """Return what a function refers to, without calling it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or ())
    enclosed = {name: value for name, cell in cells if (value := contents_of(cell)) is not GONE}
    names = Names()
    _Reader(function.__code__, function.__globals__, enclosed, names).read()
    return names


class _Reader:
    """Reads one code object.

    Args:
        code: The code.
        variables: Its global variables.
        enclosed: Variables of the functions around it, as far as their values are known.
        names: What it adds to.
    """

    def __init__(
        self, code: types.CodeType, variables: Mapping[str, Any], enclosed: Mapping[str, Any], names: Names
    ) -> None:
        self._code = code
        self._variables = variables
        self._known = dict(enclosed)  # and, of its own variables, what it imports
        self._names = names
        self._current: Reference | None = None
        self._module: Any = None  # which is being imported
        self._imported: Any = GONE

    def read(self) -> None:
        instructions = [one for one in dis.get_instructions(self._code) if one.opname not in _TRANSPARENT]
        for number, one in enumerate(instructions):
            self._read_one(instructions, number, one)
        self._end_reference()
        for constant in self._code.co_consts:
            if isinstance(constant, types.CodeType):
                _Reader(constant, self._variables, self._known, self._names).read()

    def _read_one(self, instructions: list[dis.Instruction], number: int, one: dis.Instruction) -> None:
        operation, argument = one.opname, one.argval
        if operation in ("LOAD_ATTR", "LOAD_METHOD"):
            self._names.attributes.add(argument)
            self._extend(argument)
            return
        if operation in ("STORE_ATTR", "DELETE_ATTR"):
            self._names.stored_attributes.add(argument)
            self._extend(argument, is_stored=True)
        self._end_reference()
        if operation == "IMPORT_NAME":
            level, names = (before.argval for before in instructions[number - 2 : number])
            self._begin_import(argument, level, names)
        elif operation == "IMPORT_FROM":
            self._imported = self._member(argument)
            if not instructions[number + 1].opname.startswith("STORE_"):  # import a.b as c walks down
                self._module = self._imported
        elif operation.startswith(("STORE_FAST", "STORE_DEREF", "STORE_NAME")) and self._imported is not GONE:
            self._known[argument[0] if isinstance(argument, tuple) else argument] = self._imported
            self._imported = GONE
        elif operation in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            self._names.stored_globals.add(argument)
        elif operation.startswith("LOAD_SUPER_ATTR"):
            self._names.attributes.add(argument)
        self._begin_reference(operation, argument)

    def _begin_reference(self, operation: str, argument: Any) -> None:
        if operation.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")):
            found = self._known.get(argument, GONE) if operation == "LOAD_NAME" else GONE
            for variables in (self._variables, vars(builtins)):
                found = variables.get(argument, GONE) if found is GONE else found
            loaded = [(argument, found)]
        elif operation.startswith(("LOAD_FAST", "STORE_FAST_LOAD", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_")):
            loads = argument if isinstance(argument, tuple) else (argument,)
            loaded = [(name, self._known.get(name, GONE)) for name in loads]
        else:
            return
        for name, value in loaded:
            self._end_reference()
            self._current = None if value is GONE else Reference(name, value)

    def _extend(self, attribute: str, *, is_stored: bool = False) -> None:
        if self._current is not None:
            attributes = (*self._current.attributes, attribute)
            self._current = Reference(self._current.text, self._current.value, attributes, is_stored)

    def _end_reference(self) -> None:
        if self._current is not None:
            self._names.references.append(self._current)
            self._current = None

    def _begin_import(self, name: str, level: int, names: Any) -> None:
        if level:
            name = importlib.util.resolve_name("." * level + name, str(self._variables.get("__package__") or ""))
        self._module = self._imported = sys.modules.get(name if names else name.partition(".")[0], GONE)
        if self._module is GONE:  # running a module for the first time can change anything
            self._names.problems.append(f"it imports {name}, which has not been imported yet")

    def _member(self, name: str) -> Any:
        found = getattr(self._module, name, GONE)
        if found is GONE:
            found = sys.modules.get(f"{getattr(self._module, '__name__', '')}.{name}", GONE)
        if found is GONE:
            self._names.problems.append(f"it imports {name}, which was not found")
        return found
