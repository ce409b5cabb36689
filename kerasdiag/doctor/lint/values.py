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


@dataclass(frozen=True, eq=False)
class Function(Value):
    """A function of the script or a lambda, with the names it sees and, for a method, its object."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: dict[str, Value]
    owner: Value | None = None


@dataclass(frozen=True, eq=False)
class Class(Value):
    """A class of the script."""

    node: ast.ClassDef
    bases: tuple[Value, ...]
    methods: Mapping[str, Function] = field(default_factory=dict)

    def base_names(self) -> tuple[str, ...]:
        """Dotted names of all that it inherits from outside of the script."""
        names: list[str] = []
        for base in self.bases:
            if isinstance(base, Path):
                names.append(base.name)
            elif isinstance(base, Class) and base is not self:
                names += base.base_names()
        return tuple(names)


@dataclass(frozen=True, eq=False)
class Instance(Value):
    """An object of a class of the script."""

    kind: Class
    call: Call


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
    """A true division, of which ``int()`` makes a quotient."""

    left: Value
    right: Value


@dataclass(frozen=True)
class Step:
    """One stage of a tf.data pipeline.

    Attributes:
        operation: ``map``, ``batch`` ...; of the source its dotted name.
        call: Where it was written.
        is_certain: False where it stands in one branch of an ``if`` only.
    """

    operation: str
    call: Call
    is_certain: bool = True


@dataclass(frozen=True)
class Dataset(Value):
    """A tf.data dataset, as the stages in the order in which an example passes them."""

    steps: tuple[Step, ...]


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


def number_of(value: Value | None) -> float | None:
    """Return the number that a value is, None where it is none or is not known."""
    if isinstance(value, Literal) and isinstance(value.value, (int, float)) and not isinstance(value.value, bool):
        return value.value
    if isinstance(value, Quotient):
        left, right = number_of(value.left), number_of(value.right)
        return left // right if left is not None and right else None
    if isinstance(value, Ratio):
        left, right = number_of(value.left), number_of(value.right)
        return left / right if left is not None and right else None
    return None


def is_true(value: Value | None) -> bool:
    """Whether a value is the literal True (or a number like it)."""
    return isinstance(value, Literal) and value.value in (True, 1)


def merge(first: Value, second: Value) -> Value:
    """Return what is known of a name that two branches leave behind."""
    if first is second or first == second:
        return first
    if isinstance(first, Dataset) and isinstance(second, Dataset):
        shared = 0
        while shared < min(len(first.steps), len(second.steps)) and first.steps[shared] == second.steps[shared]:
            shared += 1
        if shared:
            rest = (*first.steps[shared:], *second.steps[shared:])
            maybe = tuple(Step(step.operation, step.call, False) for step in rest)
            return Dataset(first.steps[:shared] + maybe)
    return UNKNOWN
