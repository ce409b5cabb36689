"""Follows what may run or not, or several times: if, match, loops, try, with."""

from __future__ import annotations

import ast
from abc import abstractmethod

from kerasdiag.doctor.lint.calls import Calls
from kerasdiag.doctor.lint.expressions import Scope
from kerasdiag.doctor.lint.merging import merge
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import UNKNOWN, Class, Dataset, Instance, Items, Literal, Value

_MOST_ROUNDS = 8  # of a loop over items that are written down
_NOT_RUN = -1  # none of the branches runs as the script stands


class Branches(Calls):
    """Follows both branches of what the script does not decide, and loops once."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self._is_in_rounds = False

    @abstractmethod
    def bind(self, target: ast.expr, value: Value, scope: Scope, node: ast.stmt) -> None:
        """Give a value to a name, an attribute, or several of them."""

    def _do_if(self, node: ast.If, scope: Scope) -> ast.stmt | None:
        test = self.value(node.test, scope)
        bodies = [node.body, node.orelse]
        if _asks_for_main(node.test):
            return self.block(node.body, scope)
        if not isinstance(test, Literal):
            return self._branches(bodies, scope)
        taken = 0 if test.value else 1
        if self.stack:  # what the caller said
            return self.block(bodies[taken], scope)
        return self._branches(bodies, scope, taken)  # a switch at the top may be turned

    def _do_match(self, node: ast.Match, scope: Scope) -> ast.stmt | None:
        self.value(node.subject, scope)
        for case in node.cases:
            self.value(case.guard, scope)
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if name is not None:
                    scope[name] = UNKNOWN
        last = node.cases[-1]
        is_complete = last.guard is None and isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        return self._branches([*(case.body for case in node.cases), *([] if is_complete else [[]])], scope)

    def _branches(self, bodies: list[list[ast.stmt]], scope: Scope, taken: int = _NOT_RUN) -> ast.stmt | None:
        ends: list[Scope] = []
        left: list[ast.stmt] = []
        for number, body in enumerate(bodies):
            inner = dict(scope)
            with self.undecided(number != taken):
                leaves = self.block(body, inner)
            if leaves is None:
                ends.append(inner)
            elif not isinstance(leaves, ast.Raise):  # an error is the end, not another way
                left.append(leaves)
        if not ends:
            return left[0] if left else bodies[0][-1]
        self.may_have_left |= bool(left)
        for name in {name for inner in ends for name in inner}:
            value = ends[0].get(name, UNKNOWN)
            for inner in ends[1:]:
                value = merge(value, inner.get(name, UNKNOWN))
            scope[name] = value
            owner = scope.get(name.partition(".")[0])
            if "." in name and isinstance(owner, (Instance, Class)):
                owner.attributes[name.partition(".")[2]] = value
            if isinstance(value, Dataset) and all(value is not inner.get(name) for inner in ends):
                self.record.datasets.append(value)
        return None

    def _do_for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        items = self.value(node.iter, scope)
        if isinstance(items, Items) and 0 < len(items.items) <= _MOST_ROUNDS and not self._is_in_rounds:
            self._is_in_rounds = True
            for item in items.items:
                self.bind(node.target, item, scope, node)
                self._looped(node, node.body, scope)
            self._is_in_rounds = False
        else:
            self.bind(node.target, UNKNOWN, scope, node)
            self._looped(node, node.body, scope)
        self.block(node.orelse, scope)

    _do_asyncfor = _do_for

    def _do_while(self, node: ast.While, scope: Scope) -> None:
        _forget_counters(node.body, scope)
        self.value(node.test, scope)
        self._looped(node, node.body, scope)
        self.block(node.orelse, scope)

    def _looped(self, node: ast.AST, body: list[ast.stmt], scope: Scope) -> None:
        _forget_counters(body, scope)
        outer, may_have_left = self.loop, self.may_have_left
        self.loop = node
        leaves = self.block(body, scope)
        self.loop = outer
        # A continue or break ends with the loop, a return does not.
        may_return = self.may_have_left and any(isinstance(part, ast.Return) for part in ast.walk(node))
        self.may_have_left = may_have_left or may_return or isinstance(leaves, ast.Return)

    def _do_with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> ast.stmt | None:
        for item in node.items:
            self.value(item.context_expr, scope)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, UNKNOWN, scope, node)
        return self.block(node.body, scope)

    _do_asyncwith = _do_with

    def _do_try(self, node: ast.Try, scope: Scope) -> ast.stmt | None:
        before = dict(scope)
        leaves = self.block(node.body, scope) or self.block(node.orelse, scope)
        ways = [leaves]
        for handler in node.handlers:
            inner = dict(scope)
            ways.append(self.block(handler.body, inner))
            for name, value in inner.items():  # an import that failed leaves another name of the same thing
                scope.setdefault(name, value)
        for name, value in before.items():  # tpu = False; try: tpu = True
            if isinstance(value, Literal) and node.handlers and scope.get(name) != value:
                scope[name] = UNKNOWN
        self.may_have_left |= leaves is not None and None in ways
        return self.block(node.finalbody, scope) or (leaves if None not in ways else None)

    _do_trystar = _do_try


def _asks_for_main(test: ast.expr) -> bool:
    """Whether it is ``__name__ == "__main__"``: true of what somebody runs."""
    return isinstance(test, ast.Compare) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(test)
    )


def _forget_counters(body: list[ast.stmt], scope: Scope) -> None:
    """Numbers and flags that a loop changes are other ones in its later rounds, which are not followed."""
    for part in (part for statement in body for part in ast.walk(statement)):
        if isinstance(part, (ast.Name, ast.Attribute)) and isinstance(part.ctx, ast.Store):
            name = ast.unparse(part)
            if isinstance(scope.get(name), Literal):
                scope[name] = UNKNOWN
