"""What an expression of a script is known to be, without running it. What is not known is UNKNOWN."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Value:
    """Base of everything that an expression can be known to be."""


class Unknown(Value):
    """Nothing is known; rules say nothing about it."""


UNKNOWN = Unknown()


class Tensor(Value):
    """A part of an element of a dataset, of which no more is known."""


TENSOR = Tensor()


@dataclass(frozen=True)
class Literal(Value):
    """A number, a text, True, None."""

    value: Any  # Any: whatever Python can write down


@dataclass(frozen=True)
class Path(Value):
    """Something imported, by its dotted name: ``tensorflow.keras.Model``."""

    name: str


@dataclass(frozen=True)
class Items(Value):
    """A tuple or list whose items are written down."""

    items: tuple[Value, ...]


@dataclass(frozen=True)
class Either(Value):
    """One of two values, by a condition that the script does not tell."""

    first: Value
    second: Value


@dataclass(frozen=True, eq=False)
class Function(Value):
    """A function of the script or a lambda, with the names it sees.

    Attributes:
        node: Where it is written.
        scope: The names around it.
        owner: Of a method its object (its class, of a class method).
        positional: Arguments that are bound already, after the owner: those of ``functools.partial``.
        keywords: The same by name.
    """

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: dict[str, Value]
    owner: Value | None = None
    positional: tuple[Value, ...] = ()
    keywords: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Class(Value):
    """A class of the script.

    Attributes:
        node: Where it is written.
        bases: What it inherits from.
        methods: Its own methods, without an object.
        attributes: What its body sets.
        setters: How many of its methods set an attribute of its objects.
    """

    node: ast.ClassDef
    bases: tuple[Value, ...]
    methods: Mapping[str, Function] = field(default_factory=dict)
    attributes: dict[str, Value] = field(default_factory=dict)
    setters: Mapping[str, int] = field(default_factory=dict)

    def base_names(self) -> tuple[str, ...]:
        """Dotted names of all that it inherits from outside of the script."""
        names: list[str] = []
        for base in self.bases:
            if isinstance(base, Path):
                names.append(base.name)
            elif isinstance(base, Class) and base is not self:
                names += base.base_names()
        return tuple(names)

    def lineage(self) -> tuple[Class, ...]:
        """Itself and the classes of the script that it inherits from, the nearest first."""
        return (self, *(kind for base in self.bases if isinstance(base, Class) for kind in base.lineage()))

    def method(self, name: str) -> Function | None:
        """Return a method of this name, its own or an inherited one."""
        return next((kind.methods[name] for kind in self.lineage() if name in kind.methods), None)

    def count_setters(self, name: str) -> int:
        """Return how many methods set an attribute, inherited ones included."""
        return sum(kind.setters.get(name, 0) for kind in self.lineage())


@dataclass(frozen=True, eq=False)
class Instance(Value):
    """An object of a class of the script, and what was set on it."""

    kind: Class
    call: Call
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Result(Value):
    """What a call gave that is known by name, such as ``ImageDataGenerator(...)``."""

    call: Call


@dataclass(frozen=True)
class Member(Value):
    """An attribute of a value that is not imported: ``train_generator.samples``."""

    owner: Value
    name: str


@dataclass(frozen=True)
class Quotient(Value):
    """A division that drops the rest: ``left // right``, ``int(left / right)``."""

    left: Value
    right: Value


@dataclass(frozen=True)
class Ratio(Value):
    """A true division, of which ``int()`` makes a quotient; and where it is written."""

    left: Value
    right: Value
    node: ast.AST | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Sum(Value):
    """``left + right`` or ``left - right``, the number that it is, and whether anything was added."""

    left: Value
    right: Value
    number: float | None
    adds: bool


@dataclass(frozen=True)
class Step:
    """One stage of a tf.data pipeline.

    Attributes:
        operation: ``map``, ``batch`` ...; of the source its dotted name.
        call: Where it was written.
        is_certain: False where it stands in one branch of an ``if`` only.
        is_part: Whether it is a stage of one of several datasets that were zipped: how it stands to the stages of the
            others is not known.
        element: What an element is after this stage.
        calls: What the function of a ``map`` or ``interleave`` calls, functions of the script included.
    """

    operation: str
    call: Call
    is_certain: bool = True
    is_part: bool = False
    element: Value = UNKNOWN
    calls: tuple[Call, ...] = ()

    @property
    def is_in_line(self) -> bool:
        """Whether every element passes it, at this place among the other stages."""
        return self.is_certain and not self.is_part


@dataclass(frozen=True)
class Dataset(Value):
    """A tf.data dataset, as the stages in the order in which an example passes them, and what an element is then."""

    steps: tuple[Step, ...]
    element: Value = UNKNOWN


@dataclass(frozen=True, eq=False)
class Call:
    """One call, as often as it was followed.

    Attributes:
        node: The expression.
        name: Dotted name of what is called, empty where it is not imported.
        method: Last part of the name: ``fit`` of ``model.fit``.
        receiver: Left of the dot, None for a plain name.
        positional: Values of the arguments, up to the first ``*``.
        keywords: Values of the named arguments.
        is_open: Whether ``*`` or ``**`` brings more arguments than are written.
        loop: The innermost loop around it, None outside of loops.
        target: What is called, where it is a value of the script: a layer, a model.
        branches: How many branches stand around it, of conditions that the script alone does not decide.
        is_passed_by: Whether such a branch before it may have left the function (the round of a loop).
    """

    node: ast.Call
    name: str
    method: str
    receiver: Value | None
    positional: tuple[Value, ...]
    keywords: Mapping[str, Value]
    is_open: bool
    loop: ast.AST | None
    target: Value = UNKNOWN
    branches: int = 0
    is_passed_by: bool = False

    @property
    def is_switched(self) -> bool:
        """Whether it stands in a branch that may not run."""
        return self.branches > 0

    @property
    def is_certain(self) -> bool:
        """Whether it runs each time that its function (the script) does."""
        return not (self.is_switched or self.is_passed_by)

    def argument(self, name: str, position: int | None = None) -> Value | None:
        """Return a named or positional argument, None where it is not given."""
        if name in self.keywords:
            return self.keywords[name]
        if position is not None and position < len(self.positional):
            return self.positional[position]
        return None

    def has(self, name: str, position: int | None = None) -> bool:
        """Whether an argument is given, or may be by ``**``."""
        return self.is_open or self.argument(name, position) is not None

    def keyword_node(self, name: str) -> ast.keyword | None:
        """Return where a named argument is written."""
        return next((keyword for keyword in self.node.keywords if keyword.arg == name), None)


def is_true(value: Value | None) -> bool:
    """Whether a value is the literal True (or a number like it)."""
    return isinstance(value, Literal) and value.value in (True, 1)
