"""Follows functions of a script with the arguments that they are given, and finds the attributes of its objects."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace

from kerasdiag.doctor.lint.expressions import Expressions, Scope
from kerasdiag.doctor.lint.merging import merge
from kerasdiag.doctor.lint.record import Following, Record
from kerasdiag.doctor.lint.values import UNKNOWN, Class, Function, Instance, Value

_DEPTH = 8  # functions that call functions
_MOST_CALLS = 20_000  # of functions of the script, all together
_MOST_TIMES = 12  # that one of them is followed
_PROPERTIES = frozenset(["property", "cached_property"])


class Functions(Expressions):
    """Follows functions."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.times: dict[ast.AST, int] = {}  # that a function has been followed
        self._count = 0
        self._returned: list[list[Value]] = []

    @abstractmethod
    def block(self, statements: list[ast.stmt], scope: Scope) -> ast.stmt | None:
        """Follow statements in order; return the one that leaves them in any case."""

    def _do_return(self, node: ast.Return, scope: Scope) -> ast.stmt:
        value = self.value(node.value, scope)
        if self._returned:
            self._returned[-1].append(value)
        return node

    def call_function(
        self,
        function: Function,
        positional: tuple[Value, ...],
        keywords: Mapping[str, Value],
        is_open: bool = False,
    ) -> Value:
        """Follow a call into a function; return what all its returns agree on.

        Args:
            function: What is called.
            positional: Arguments by position, without the owner of a method.
            keywords: Arguments by name.
            is_open: Whether there may be more arguments, so that the defaults are not known to hold.
        """
        node = function.node
        if self._count >= _MOST_CALLS:
            self.record.unfinished = "too long to follow"
        times = self.times.get(node, 0)
        if node in self.stack or len(self.stack) >= _DEPTH or times >= _MOST_TIMES or self._count >= _MOST_CALLS:
            return UNKNOWN
        self.times[node] = times + 1
        self._count += 1
        scope = {**function.scope, **self._parameters(function, positional, keywords, is_open)}
        outer, begin = (self.loop, self.may_have_left), len(self.record.calls)
        self.stack.append(node)
        self._returned.append([])
        if isinstance(node, ast.Lambda):
            result = self.value(node.body, scope)
            self._returned.pop()
        else:
            self.block(node.body, scope)
            found = self._returned.pop()
            result = found[0] if found else UNKNOWN
            for other in found[1:]:
                result = merge(result, other)
        self.stack.pop()
        self.loop, self.may_have_left = outer
        self.record.followings.append(Following(node, function.owner, begin, len(self.record.calls)))
        return result

    def _parameters(
        self, function: Function, positional: tuple[Value, ...], keywords: Mapping[str, Value], is_open: bool
    ) -> Scope:
        arguments = function.node.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        every = (*names, *(argument.arg for argument in arguments.kwonlyargs))
        bound: Scope = dict.fromkeys(every, UNKNOWN)
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None:
                bound[extra.arg] = UNKNOWN
        if not is_open:
            for name, default in zip(reversed(names), reversed(arguments.defaults)):
                bound[name] = self.value(default, function.scope)
            for argument, given in zip(arguments.kwonlyargs, arguments.kw_defaults):
                bound[argument.arg] = self.value(given, function.scope)
        owner = () if function.owner is None else (function.owner,)
        bound.update(zip(names, (*owner, *function.positional, *positional)))
        given_by_name = {**function.keywords, **keywords}
        bound.update({name: value for name, value in given_by_name.items() if name in bound})
        return bound

    def attribute_of(self, owner: Instance | Class, name: str) -> Value | None:
        """Return an attribute of an object or class of the script, None where it is not known.

        A property is followed; a method comes with its object, unless it is a static one.
        """
        kind = owner.kind if isinstance(owner, Instance) else owner
        if isinstance(owner, Instance) and name in owner.attributes:
            # Of two methods that set it, nobody knows in a third one which of them ran last.
            return owner.attributes[name] if kind.count_setters(name) <= 1 else None
        method = kind.method(name)
        if method is None and isinstance(owner, Instance) and kind.count_setters(name):
            return None  # set by a method that was not followed
        if method is None:
            return next((each.attributes[name] for each in kind.lineage() if name in each.attributes), None)
        marks = _decorators(method.node)
        if "classmethod" in marks:
            return replace(method, owner=kind)
        if "staticmethod" in marks or not isinstance(owner, Instance):
            return method
        bound = replace(method, owner=owner)
        return self.call_function(bound, (), {}) if marks & _PROPERTIES else bound


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """Last parts of the names of the decorators that are written without arguments."""
    return {
        each.id if isinstance(each, ast.Name) else each.attr
        for each in getattr(node, "decorator_list", ())
        if isinstance(each, (ast.Name, ast.Attribute))
    }
