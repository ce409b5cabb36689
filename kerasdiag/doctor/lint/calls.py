"""Follows calls: into functions and classes of the script, and from one stage of a dataset to the next."""

from __future__ import annotations

import ast
from dataclasses import replace

from kerasdiag.doctor.lint.arithmetic import rounded
from kerasdiag.doctor.lint.datasets import FOLLOWED, dataset_of, element_after
from kerasdiag.doctor.lint.expressions import Scope
from kerasdiag.doctor.lint.functions import Functions
from kerasdiag.doctor.lint.values import (
    UNKNOWN,
    Call,
    Class,
    Dataset,
    Function,
    Instance,
    Items,
    Member,
    Path,
    Result,
    Value,
)


class Calls(Functions):
    """Records calls and follows them."""

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
        call = Call(
            node, name, method, receiver, tuple(positional), keywords, is_open, self.loop, target,
            self.branches, self.may_have_left,
        )  # fmt: skip
        self.record.calls.append(call)
        result = self._outcome(call, target)
        if isinstance(receiver, Instance) and isinstance(node.func, ast.Attribute):
            _see_attributes(receiver, node.func.value, scope)
        return result

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
            dataset = self._with_element(dataset)
            self.record.datasets.append(dataset)
            return dataset
        if isinstance(call.receiver, Dataset) and call.method == "apply" and call.positional:
            return self._applied(call.receiver, call.positional[0])
        number = rounded(call)
        if number is not None:
            return number
        first = call.positional[0] if call.positional else UNKNOWN
        if call.name in ("list", "tuple") and isinstance(first, Items):
            return first
        if call.name == "functools.partial" and isinstance(first, Function):
            return replace(
                first,
                positional=(*first.positional, *call.positional[1:]),
                keywords={**first.keywords, **call.keywords},
            )
        if isinstance(target, Function):
            return self.call_function(target, call.positional, call.keywords, call.is_open)
        if isinstance(target, Class):
            return self._made(call, target)
        return Result(call)

    def _made(self, call: Call, kind: Class) -> Value:
        instance = Instance(kind, call)
        self.record.instances.append(instance)
        start = kind.method("__init__")
        if start is not None:
            self.call_function(replace(start, owner=instance), call.positional, call.keywords, call.is_open)
        else:  # a data class, or one that takes its arguments from elsewhere
            is_other = bool(call.positional) or call.is_open
            instance.attributes.update(dict.fromkeys(kind.attributes, UNKNOWN) if is_other else {})
            instance.attributes.update(call.keywords)
        return instance

    def _applied(self, dataset: Dataset, what: Value) -> Value:
        """``dataset.apply(f)``: f(dataset), or one of the transformations of tf.data.experimental."""
        if isinstance(what, Function):
            return self.call_function(what, (dataset,), {})
        if isinstance(what, Result) and ".data." in what.call.name:
            made = dataset_of(replace(what.call, receiver=dataset))
            return self._with_element(made) if made else UNKNOWN
        return UNKNOWN

    def _with_element(self, dataset: Dataset) -> Dataset:
        """A dataset with what is known of its elements, which its last stage may take from a function."""
        step = dataset.steps[-1]
        element = dataset.element
        returned: Value = UNKNOWN
        function = step.call.argument("map_func", 0) if step.operation in FOLLOWED else None
        if isinstance(function, Function):
            # For this stage alone: other stages may call it with other arguments. And whether the stage is there at
            # all says nothing about what its function does.
            outer, begin = (self.branches, self.may_have_left), len(self.record.calls)
            self.branches, self.may_have_left = 0, False
            parts = element.items if isinstance(element, Items) else (element,)
            # Of an unknown element nobody knows how many arguments it makes.
            returned = self.call_function(function, parts, {}, is_open=element is UNKNOWN)
            self.branches, self.may_have_left = outer
            step = replace(step, calls=tuple(self.record.calls[begin:]))
        element = element_after(step, element, returned)
        return Dataset((*dataset.steps[:-1], replace(step, element=element)), element)


def _see_attributes(owner: Instance, written: ast.expr, scope: Scope) -> None:
    """Let a scope know what a method has set on its object."""
    if isinstance(written, ast.Name):
        for name, value in owner.attributes.items():
            if f"{written.id}.{name}" in scope:
                scope[f"{written.id}.{name}"] = value
