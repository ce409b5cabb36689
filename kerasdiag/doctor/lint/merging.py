"""What is known where two ways through a script meet; and how much of one value is kept at all."""

from __future__ import annotations

from dataclasses import replace

from kerasdiag.doctor.lint.values import (
    UNKNOWN,
    Dataset,
    Either,
    Items,
    Member,
    Quotient,
    Ratio,
    Sum,
    Value,
)

_MOST_PARTS = 200  # of one value: no rule needs more, and a script of doublings has 2**n of them


def merge(first: Value, second: Value) -> Value:
    """Return what is known of a name that two branches leave behind."""
    if first is second or first == second:
        return first
    if UNKNOWN in (first, second):
        return UNKNOWN
    if isinstance(first, Dataset) and isinstance(second, Dataset):
        return _merged(first, second)
    if isinstance(first, Items) and isinstance(second, Items) and len(first.items) == len(second.items):
        return bounded(Items(tuple(map(merge, first.items, second.items))))
    return bounded(Either(first, second))


def _merged(first: Dataset, second: Dataset) -> Value:
    shared = 0
    while shared < min(len(first.steps), len(second.steps)) and first.steps[shared] is second.steps[shared]:
        shared += 1
    if not shared:
        return UNKNOWN
    rest = (*first.steps[shared:], *second.steps[shared:])
    maybe = tuple(replace(step, is_certain=False) for step in rest)
    return Dataset(first.steps[:shared] + maybe, merge(first.element, second.element))


def bounded(value: Value) -> Value:
    """Return a value of which the parts can be looked at one by one, and UNKNOWN for a larger one."""
    return value if _size(value) <= _MOST_PARTS else UNKNOWN


def _size(value: Value) -> int:
    # Its parts have been bounded when they were made: this looks at a few times _MOST_PARTS of them.
    if isinstance(value, Items):
        return 1 + sum(map(_size, value.items))
    if isinstance(value, (Quotient, Ratio, Sum)):
        return 1 + _size(value.left) + _size(value.right)
    if isinstance(value, Either):
        return 1 + _size(value.first) + _size(value.second)
    return 1 + _size(value.owner) if isinstance(value, Member) else 1
