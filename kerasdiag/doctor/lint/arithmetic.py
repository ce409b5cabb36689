"""What sums, divisions, rounding and comparisons of a script come to, as far as its numbers are known."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from kerasdiag.doctor.lint.merging import bounded
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
    Quotient,
    Ratio,
    Result,
    Sum,
    Tensor,
    Value,
)

_MOST_NUMBER = 1e18  # 9**9**9 is not worked out; what is larger, infinite or no number counts for no rule
_WHOLE = ("int", "math.floor", "math.trunc")
_FRACTIONS = ("float", "numpy.floor", "numpy.ceil", "numpy.round", "numpy.rint", "numpy.around")  # all give a float
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {  # Any: whatever literals hold
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def number_of(value: Value | None) -> float | None:
    """Return the number that a value is, None where it is none or is not known."""
    number = _number(value)
    return number if number is not None and abs(number) <= _MOST_NUMBER else None


def _number(value: Value | None) -> float | None:
    if isinstance(value, Literal) and isinstance(value.value, (int, float)) and not isinstance(value.value, bool):
        return value.value
    if isinstance(value, Sum):
        return value.number
    if isinstance(value, (Quotient, Ratio)):
        left, right = number_of(value.left), number_of(value.right)
        if left is None or not right:
            return None
        return left // right if isinstance(value, Quotient) else left / right
    return None


def is_fraction(value: Value | None) -> bool:
    """Whether a value is a float, be it a whole number: of a true division, of ``numpy.floor``."""
    if isinstance(value, Literal):
        return isinstance(value.value, float)
    return isinstance(value, Ratio) or (isinstance(value, Result) and value.call.name in _FRACTIONS)


def combined(node: ast.AST, operation: ast.operator, left: Value, right: Value) -> Value:
    """Return what ``left + right`` and the like give; the node is that of the whole."""
    one, other = number_of(left), number_of(right)
    if isinstance(operation, (ast.FloorDiv, ast.Div)):
        left, right = _plain(left, one), _plain(right, other)
        return bounded(Quotient(left, right) if isinstance(operation, ast.FloorDiv) else Ratio(left, right, node))
    if isinstance(operation, (ast.Add, ast.Sub)):
        adds = isinstance(operation, ast.Add) or (isinstance(left, Sum) and left.adds)
        if one is None or other is None:
            return bounded(Sum(left, right, None, adds))
        number = one + other if isinstance(operation, ast.Add) else one - other
        return Sum(UNKNOWN, UNKNOWN, number, adds) if adds else Literal(number)
    if one is None or other is None:
        return UNKNOWN
    if isinstance(operation, ast.Mult):
        return Literal(one * other)
    if isinstance(operation, ast.Pow) and abs(one) <= 1e6 and 0 <= other <= 3:
        return Literal(one**other)
    return UNKNOWN


def _plain(value: Value, number: float | None) -> Value:
    """A known number without the way to it, so that a chain of divisions does not grow."""
    return value if number is None or isinstance(value, (Literal, Sum)) else Literal(number)


def rounded(call: Call) -> Value | None:
    """Return what ``int(x)`` and the like give, None for any other call."""
    if call.name not in _WHOLE or not call.positional:
        return None
    value = call.positional[0]
    if isinstance(value, Result) and value.call.name == "numpy.floor" and value.call.positional:
        value = value.call.positional[0]
    if isinstance(value, Ratio):
        return Quotient(value.left, value.right)
    if isinstance(value, (Quotient, Sum, Member)):
        return value
    number = number_of(value)
    return UNKNOWN if number is None else Literal(math.floor(number) if call.name == "math.floor" else int(number))


def compared(operation: ast.cmpop, left: Value, right: Value) -> Value:
    """Return True or False where both sides are written down; and for ``is None`` where the left one is made."""
    is_identity = isinstance(operation, (ast.Is, ast.IsNot))
    if is_identity and right == Literal(None):
        is_tensor = isinstance(left, Result) and left.call.name.startswith("tensorflow.")
        if not is_tensor and not isinstance(left, (Literal, Tensor, Dataset, Function, Class, Instance, Items)):
            return UNKNOWN
        return Literal((left == Literal(None)) == isinstance(operation, ast.Is))
    work = _COMPARISONS.get(type(operation))
    if work is None or not isinstance(left, Literal) or not isinstance(right, Literal):
        return UNKNOWN
    try:
        return Literal(bool(work(left.value, right.value)))
    except TypeError:  # "a" < 1, which the script never runs
        return UNKNOWN
