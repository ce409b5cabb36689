"""What a Keras model of a script consists of: its layers, and the ready-made model of keras.applications inside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kerasdiag.doctor.lint.names import keras_name, last_of_keras
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Either, Instance, Items, Member, Path, Ratio, Result, Sum, Value
from kerasdiag.user_code.libraries import is_framework

_FUNCTIONAL = ("Model", "Functional")
_NESTED = 4  # models in models
_MOST_VALUES = 5000  # of one model that is built call by call


class Base(NamedTuple):
    """A model of keras.applications inside another model (or that model itself).

    Attributes:
        call: Where it is made.
        layers: What images pass before it in a ``Sequential``, in this order.
        fed: What it is called on; None where it has the input of the model itself.
    """

    call: Call
    layers: tuple[Value, ...] = ()
    fed: Value | None = None


class Layer(NamedTuple):
    """A layer of a model.

    Attributes:
        value: The layer.
        before: What images pass before it in its ``Sequential``, in this order.
        fed: What that is called on; None where it has the input of the model itself.
    """

    value: Value
    before: tuple[Value, ...] = ()
    fed: Value | None = None


def layers_of(record: Record, value: Value, nested: int = _NESTED) -> tuple[Value, ...]:
    """Return the layers of a ``Sequential`` in their order, those of models in it too; else the value itself."""
    if not isinstance(value, Result) or last_of_keras(value.call.name) != "Sequential" or not nested:
        return (value,)
    given = value.call.argument("layers", 0)
    layers = list(given.items) if isinstance(given, Items) else []
    added = [call for call in record.calls_on(value) if call.method == "add"]
    layers += [call.argument("layer", 0) or UNKNOWN for call in added]
    return tuple(layer for item in layers for layer in layers_of(record, item, nested - 1))


def bases_of(record: Record, model: Value, nested: int = _NESTED) -> list[Base]:
    """Return the models of keras.applications that a model consists of, as far as it can be followed."""
    if isinstance(model, Either):
        return [*bases_of(record, model.first, nested), *bases_of(record, model.second, nested)]
    if isinstance(model, Instance):
        return [Base(call, (UNKNOWN,)) for each in model.attributes.values() for call in [_application(each)] if call]
    if not isinstance(model, Result) or not nested:
        return []
    own = _application(model)
    if own is not None:
        return [Base(own, fed=own.argument("input_tensor", 2))]
    kind = last_of_keras(model.call.name)
    if kind == "Sequential":
        layers = layers_of(record, model)
        return [
            Base(base.call, (*layers[:number], *base.layers), base.fed)
            for number, layer in enumerate(layers)
            for base in bases_of(record, layer, nested - 1)
        ]
    return _of_functional(record, model.call, nested) if kind in _FUNCTIONAL else []


def layers_in(record: Record, model: Value) -> list[Layer]:
    """Return the layers of a ``Sequential`` or functional model, those that are not known as UNKNOWN."""
    kind = last_of_keras(model.call.name) if isinstance(model, Result) else None
    if not isinstance(model, Result) or (kind != "Sequential" and kind not in _FUNCTIONAL):
        return [Layer(model if _application(model) else UNKNOWN)]
    if kind == "Sequential":
        layers = layers_of(record, model)
        return [Layer(each, layers[:number]) for number, each in enumerate(layers)]
    found = []
    for value in _reached([model.call.argument("inputs", 0) or UNKNOWN, model.call.argument("outputs", 1) or UNKNOWN]):
        if isinstance(value, Result):
            layers = layers_of(record, value.call.target)
            fed = value.call.argument("inputs", 0) or UNKNOWN
            found += [Layer(each, layers[:number], fed) for number, each in enumerate(layers)]
        elif value is UNKNOWN or isinstance(value, Instance):
            found.append(Layer(UNKNOWN))
    return found


def is_known(layer: Layer) -> bool:
    """Whether a layer is one of Keras, or an operation of TensorFlow; a model that is called like one is not looked into."""
    value = layer.value
    if isinstance(value, Result):
        return is_framework(value.call.name) and last_of_keras(value.call.name) not in _FUNCTIONAL
    return isinstance(value, Member) or (isinstance(value, Path) and is_framework(value.name))


def _application(value: Value) -> Call | None:
    """The call that makes a model of keras.applications, None for any other value."""
    if not isinstance(value, Result):
        return None
    inside = keras_name(value.call.name) or ""
    return value.call if inside.startswith("keras.applications.") and value.call.method[:1].isupper() else None


def _of_functional(record: Record, call: Call, nested: int) -> list[Base]:
    """Go back from the outputs of ``Model(inputs, outputs)``."""
    found: dict[int, list[Base]] = {}
    called: set[int] = set()
    for value in _reached([*call.positional, *call.keywords.values()]):
        if not isinstance(value, Result):
            continue
        own, target = _application(value), value.call.target
        inside = _application(target)
        if own is not None:
            found[id(value)] = [Base(own, fed=own.argument("input_tensor", 2))]
        elif inside is not None:
            called.add(id(target))
            found[id(value)] = [Base(inside, fed=value.call.argument("inputs", 0) or UNKNOWN)]
        else:  # a model in it; what comes before a base there is not told in one line
            found[id(value)] = [Base(base.call, (UNKNOWN,)) for base in bases_of(record, target, nested - 1)]
    return [base for key, bases in found.items() if key not in called for base in bases]


def _reached(values: list[Value]) -> Iterator[Value]:
    """Yield these values and all that they were made from."""
    seen: set[int] = set()
    waiting = list(values)
    while waiting and len(seen) < _MOST_VALUES:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, Result):
            waiting += [*value.call.positional, *value.call.keywords.values()]
            waiting += [value.call.receiver] if value.call.receiver is not None else []
        elif isinstance(value, Member):
            waiting.append(value.owner)
        elif isinstance(value, Items):
            waiting += value.items
        elif isinstance(value, (Ratio, Sum)):
            waiting += [value.left, value.right]
        elif isinstance(value, Either):
            waiting += [value.first, value.second]
