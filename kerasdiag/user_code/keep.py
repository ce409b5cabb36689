"""How each kind of thing that changes is put back: the same object, with the content that it had."""

from __future__ import annotations

import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, MutableMapping
from typing import Any  # values of the user's

import numpy as np

# Larger arrays are the data that a function reads, and are taken to be only read: copies would need the memory twice.
KEPT_BYTES = 16 * 1024**2

# Puts one thing back.
Restore = Callable[[], object]
# Notes what it is like now.
Save = Callable[[], Restore]

GONE = object()  # stands for a value that is not there


def saver_of(value: Any) -> Save | None:
    """Return what keeps an object of a kind that is known here, None for other kinds; what it contains is another matter."""
    kind = type(value)
    if kind in (dict, OrderedDict, defaultdict, Counter):
        return lambda: _save_mapping(value)
    if kind in (list, deque, bytearray):
        return lambda: _save_sequence(value)
    if kind is set:
        return lambda: _save_set(value)
    if kind is random.Random:
        return lambda: _call(value.setstate, value.getstate())
    if isinstance(value, np.random.Generator):
        return saver_of(value.bit_generator)
    if isinstance(value, np.random.BitGenerator):
        return lambda: _call(setattr, value, "state", value.state)
    if isinstance(value, np.random.RandomState):
        return lambda: _call(value.set_state, value.get_state(legacy=False))
    if isinstance(value, np.ndarray) and value.flags.writeable and value.nbytes <= KEPT_BYTES:
        return lambda: _save_array(value)
    return None


def save_attributes(owner: Any, names: Collection[str]) -> Restore:
    """Keep some attributes of a class."""
    before = {name: vars(owner).get(name, GONE) for name in names}

    def restore() -> None:
        for name, value in before.items():
            if vars(owner).get(name, GONE) is not value:
                delattr(owner, name) if value is GONE else setattr(owner, name, value)

    return restore


def save_entries(owner: MutableMapping[str, Any], names: Collection[str]) -> Restore:
    """Keep some entries of a dictionary, such as the global variables that a function sets."""
    before = {name: owner.get(name, GONE) for name in names}

    def restore() -> None:
        for name, value in before.items():
            if value is GONE:
                owner.pop(name, None)
            elif owner.get(name, GONE) is not value:
                owner[name] = value

    return restore


def save_cell(cell: types.CellType) -> Restore:
    """Keep the variable of an enclosing function."""
    before = contents_of(cell)
    return lambda: None if before is GONE else setattr(cell, "cell_contents", before)


def contents_of(cell: types.CellType) -> Any:
    """Return the value of such a variable, ``GONE`` where it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return GONE


def _call(function: Callable[..., Any], *arguments: Any) -> Restore:
    return lambda: function(*arguments)


# What did not change is not touched: other threads may read it.


def _save_mapping(value: Any) -> Restore:
    before = list(value.items())

    def restore() -> None:
        now = list(value.items())
        if len(now) != len(before) or any(a is not c or b is not d for (a, b), (c, d) in zip(now, before)):
            value.clear()
            for key, content in before:
                value[key] = content

    return restore


def _save_sequence(value: Any) -> Restore:
    before = list(value)

    def restore() -> None:
        if len(value) != len(before) or any(a is not b for a, b in zip(value, before)):
            value.clear()
            value.extend(before)

    return restore


def _save_set(value: set[Any]) -> Restore:
    before = set(value)

    def restore() -> None:
        if value != before:
            value.clear()
            value.update(before)

    return restore


def _save_array(value: np.ndarray[Any, Any]) -> Restore:
    before = value.copy()

    def restore() -> None:
        if value.tobytes() != before.tobytes():
            np.copyto(value, before)

    return restore
