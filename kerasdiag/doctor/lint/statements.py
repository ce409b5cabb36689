"""Follows the statements of a script from top to bottom, into its functions and both branches."""

from __future__ import annotations

import ast

from kerasdiag.doctor.lint.datasets import unpacked
from kerasdiag.doctor.lint.expressions import Expressions, Scope
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Class, Dataset, Function, Instance, Literal, Path, Value, merge

_DEPTH = 8  # functions that call functions
_MOST_CALLS = 20_000  # of functions of the script, all together
_MOST_TIMES = 12  # that one of them is followed
_NOBODYS_CALL = Call(ast.Call(ast.Name("", ast.Load()), [], []), "", "", None, (), {}, True, None)


class Statements(Expressions):
    """Follows a whole script."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self._stack: list[ast.AST] = []
        self._returned: list[list[Value]] = []
        self._times: dict[ast.AST, int] = {}

    def follow(self, tree: ast.Module) -> None:
        """Follow the script, and then the functions that nothing in it calls."""
        scope: Scope = {}
        try:
            self.block(tree.body, scope)
            for node, function in list(self.record.functions.items()):
                if node not in self._times:
                    self.call_function(function, (), {})
            for node, function in list(self.record.functions.items()):  # those that were found meanwhile
                if node not in self._times:
                    self.call_function(function, (), {})
        except RecursionError:
            self.record.is_complete = False

    def block(self, statements: list[ast.stmt], scope: Scope) -> None:
        """Follow statements in order."""
        for statement in statements:
            method = getattr(self, f"_do_{type(statement).__name__.lower()}", None)
            if method is not None:
                method(statement, scope)
                continue
            for child in ast.iter_child_nodes(statement):
                if isinstance(child, ast.expr):
                    self.value(child, scope)

    def call_function(self, function: Function, positional: tuple[Value, ...], keywords: dict[str, Value]) -> Value:
        """Follow a call into a function; return what all its returns agree on."""
        node = function.node
        times = self._times.get(node, 0)
        is_too_much = times >= _MOST_TIMES or sum(self._times.values()) > _MOST_CALLS
        if node in self._stack or len(self._stack) >= _DEPTH or is_too_much:
            return UNKNOWN
        self._times[node] = times + 1
        scope = dict(function.scope)
        scope.update(self._parameters(function, positional, keywords))
        self._stack.append(node)
        self._returned.append([])
        outer_loop = self.loop
        if isinstance(node, ast.Lambda):
            result = self.value(node.body, scope)
        else:
            self.block(node.body, scope)
            found = self._returned[-1]
            result = found[0] if found else UNKNOWN
            for other in found[1:]:
                result = merge(result, other)
        self.loop = outer_loop
        self._returned.pop()
        self._stack.pop()
        return result

    def _parameters(self, function: Function, positional: tuple[Value, ...], keywords: dict[str, Value]) -> Scope:
        arguments = function.node.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        every = (*names, *(argument.arg for argument in arguments.kwonlyargs))
        bound: Scope = dict.fromkeys(every, UNKNOWN)
        for extra in (arguments.vararg, arguments.kwarg):
            if extra is not None:
                bound[extra.arg] = UNKNOWN
        was_called = bool(positional or keywords)
        if was_called:  # of a function that nobody calls nothing is known, the defaults neither
            for name, default in zip(reversed(names), reversed(arguments.defaults)):
                bound[name] = self.value(default, function.scope)
            for argument, given in zip(arguments.kwonlyargs, arguments.kw_defaults):
                bound[argument.arg] = self.value(given, function.scope) if given is not None else UNKNOWN
        if function.owner is not None:
            positional = (function.owner, *positional)
        bound.update(zip(names, positional))
        bound.update({name: value for name, value in keywords.items() if name in bound})
        return bound

    # --- names

    def _do_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            self.record.imports.add(alias.name)
            scope[alias.asname or alias.name.partition(".")[0]] = Path(
                alias.name if alias.asname else alias.name.partition(".")[0]
            )

    def _do_importfrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = "." * node.level + (node.module or "")
        self.record.imports.add(module)
        for alias in node.names:
            if alias.name == "*":
                self.record.star_imports.append(module)
            else:
                scope[alias.asname or alias.name] = Path(f"{module}.{alias.name}")

    def _do_assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.value(node.value, scope)
        for target in node.targets:
            self._bind(target, value, scope, node)

    def _do_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self._bind(node.target, self.value(node.value, scope), scope, node)

    def _do_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        self.value(node.value, scope)
        self._bind(node.target, UNKNOWN, scope, node)

    def _do_delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            self._bind(target, UNKNOWN, scope, node)

    def _bind(self, target: ast.expr, value: Value, scope: Scope, node: ast.stmt) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            for each, part in zip(target.elts, unpacked(value, len(target.elts))):
                self._bind(each, part, scope, node)
        elif isinstance(target, ast.Attribute):
            self.record.attributes.append((self.value(target.value, scope), target.attr, value, node))
            if isinstance(target.value, ast.Name):
                scope[f"{target.value.id}.{target.attr}"] = value
        elif isinstance(target, ast.Subscript):
            self.value(target.value, scope)

    # --- branches and loops

    def _do_if(self, node: ast.If, scope: Scope) -> None:
        test = self.value(node.test, scope)
        if isinstance(test, Literal) and self._stack:  # what the caller said; a switch at the top may be turned
            self.block(node.body if test.value else node.orelse, scope)
            return
        self._branches([node.body, node.orelse], scope)

    def _branches(self, bodies: list[list[ast.stmt]], scope: Scope) -> None:
        ends = []
        for body in bodies:
            inner = dict(scope)
            self.block(body, inner)
            if not (body and isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))):
                ends.append(inner)
        for name in {name for inner in ends for name in inner}:
            value = ends[0].get(name, UNKNOWN)
            for inner in ends[1:]:
                value = merge(value, inner.get(name, UNKNOWN))
            scope[name] = value
            if isinstance(value, Dataset) and all(value is not inner.get(name) for inner in ends):
                self.record.datasets.append(value)

    def _do_for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        self.value(node.iter, scope)
        self._bind(node.target, UNKNOWN, scope, node)
        self._looped(node, node.body, scope)
        self.block(node.orelse, scope)

    _do_asyncfor = _do_for

    def _do_while(self, node: ast.While, scope: Scope) -> None:
        self.value(node.test, scope)
        self._looped(node, node.body, scope)
        self.block(node.orelse, scope)

    def _looped(self, node: ast.AST, body: list[ast.stmt], scope: Scope) -> None:
        outer, self.loop = self.loop, node
        self.block(body, scope)
        self.loop = outer

    def _do_with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
        for item in node.items:
            self.value(item.context_expr, scope)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, UNKNOWN, scope, node)
        self.block(node.body, scope)

    _do_asyncwith = _do_with

    def _do_try(self, node: ast.Try, scope: Scope) -> None:
        self.block(node.body, scope)
        for handler in node.handlers:
            inner = dict(scope)
            self.block(handler.body, inner)
            for name, value in inner.items():  # an import that failed leaves another name of the same thing
                scope.setdefault(name, value)
        self.block(node.orelse, scope)
        self.block(node.finalbody, scope)

    _do_trystar = _do_try

    # --- functions and classes

    def _do_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        for decorator in node.decorator_list:
            self.value(decorator, scope)
        function = Function(node, scope)
        self.record.functions[node] = function
        scope[node.name] = function

    _do_asyncfunctiondef = _do_functiondef

    def _do_return(self, node: ast.Return, scope: Scope) -> None:
        value = self.value(node.value, scope)
        if self._returned:
            self._returned[-1].append(value)

    def _do_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        bases = tuple(self.value(base, scope) for base in node.bases)
        inner = dict(scope)
        self.block(node.body, inner)
        methods = {
            part.name: Function(part, scope)
            for part in node.body
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        kind = Class(node, bases, methods)
        self.record.classes.append(kind)
        scope[node.name] = kind
        for method in methods.values():  # followed with an object, should nobody call them
            owner = Instance(kind, _NOBODYS_CALL)
            self.record.functions[method.node] = Function(method.node, scope, owner)
