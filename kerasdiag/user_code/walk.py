"""A walk over everything that some functions can get hold of: their variables, what these contain, the code of both."""

from __future__ import annotations

import enum
import functools
import re
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from random import SystemRandom
from typing import Any  # values of the user's

import numpy as np

from kerasdiag.user_code import keep
from kerasdiag.user_code.libraries import installed_package, is_framework, is_library, is_of_input, objection_to
from kerasdiag.user_code.names import Reference, names_in

# Beyond that, looking would take longer than measuring.
MOST_OBJECTS = 20_000

_PLAIN = frozenset(
    {object, type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented), range, slice}
)
_UNCHANGING = (
    np.generic, np.dtype, enum.Enum, PurePath, re.Pattern, date, time, timedelta, Decimal, SystemRandom,
    type(threading.Lock()), type(threading.RLock()), types.GetSetDescriptorType, types.MemberDescriptorType,
)  # fmt: skip
# Data of known libraries, taken to be only read.
_DATA_OF = frozenset({"pandas", "PIL", "h5py"})
_COMPILED = (
    types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType,
    types.ClassMethodDescriptorType,
)  # fmt: skip
_SPAWNING = (np.random.Generator, np.random.BitGenerator)
_COMPILED_NAMES = frozenset({"cython_function_or_method", "fused_cython_function", "_ArrayFunctionDispatcher"})
_CONTAINERS = (list, tuple, set, frozenset, deque)
_MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
_AUTOGRAPH_MARK = "ag_dnc_wrapper__"  # what TensorFlow has wrapped a function in, left with the function
# These reach any attribute by a name that need not stand in the code.
_ASKING = (getattr, setattr, delattr, vars)
# Classes of the user's may derive from these, which keep no state outside of ``__dict__`` that changes.
_BASES = (object, tuple, type)
_MODULES_OF_BASES = frozenset({"abc", "typing", "collections.abc", "enum"})


class NotKeptError(Exception):
    """Something was found that cannot be put back."""


