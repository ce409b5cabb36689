"""What following a script has brought to light."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from kerasdiag.doctor.lint.values import Call, Class, Dataset, Function, Value

_DEPTH = 5  # functions that call functions


@dataclass
class Record:
    """Calls in the order in which they run, and what they are about.

    Attributes:
        calls: One for each time that a call was followed.
        datasets: Every dataset, also those that are only on the way to another.
        functions: What each function of the script and each lambda is.
        called: Which function of the script a call leads to.
        classes: Classes of the script.
        attributes: What was set on objects: owner, name, value, place.
        star_imports: Modules of which everything was imported.
        imports: Modules that were imported, by dotted name.
        is_complete: Whether the script was followed to its end; else it was too deep or too long.
    """

    calls: list[Call] = field(default_factory=list)
    datasets: list[Dataset] = field(default_factory=list)
    functions: dict[ast.AST, Function] = field(default_factory=dict)
    called: dict[ast.Call, Function] = field(default_factory=dict)
    classes: list[Class] = field(default_factory=list)
    attributes: list[tuple[Value, str, Value, ast.stmt]] = field(default_factory=list)
    star_imports: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    is_complete: bool = True

    @cached_property
    def by_node(self) -> dict[ast.Call, Call]:
        """The last following of each call; to be asked when the whole script has been followed."""
        return {call.node: call for call in self.calls}

    def calls_within(self, function: Function, depth: int = _DEPTH) -> Iterator[Call]:
        """Yield all calls in the body of a function and in the functions of the script that it calls."""
        for node in ast.walk(function.node):
            call = self.by_node.get(node) if isinstance(node, ast.Call) else None
            if call is None:
                continue
            yield call
            inner = self.called.get(call.node)
            if inner is not None and depth > 0 and inner.node is not function.node:
                yield from self.calls_within(inner, depth - 1)

    def is_switched(self, node: ast.Call) -> bool:
        """Whether a stage of a pipeline stands in one branch of an ``if``, so that nobody knows whether it is there."""
        return any(
            step.call.node is node and not step.is_certain and step.operation != "zip"
            for dataset in self.datasets
            for step in dataset.steps
        )
