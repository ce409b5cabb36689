"""KD715: images that are rescaled before a model that rescales them itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kerasdiag.applications import Scale, family_of_builder
from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.corrections import without_arguments
from kerasdiag.doctor.lint.gaps import FIT_INPUT, input_of, place_of
from kerasdiag.doctor.lint.images import Trail, first_input, keeps_images, scaling_in, scaling_of
from kerasdiag.doctor.lint.models import FIT_METHODS, is_generator, iterator_call, readings
from kerasdiag.doctor.lint.names import last_of_keras
from kerasdiag.doctor.lint.networks import Base, bases_of, is_known, layers_in
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Dataset, Instance, Items, Literal, Result, Value
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_SMALL = 1 / 100  # 1/255, 1/127.5 and the like: the model expects 0 to 255
_INPUT = Literal("the input of the model")
_REFERENCES = ("https://keras.io/api/applications/efficientnet/", "https://keras.io/api/applications/mobilenet/")


@check("KD715", "rescaled-twice", needs=("scripts",), uses=("packages",))
def rescaled_twice(environment: Environment) -> Answer:
    """Images are divided by 255 in front of a model that does so itself.

    What it finds:
        `rescale=1/255` (ImageDataGenerator), a division by 255, a Rescaling layer or a conversion of decoded images to
        floats, in the data of a model or in the model itself, before an EfficientNet, EfficientNetV2, MobileNetV3,
        ConvNeXt, RegNet or ResNetRS of keras.applications with its own preprocessing; or, in the data, before a model
        that begins with a Rescaling layer (a warning). Other packages of the same name (efficientnet.tfkeras) do not
        rescale. Unknown where neither the images nor the layers of the model can be followed.

    Why it matters:
        These models expect 0 to 255 and rescale in their first layer. Divided twice, all images are nearly the same
        black to it: pretrained features are lost, other models learn slowly, and no error says so.

    Example:
        rescale=1.0 / 255 divides the images before EfficientNetB0, which divides them by 255 itself.

    Fix:
        Take the rescaling away, for training, validation and prediction. Or, where the model has the argument,
        `include_preprocessing=False` and the rescaling that it documents.

    When to ignore:
        The model is trained from the beginning (`weights=None`), which the rule already takes for a note.
    """
    return examine_scripts(environment, "KD715", _rule, _REFERENCES, FIT_INPUT._replace(gap=_unknown_scale))


def _rule(subject: Subject) -> Iterator[Hit]:
    for call, data in readings(subject.record, FIT_METHODS):
        model = call.receiver or UNKNOWN
        held_out = call.argument("validation_data") or UNKNOWN
        scaled = [
            place
            for given, images in ((data, _images(data)), (held_out, _images(first_input(held_out))))
            for place in (*_of_generator(subject, given), *_divisions(subject.record, images))
        ]
        for layer in _rescaling_layers(subject.record, model):
            for node, what, code in scaled:
                yield _before_layer(layer, node, what, code)
        bases = bases_of(subject.record, model)
        if not bases or not all(_rescales(base.call) for base in bases):
            continue
        ways = [_way_to(subject.record, base) for base in bases]
        for base, way in zip(bases, ways):
            if way.scaled_at is not None:
                yield _hit(base, way.scaled_at, ast.unparse(way.scaled_at))
        for node, what, code in scaled if all(_is_plain(way) for way in ways) else ():
            yield _hit(bases[0], node, what, code)


def _unknown_scale(subject: Subject, call: Call) -> str | None:
    """What hides whether images are divided twice: unknown images before a model that divides, or an unknown model."""
    data, model = input_of(call), call.receiver or UNKNOWN
    layers = layers_in(subject.record, model)
    is_plain = all(map(is_known, layers)) and not any(_is_rescaling(layer.value) for layer in layers)
    if is_plain and not any(_rescales(base.call) for base in bases_of(subject.record, model)):
        return None
    if _leaves_scale(data):
        return None
    place = place_of(subject, call)
    if not all(map(is_known, layers)):
        return f"not all layers of the model of fit at {place} are known"
    return None if _shows_scale(data) else f"whether the images of fit at {place} are rescaled before is not known"


def _leaves_scale(data: Value) -> bool:
    """Whether images come from files through an ImageDataGenerator that does not rescale."""
    flow = iterator_call(data)
    if flow is None or flow.method == "flow" or not is_generator(flow.receiver):
        return False
    made = flow.receiver.call if isinstance(flow.receiver, (Result, Instance)) else None
    return made is not None and not made.is_open and made.argument("rescale") in (None, Literal(None), Literal(1))


def _shows_scale(data: Value) -> bool:
    """Whether a script shows where the images come from, and what a generator multiplies them by."""
    flow = iterator_call(data)
    made = flow.receiver.call if flow is not None and isinstance(flow.receiver, (Result, Instance)) else None
    if flow is None or flow.method == "flow":
        return _images(data) is not UNKNOWN
    rescale = made.argument("rescale") if made is not None else None
    return (
        made is not None and not made.is_open and (rescale in (None, Literal(None)) or number_of(rescale) is not None)
    )


def _is_rescaling(layer: Value) -> bool:
    return scaling_in([layer]) is not None


def _rescaling_layers(record: Record, model: Value) -> Iterator[Call]:
    """The Rescaling layers of a model that bring its own input from 0 to 255 to about 0 to 1."""
    for value, before, fed in layers_in(record, model):
        scaling = scaling_in([value])
        is_first = all(map(keeps_images, before)) and not any(map(_is_rescaling, before))
        if not isinstance(value, Result) or scaling is None or scaling.scaled_at is None or not is_first:
            continue
        if fed is None or _is_plain(scaling_of(record, fed)):
            yield value.call


def _before_layer(layer: Call, node: ast.AST, what: str, code: tuple[str, ...]) -> Hit:
    return Hit(
        node=node,
        severity=Severity.WARN,
        message=f"{what} divides the images before the model, whose layer {ast.unparse(layer.node)} divides them again.",
        remedy="Do it once; without it here, hand the model images of 0 to 255 in validation and prediction too"
        + (":" if code else "."),
        code=code,
        safe=False,
        costs_time=False,
    )


def _hit(base: Base, node: ast.AST, what: str, code: tuple[str, ...] = ()) -> Hit:
    name = base.call.method
    family = family_of_builder(name)
    itself = family.does if family is not None else "rescales them itself"
    return Hit(
        node=node,
        severity=Severity.INFO if base.call.argument("weights", 1) == Literal(None) else Severity.ERROR,
        message=f"{what} divides the images before {name}, which {itself}.",
        remedy="Hand it the images as they are, 0 to 255, in validation and prediction too:"
        if code
        else "Hand it the images as they are, 0 to 255, in validation and prediction too.",
        code=code,
        safe=False,
        costs_time=False,
    )


def _rescales(call: Call) -> bool:
    family = family_of_builder(call.method)
    if family is None or family.scale is not Scale.PIXELS:
        return False
    if not family.is_optional:
        return True
    own = call.argument("include_preprocessing")
    return (own is None or own == Literal(True)) and not call.is_open


def _way_to(record: Record, base: Base) -> Trail:
    """What images pass in a model before the base; its origin is None where that is not known."""
    within = scaling_in(base.layers)
    if within is not None:
        return within
    if not all(map(keeps_images, base.layers)):
        return Trail(None, None)
    return Trail(None, _INPUT) if base.fed is None else scaling_of(record, base.fed)


def _is_plain(way: Trail) -> bool:
    """Whether images reach the base of a model on the scale on which they reach the model."""
    origin = way.origin
    return origin is _INPUT or (isinstance(origin, Result) and last_of_keras(origin.call.name) == "Input")


def _images(data: Value) -> Value:
    """The images among what fit is given, as far as they are values of the script."""
    if isinstance(data, Dataset):
        return first_input(data.element)
    flow = iterator_call(data)
    if flow is None:
        return data
    return (flow.argument("x", 0) if flow.method == "flow" else None) or UNKNOWN


def _of_generator(subject: Subject, data: Value) -> Iterator[tuple[ast.AST, str, tuple[str, ...]]]:
    flow = iterator_call(data)
    if flow is None or not isinstance(flow.receiver, (Result, Instance)) or not is_generator(flow.receiver):
        return
    made = flow.receiver.call
    keyword, factor = made.keyword_node("rescale"), number_of(made.argument("rescale"))
    if keyword is not None and factor is not None and 0 < factor <= _SMALL:
        code = without_arguments(subject, made.node, ("rescale",))
        yield keyword, f"rescale={ast.unparse(keyword.value)}", code


def _divisions(record: Record, images: Value) -> Iterator[tuple[ast.AST, str, tuple[str, ...]]]:
    every = images.items if isinstance(images, Items) else (images,)
    places = [scaling_of(record, each).scaled_at for each in every]
    if None not in places:  # of several inputs nobody knows which one is that of the base
        for place in places:
            if place is not None:
                yield place, ast.unparse(place), ()
