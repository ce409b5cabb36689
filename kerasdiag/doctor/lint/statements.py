"""Follows the statements of a script from top to bottom, and then the functions that nothing in it calls."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from kerasdiag.doctor.lint.arithmetic import combined
from kerasdiag.doctor.lint.branches import Branches
from kerasdiag.doctor.lint.datasets import unpacked
from kerasdiag.doctor.lint.expressions import Scope
from kerasdiag.doctor.lint.names import canonical
from kerasdiag.doctor.lint.record import Record, Setting
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Class, Function, Instance, Literal, Path, Value

_GLOBAL = "global {}"  # stands in the scope of a function that declares a name so; no name has a space
_NOBODYS_CALL = Call(ast.Call(ast.Name("", ast.Load()), [], []), "", "", None, (), {}, True, None)


class Statements(Branches):
    """Follows a whole script."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self._top: Scope = {}

    def follow(self, tree: ast.Module) -> None:
        """Follow the script, and then the functions that nothing in it calls."""
        try:
            self.block(tree.body, self._top)
            self._follow_uncalled()
        except RecursionError:
            self.record.unfinished = "nested too deeply to follow"

    def _follow_uncalled(self) -> None:
        seen: set[ast.AST] = set()
        while True:  # a function that is followed may bring others to light
            found = [function for node, function in self.record.functions.items() if node not in seen]
            if not found:
                return
            # First those that set the attributes of their objects.
            for function in sorted(found, key=lambda each: getattr(each.node, "name", "") != "__init__"):
                seen.add(function.node)
                if function.node not in self.times:
                    for each in self._with_owners(function):
                        self.call_function(each, (), {}, is_open=True)

    def _with_owners(self, function: Function) -> list[Function]:
        """A method once for each object that the script makes; or with one that nobody has made."""
        if not isinstance(function.owner, Instance) or isinstance(function.node, ast.Lambda):
            return [function]
        name = function.node.name
        objects = [
            each
            for each in self.record.instances
            if (method := each.kind.method(name)) is not None and method.node is function.node
        ]
        bound = [self.attribute_of(each, name) for each in objects or [function.owner]]
        return [each for each in bound if isinstance(each, Function)]

    def block(self, statements: list[ast.stmt], scope: Scope) -> ast.stmt | None:
        """Follow statements in order; return the one that leaves them in any case."""
        for statement in statements:
            method = getattr(self, f"_do_{type(statement).__name__.lower()}", None)
            if method is not None:
                leaves: ast.stmt | None = method(statement, scope)
                if leaves is not None:
                    return leaves
                continue
            for child in ast.iter_child_nodes(statement):
                if isinstance(child, ast.expr):
                    self.value(child, scope)
        return None

    def _do_raise(self, node: ast.Raise, scope: Scope) -> ast.stmt:
        self.value(node.exc, scope)
        return node

    def _do_continue(self, node: ast.Continue | ast.Break, _scope: Scope) -> ast.stmt:
        return node

    _do_break = _do_continue

    # --- names

    def _do_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            name = canonical(alias.name)
            self.record.imports.add(name)
            root = name.partition(".")[0]
            self._import(alias.asname or root, name if alias.asname else root, scope)

    def _do_importfrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = canonical("." * node.level + (node.module or ""))
        self.record.imports.add(module)
        for alias in node.names:
            if alias.name == "*":
                self.record.star_imports.append(module)
            else:
                self._import(alias.asname or alias.name, canonical(f"{module}.{alias.name}"), scope)

    def _import(self, name: str, dotted: str, scope: Scope) -> None:
        scope[name] = Path(dotted)
        self.record.names[name] = dotted

    def _do_assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.value(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope, node)

    def _do_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value, scope), scope, node)

    def _do_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        value = combined(node, node.op, self.value(node.target, scope), self.value(node.value, scope))
        if self.loop is not None and isinstance(node.op, (ast.Add, ast.Sub)):
            value = UNKNOWN  # what a loop counts is no sum of two things
        self.bind(node.target, value, scope, node)

    def _do_delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            self.bind(target, UNKNOWN, scope, node)

    def _do_global(self, node: ast.Global, scope: Scope) -> None:
        for name in node.names:
            scope[_GLOBAL.format(name)] = UNKNOWN

    def bind(self, target: ast.expr, value: Value, scope: Scope, node: ast.stmt) -> None:
        """Give a value to a name, an attribute, or several of them."""
        if isinstance(target, ast.Name):
            scope[target.id] = value
            if _GLOBAL.format(target.id) in scope:
                self._top[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            is_open = any(isinstance(each, ast.Starred) for each in target.elts)
            parts = unpacked(UNKNOWN if is_open else value, len(target.elts))
            for each, part in zip(target.elts, parts):
                self.bind(each, part, scope, node)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, UNKNOWN, scope, node)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            self.record.settings.append(Setting(owner, target.attr, value, node, self.branches > 0))
            if isinstance(owner, (Instance, Class)):
                owner.attributes[target.attr] = value
            if isinstance(target.value, ast.Name):
                scope[f"{target.value.id}.{target.attr}"] = value
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value, scope), self.value(target.slice, scope)
            if owner == Path("os.environ") and isinstance(key, Literal):
                self.record.variables[str(key.value)] = value

    # --- functions and classes

    def _do_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        for decorator in node.decorator_list:
            self.value(decorator, scope)
        function = Function(node, scope)
        self.record.functions[node] = function
        scope[node.name] = function

    _do_asyncfunctiondef = _do_functiondef

    def _do_classdef(self, node: ast.ClassDef, scope: Scope) -> None:
        bases = tuple(self.value(base, scope) for base in node.bases)
        inner = dict(scope)
        self.block(node.body, inner)
        methods = {
            part.name: Function(part, scope)
            for part in node.body
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _is_setter(part)
        }
        attributes = {
            name: value
            for name, value in inner.items()
            if value is not scope.get(name) and not isinstance(value, Function) and "." not in name
        }
        kind = Class(node, bases, methods, attributes, _setters(methods))
        self.record.classes.append(kind)
        scope[node.name] = kind
        owner = Instance(kind, _NOBODYS_CALL)
        for method in methods.values():  # followed with an object, should nobody call them
            self.record.functions[method.node] = replace(method, owner=owner)


def _is_setter(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == "setter" for each in method.decorator_list)


def _setters(methods: Mapping[str, Function]) -> dict[str, int]:
    """How many of these methods set an attribute, of whatever object."""
    return Counter(
        name
        for method in methods.values()
        for name in {
            part.attr
            for part in ast.walk(method.node)
            if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
        }
    )
