"""Follows the expressions of a script: names, attributes, calls."""

from __future__ import annotations

import ast
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from kerasdiag.doctor.lint.datasets import dataset_of
from kerasdiag.doctor.lint.names import starred_name
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import (
    UNKNOWN,
    Call,
    Class,
    Dataset,
    Function,
    Instance,
    Items,
    Literal,
    Member,
    Path,
    Quotient,
    Ratio,
    Result,
    Value,
    number_of,
)

Scope = dict[str, Value]
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {  # Any: numbers of both kinds
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_ROUNDING = ("int", "math.floor", "numpy.floor")
_MOST_NUMBER = 1e18  # 9**9**9 is not worked out


class Expressions(ABC):
    """Evaluates expressions in a scope and records the calls among them."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.loop: ast.AST | None = None

    @abstractmethod
    def call_function(self, function: Function, positional: tuple[Value, ...], keywords: dict[str, Value]) -> Value:
        """Follow a call into a function of the script."""

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

    def _constant(self, node: ast.Constant, _scope: Scope) -> Value:
        return Literal(node.value)

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        found = scope.get(node.id)
        if found is not None:
            return found
        starred = starred_name(node.id, self.record.star_imports)
        return Path(starred) if starred else UNKNOWN

    def _tuple(self, node: ast.Tuple | ast.List, scope: Scope) -> Value:
        return Items(tuple(self.value(item, scope) for item in node.elts))

    _list = _tuple

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        if isinstance(node.value, ast.Name):
            kept = scope.get(f"{node.value.id}.{node.attr}")  # self.dataset = ...
            if kept is not None:
                return kept
        owner = self.value(node.value, scope)
        if isinstance(owner, Path):
            return Path(f"{owner.name}.{node.attr}")
        if isinstance(owner, Instance) and node.attr in owner.kind.methods:
            method = owner.kind.methods[node.attr]
            return Function(method.node, method.scope, owner)
        return Member(owner, node.attr)

    def _unaryop(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.value(node.operand, scope)
        if isinstance(value, Literal) and isinstance(node.op, ast.Not):
            return Literal(not value.value)
        number = number_of(value)
        return Literal(-number) if isinstance(node.op, ast.USub) and number is not None else UNKNOWN

    def _binop(self, node: ast.BinOp, scope: Scope) -> Value:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        if isinstance(node.op, ast.FloorDiv):
            return Quotient(left, right)
        if isinstance(node.op, ast.Div):
            return Ratio(left, right)
        one, other = number_of(left), number_of(right)
        work = _ARITHMETIC.get(type(node.op))
        if (
            isinstance(node.op, ast.Pow)
            and one is not None
            and other is not None
            and abs(one) <= 1e6
            and 0 <= other <= 3
        ):
            return Literal(one**other)
        if work is None or one is None or other is None or max(abs(one), abs(other)) > _MOST_NUMBER:
            return UNKNOWN
        return Literal(work(one, other))

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        function = Function(node, scope)
        self.record.functions[node] = function
        return function

    def _ifexp(self, node: ast.IfExp, scope: Scope) -> Value:
        self.value(node.test, scope)
        first, second = self.value(node.body, scope), self.value(node.orelse, scope)
        return first if first == second else UNKNOWN

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

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        target = self.value(node.func, scope)
        receiver: Value | None = None
        if isinstance(node.func, ast.Attribute):
            receiver = self._receiver(node.func, target, scope)
        positional: list[Value] = []
        is_open = False
        for argument in node.args:
            value = self.value(argument, scope)
            is_open |= isinstance(argument, ast.Starred)
            if not is_open:
                positional.append(value)
        keywords = {keyword.arg or "": self.value(keyword.value, scope) for keyword in node.keywords}
        is_open |= keywords.pop("", None) is not None
        name = target.name if isinstance(target, Path) else ""
        if isinstance(node.func, ast.Name) and not name and node.func.id not in scope:
            name = node.func.id  # a builtin
        method = node.func.attr if isinstance(node.func, ast.Attribute) else name.rpartition(".")[2]
        call = Call(node, name, method, receiver, tuple(positional), keywords, is_open, self.loop, target)
        self.record.calls.append(call)
        return self._outcome(call, target)

    def _receiver(self, node: ast.Attribute, target: Value, scope: Scope) -> Value:
        if isinstance(target, Member):
            return target.owner
        if isinstance(target, Path):
            return Path(target.name.rpartition(".")[0])
        if isinstance(target, Function) and target.owner is not None:
            return target.owner
        return scope.get(node.value.id, UNKNOWN) if isinstance(node.value, ast.Name) else UNKNOWN

    def _outcome(self, call: Call, target: Value) -> Value:
        """What a call returns."""
        dataset = dataset_of(call)
        if dataset is not None:
            self.record.datasets.append(dataset)
            return dataset
        if isinstance(call.receiver, Dataset) and call.method == "apply" and call.positional:
            return self._applied(call.receiver, call.positional[0])
        if call.name in _ROUNDING and call.positional:
            first = call.positional[0]
            return Quotient(first.left, first.right) if isinstance(first, Ratio) else first
        if call.name in ("list", "tuple") and call.positional and isinstance(call.positional[0], Items):
            return call.positional[0]
        if isinstance(target, Function):
            self.record.called[call.node] = target
            return self.call_function(target, call.positional, dict(call.keywords))
        if isinstance(target, Class):
            return self._made(call, target)
        return Result(call)

    def _made(self, call: Call, kind: Class) -> Value:
        instance = Instance(kind, call)
        start = kind.methods.get("__init__")
        if start is not None:
            self.call_function(Function(start.node, start.scope, instance), call.positional, dict(call.keywords))
        return instance

    def _applied(self, dataset: Dataset, what: Value) -> Value:
        """``dataset.apply(f)``: f(dataset), or one of the transformations of tf.data.experimental."""
        if isinstance(what, Function):
            return self.call_function(what, (dataset,), {})
        if isinstance(what, Result) and ".data." in what.call.name:
            inner = Call(
                what.call.node, what.call.name, what.call.method, dataset, what.call.positional,
                what.call.keywords, what.call.is_open, what.call.loop,
            )  # fmt: skip
            return dataset_of(inner) or UNKNOWN
        return UNKNOWN
