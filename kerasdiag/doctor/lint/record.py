"""What following a script has brought to light."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from kerasdiag.doctor.lint.values import Call, Class, Dataset, Function, Instance, Value


class Following(NamedTuple):
    """A function that was followed once: with which object, and which of the calls it made (from, to)."""

    node: ast.AST
    owner: Value | None
    begin: int
    end: int


class Setting(NamedTuple):
    """What was set on an object: ``owner.name = value``."""

    owner: Value
    name: str
    value: Value
    place: ast.stmt
    is_switched: bool  # see Call


@dataclass
class Record:
    """Calls in the order in which they run, and what they are about.

    Attributes:
        calls: One for each time that a call was followed.
        datasets: Every dataset, also those that are only on the way to another.
        functions: What each function of the script and each lambda is.
        followings: Each time that one of them was followed.
        classes: Classes of the script.
        instances: Objects of them, in the order in which they are made.
        settings: What was set on objects.
        variables: What was set in ``os.environ``.
        star_imports: Modules of which everything was imported.
        imports: Modules that were imported, by dotted name.
        names: What an import calls something: name in the script -> dotted name.
        unfinished: Why the script was not followed to its end; None where it was.
    """

    calls: list[Call] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    functions: dict[ast.AST, Function] = field(default_factory=dict)
    followings: list[Following] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    variables: dict[str, Value] = field(default_factory=dict)
    star_imports: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    unfinished: str | None = None

    def calls_of(self, function: Function, owner: Value | None = None) -> Iterator[Call]:
        """Yield what a function calls, functions of the script included; of a method, with one object if it has been."""
        every = [each for each in self.followings if each.node is function.node]
        own = [each for each in every if each.owner is owner]
        for each in own or every:
            yield from self.calls[each.begin : each.end]

    def calls_on(self, receiver: Value) -> list[Call]:
        """Return the calls of the methods of one object; to be asked when the whole script has been followed."""
        return self._by_receiver.get(id(receiver), [])

    @cached_property
    def _by_receiver(self) -> dict[int, list[Call]]:
        found: dict[int, list[Call]] = {}
        for call in self.calls:
            if call.receiver is not None:
                found.setdefault(id(call.receiver), []).append(call)
        return found

    @cached_property
    def later(self) -> dict[ast.Call, set[str]]:
        """Operations that follow a stage in any dataset; to be asked when the whole script has been followed."""
        found: dict[ast.Call, set[str]] = {}
        for dataset in self.longest:
            operations: set[str] = set()
            for step in reversed(dataset.steps):
                found.setdefault(step.call.node, set()).update(operations)
                operations.add(step.operation)
        return found

    @cached_property
    def longest(self) -> list[Dataset]:
        """The datasets that are no mere beginning of another one."""
        beginnings = {id(dataset.steps[-2].call) for dataset in self.datasets if len(dataset.steps) > 1}
        return [dataset for dataset in self.datasets if id(dataset.steps[-1].call) not in beginnings]