class Walk:
    """One walk; ``look`` at everything that is going to be called, then ``finish``.

    Args:
        passed_over: Attributes of Keras' own objects that are not going to be used.
        known: Objects whose attributes somebody else puts back; of what these hold, only what some code asks for by
            name is looked at.

    Attributes:
        packages: Installed packages whose code it has looked into, beside the known libraries.
    """

    def __init__(self, passed_over: Iterable[str] = (), known: Iterable[Any] = ()) -> None:
        self.passed_over = set(passed_over)
        self._known = list(known)
        self.packages: dict[str, None] = {}
        self.attributes: set[str] = set()  # names that some code asks for
        self._stored: set[str] = set()  # names that some code sets
        self._asks_for_any = False
        # Keeps them alive, for an address is used again.
        self._seen: dict[int, Any] = {id(one): one for one in self._known}
        self._waiting: list[tuple[Any, str]] = []
        self._classes: list[type] = []
        self._modules: list[types.ModuleType] = []
        self._savers: list[keep.Save] = []

    def look(self, value: Any, text: str) -> None:
        """Note a value that is going to be looked at.

        Args:
            value: The value.
            text: How to speak of it.
        """
        if type(value) not in _PLAIN and id(value) not in self._seen:
            self._seen[id(value)] = value
            self._waiting.append((value, text))
            if len(self._seen) > MOST_OBJECTS:
                raise NotKeptError(f"it reaches more than {MOST_OBJECTS:,} objects, too many to look at")

    def finish(self) -> list[keep.Save]:
        """Look at everything; return what keeps all that can change.

        Raises:
            NotKeptError: Something cannot be put back.
        """
        for one in self._known:
            self._classes += [base for base in _own_bases(type(one)) if base not in self._classes]
        while self._waiting:
            while self._waiting:
                self._look_at(*self._waiting.pop())
            for one in self._known:
                self._look_at_known(one)
            for kind in self._classes:  # what was read since may ask for more of their members
                self._look_at_members(kind)
        if "spawn" in self.attributes and any(isinstance(one, _SPAWNING) for one in self._seen.values()):
            raise NotKeptError("it uses numpy's spawn, which counts its calls where nobody can put that back")
        return self._save_all()

    def _save_all(self) -> list[keep.Save]:
        for kind in self._classes:
            names = {*self._stored, *(vars(kind) if self._asks_for_any else ())} - {"__dict__", "__weakref__"}
            self._savers.append(functools.partial(keep.save_attributes, kind, names))
        self._savers += [functools.partial(keep.save_entries, vars(one), self._stored) for one in self._modules]
        return self._savers

    def _look_at(self, value: Any, text: str) -> None:
        kind = type(value)
        saver = keep.saver_of(value)
        if saver is not None:
            self._savers.append(saver)
        if kind in _CONTAINERS:
            self._look_into(value, f"an entry of {text}")
        elif kind in _MAPPINGS:
            self._look_into((*value, *value.values()), f"an entry of {text}")
            self.look(getattr(value, "default_factory", None), text)
        elif isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                self._look_into(value.ravel().tolist(), f"an entry of {text}")
        elif saver is not None or isinstance(value, _UNCHANGING):
            return
        elif isinstance(value, types.ModuleType):
            self._follow(Reference(text, value))
        elif isinstance(value, type):
            self._look_at_class(value, text)
        elif isinstance(value, types.FunctionType):
            self._look_at_function(value)
        elif isinstance(value, types.MethodType):
            self.look(value.__func__, text)
            self.look(value.__self__, text)
        elif kind is functools.partial:
            self._look_into((value.func, *value.args, *value.keywords.values()), text)
        elif isinstance(value, np.ufunc):
            if all("O" in types_ for types_ in value.types):  # numpy.frompyfunc
                raise NotKeptError(_unknown(value, text))
        elif isinstance(value, _COMPILED) or kind.__name__ in _COMPILED_NAMES:
            self._look_at_compiled(value, text)
        elif kind.__name__ != "EagerTensor" and kind.__module__.partition(".")[0] not in _DATA_OF:
            self._look_at_object(value, text)

    def _look_into(self, values: Iterable[Any], text: str) -> None:
        for value in values:
            self.look(value, text)

    # --- Code ---

    def _look_at_function(self, function: types.FunctionType) -> None:
        written_in = str(
            function.__globals__.get("__name__")
        )  # functools.wraps copies __module__ from another function
        if is_library(written_in):
            for module in (written_in, function.__module__):
                _refuse(objection_to(f"{module}.{function.__qualname__}"))
            for cell in function.__closure__ or ():  # a decorator of the library's, around a function of the user's
                inner = keep.contents_of(cell)
                if isinstance(inner, types.FunctionType) or not is_framework(written_in):
                    self.look(inner, function.__name__)
            return
        self._note_package(written_in)
        names = names_in(function)
        if names.problems:
            raise NotKeptError(f"{function.__name__}: {names.problems[0]}")
        self.attributes |= names.attributes
        self._stored |= names.stored_attributes
        self._savers.append(functools.partial(keep.save_entries, function.__globals__, names.stored_globals))
        self._savers += [functools.partial(keep.save_cell, cell) for cell in function.__closure__ or ()]
        self._look_at_attributes(function)
        self._look_into(function.__defaults__ or (), f"a default argument of {function.__name__}")
        self._look_into((function.__kwdefaults__ or {}).values(), f"a default argument of {function.__name__}")
        for reference in names.references:
            self._follow(reference)

    def _look_at_attributes(self, function: types.FunctionType) -> None:
        entries = vars(function)
        saver = keep.saver_of(entries)
        if entries and saver is not None:
            self._savers.append(saver)
            self._look_into((one for name, one in entries.items() if name != _AUTOGRAPH_MARK), function.__name__)

    def _note_package(self, module_name: str) -> None:
        package = installed_package(module_name)
        if package is not None:
            self.packages[package] = None

    def _follow(self, reference: Reference) -> None:
        """Look at what a name stands for; of a module only at what is asked of it."""
        value, text, attributes = reference.value, reference.text, list(reference.attributes)
        while isinstance(value, types.ModuleType):
            if is_library(value.__name__):
                path = ".".join([value.__name__, *attributes])
                if reference.is_stored or (not attributes and is_framework(path)):
                    raise NotKeptError(f"it sets something in {path}, or hands it on")
                return _refuse(objection_to(path))
            if not attributes:
                raise NotKeptError(f"it hands on the module {value.__name__}, so what it uses of it is not known")
            self._modules.append(value)
            text = f"{text}.{attributes[0]}"
            value = vars(value).get(attributes.pop(0))
        self._asks_for_any |= any(value is one for one in _ASKING)
        self.look(value, text)
        return None

    def _look_at_compiled(self, value: Any, text: str) -> None:
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, (types.ModuleType, int)):  # Cython's functions say 0
            return self.look(owner, text)
        of = getattr(value, "__objclass__", None) or owner
        module = getattr(value, "__module__", None) or getattr(of, "__module__", None) or getattr(of, "__name__", None)
        if not is_library(module):
            raise NotKeptError(_unknown(value, text))
        return _refuse(objection_to(f"{module}.{getattr(value, '__qualname__', text)}"))

    # --- Objects and classes ---

    def _look_at_object(self, value: Any, text: str) -> None:
        kind = type(value)
        if is_library(kind.__module__) and not is_of_input(kind):
            raise NotKeptError(_unknown(value, text))
        self.look(kind, text)
        if not isinstance(value, tuple):
            if not hasattr(value, "__dict__") or any(vars(base).get("__slots__") for base in _own_bases(kind)):
                raise NotKeptError(_unknown(value, text))
            entries = vars(value)
            saver = keep.saver_of(entries)
            if saver is None:
                raise NotKeptError(_unknown(value, text))
            self._savers.append(saver)
            passed_over = self.passed_over if any(map(is_of_input, kind.__mro__)) else ()
            for name, one in list(entries.items()):
                if name not in passed_over:
                    self.look(one, f"{text}.{name}")
        else:  # a named tuple
            self._look_into(value, f"an entry of {text}")

    def _look_at_known(self, value: Any) -> None:
        for name, one in vars(value).items():
            if name in self.attributes or self._asks_for_any:
                self.look(one, f"{type(value).__name__}.{name}")

    def _look_at_class(self, kind: type, text: str) -> None:
        if is_library(kind.__module__):
            return None if is_of_input(kind) else _refuse(objection_to(f"{kind.__module__}.{kind.__qualname__}"))
        self._note_package(kind.__module__)
        for base in kind.__mro__:
            if is_library(base.__module__) and not _may_be_a_base(base):
                raise NotKeptError(f"{text} is a {base.__module__}.{base.__name__}, which may keep state of its own")
        self._classes += [base for base in _own_bases(kind) if base not in self._classes]
        return self.look(type(kind), text)

    def _look_at_members(self, kind: type) -> None:
        for name, member in list(vars(kind).items()):
            if not self._is_used(name, member):
                continue
            text = f"{kind.__name__}.{name}"
            if isinstance(member, (staticmethod, classmethod)):
                self.look(member.__func__, text)
            elif isinstance(member, property):
                self._look_into((member.fget, member.fset, member.fdel), text)
            elif isinstance(member, functools.cached_property):
                self.look(member.func, text)
            else:
                self.look(member, text)

    def _is_used(self, name: str, member: Any) -> bool:
        if name.startswith("__"):  # operators call these without their names
            return callable(member) or isinstance(member, (staticmethod, classmethod, property))
        return name in self.attributes or (self._asks_for_any and name != "_abc_impl")


def _may_be_a_base(kind: type) -> bool:
    return (
        kind in _BASES or kind.__module__ in _MODULES_OF_BASES or issubclass(kind, BaseException) or is_of_input(kind)
    )


def _own_bases(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if not is_library(base.__module__)]


def _refuse(objection: str | None) -> None:
    if objection is not None:
        raise NotKeptError(f"it uses {objection}")


def _unknown(value: Any, text: str) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{text} is of type {name}, whose state cannot be put back"
