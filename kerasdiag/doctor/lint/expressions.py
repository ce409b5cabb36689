"""Follows the expressions of a script: names, attributes, arithmetic, conditions."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from kerasdiag.doctor.lint.arithmetic import combined, compared, number_of
from kerasdiag.doctor.lint.merging import bounded, merge
from kerasdiag.doctor.lint.names import canonical, starred_name
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import (
    UNKNOWN,
    Class,
    Dataset,
    Function,
    Instance,
    Items,
    Literal,
    Member,
    Path,
    Value,
)

Scope = dict[str, Value]  # also of attributes, as "self.dataset"


class Expressions(ABC):
    """Evaluates expressions in a scope and records the calls among them."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.stack: list[ast.AST] = []  # functions of the script that are being followed
        self.loop: ast.AST | None = None
        self.branches = 0  # around the present place, of conditions that the script does not decide
        self.may_have_left = False  # a return in such a branch before the present place

    @abstractmethod
    def _call(self, node: ast.Call, scope: Scope) -> Value:
        """Record a call and follow it."""

    @abstractmethod
    def attribute_of(self, owner: Instance | Class, name: str) -> Value | None:
        """Return an attribute of an object or class of the script, None where it is not known."""

    def value(self, node: ast.AST | None, scope: Scope) -> Value:
        """Return what an expression is known to be."""
        if node is None:
            return UNKNOWN
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is not None:
            result: Value = method(node, scope)
            return result
        for child in ast.iter_child_nodes(node):  # for the calls in it
            if isinstance(child, ast.expr):
                self.value(child, scope)
        return UNKNOWN

    @contextmanager
    def undecided(self, is_undecided: bool = True) -> Iterator[None]:
        """Mark what is followed meanwhile as standing in a branch that may not run."""
        self.branches += is_undecided
        yield
        self.branches -= is_undecided

    def _constant(self, node: ast.Constant, _scope: Scope) -> Value:
        return Literal(node.value)

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        found = scope.get(node.id)
        if found is not None:
            return found
        starred = starred_name(node.id, self.record.star_imports)
        return Path(starred) if starred else UNKNOWN

    def _tuple(self, node: ast.Tuple | ast.List, scope: Scope) -> Value:
        items = tuple(self.value(item, scope) for item in node.elts)
        return UNKNOWN if any(isinstance(item, ast.Starred) for item in node.elts) else bounded(Items(items))

    _list = _tuple

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        if isinstance(node.value, ast.Name):
            kept = scope.get(f"{node.value.id}.{node.attr}")  # self.dataset = ...
            if kept is not None:
                return kept
        owner = self.value(node.value, scope)
        if isinstance(owner, Path):
            return Path(canonical(f"{owner.name}.{node.attr}"))
        found = self.attribute_of(owner, node.attr) if isinstance(owner, (Instance, Class)) else None
        return found or bounded(Member(owner, node.attr))

    def _unaryop(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.value(node.operand, scope)
        if isinstance(value, Literal) and isinstance(node.op, ast.Not):
            return Literal(not value.value)
        number = number_of(value)
        return Literal(-number) if isinstance(node.op, ast.USub) and number is not None else UNKNOWN

    def _binop(self, node: ast.BinOp, scope: Scope) -> Value:
        return combined(node, node.op, self.value(node.left, scope), self.value(node.right, scope))

    def _compare(self, node: ast.Compare, scope: Scope) -> Value:
        left, *others = [self.value(each, scope) for each in (node.left, *node.comparators)]
        return compared(node.ops[0], left, others[0]) if len(others) == 1 else UNKNOWN

    def _boolop(self, node: ast.BoolOp, scope: Scope) -> Value:
        values = [self.value(node.values[0], scope)]
        with self.undecided(not isinstance(values[0], Literal)):
            values += [self.value(each, scope) for each in node.values[1:]]
        is_or = isinstance(node.op, ast.Or)
        decisive = [value for value in values if isinstance(value, Literal) and bool(value.value) is is_or]
        if decisive:
            return Literal(is_or)
        return values[-1] if all(isinstance(value, Literal) for value in values) else UNKNOWN

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        function = Function(node, scope)
        self.record.functions[node] = function
        return function

    def _ifexp(self, node: ast.IfExp, scope: Scope) -> Value:
        test = self.value(node.test, scope)
        if isinstance(test, Literal) and self.stack:  # as in a statement
            return self.value(node.body if test.value else node.orelse, scope)
        with self.undecided():
            return merge(self.value(node.body, scope), self.value(node.orelse, scope))

    def _starred(self, node: ast.Starred, scope: Scope) -> Value:
        self.value(node.value, scope)
        return UNKNOWN

    def _namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Value:
        scope[node.target.id] = self.value(node.value, scope)
        return scope[node.target.id]

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        owner, index = self.value(node.value, scope), self.value(node.slice, scope)
        number = index.value if isinstance(index, Literal) else None
        if isinstance(owner, Items) and isinstance(number, int) and -len(owner.items) <= number < len(owner.items):
            return owner.items[number]
        is_loaded = isinstance(owner, Dataset) and owner.steps[0].operation == "tensorflow_datasets.load"
        return owner if is_loaded and len(getattr(owner, "steps", ())) == 1 else UNKNOWN

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope) -> Value:
        inner = dict(scope)
        for part in node.generators:
            self.value(part.iter, inner)
            for name in ast.walk(part.target):
                if isinstance(name, ast.Name):
                    inner[name.id] = UNKNOWN
        outer_loop, self.loop = self.loop, node
        for part in node.generators:
            for test in part.ifs:
                self.value(test, inner)
        for child in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.value(child, inner)
        self.loop = outer_loop
        return UNKNOWN

    _listcomp = _setcomp = _generatorexp = _dictcomp = _comprehension
