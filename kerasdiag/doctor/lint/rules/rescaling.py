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
from kerasdiag.doctor.lint.gaps import FIT_INPUT
from kerasdiag.doctor.lint.images import Trail, first_input, keeps_images, scaling_in, scaling_of
from kerasdiag.doctor.lint.models import FIT_METHODS, is_generator, iterator_call, readings
from kerasdiag.doctor.lint.names import last_of_keras
from kerasdiag.doctor.lint.networks import Base, bases_of
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import UNKNOWN, Call, Dataset, Instance, Items, Literal, Result, Value
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

_SMALL = 1 / 100  # 1/255, 1/127.5 and the like: the model expects 0 to 255
_INPUT = Literal("the input of the model")
_REFERENCES = ("https://keras.io/api/applications/efficientnet/", "https://keras.io/api/applications/mobilenet/")


@check("KD715", "rescaled-twice", needs=("scripts",))
def rescaled_twice(environment: Environment) -> Answer:
    """Images are divided by 255 in front of a model of keras.applications that does so itself.

    What it finds:
        `rescale=1/255` (ImageDataGenerator), a division by 255, a Rescaling layer or a conversion of decoded images to
        floats, in the data of a model or in the model itself, before an EfficientNet, EfficientNetV2, MobileNetV3,
        ConvNeXt, RegNet or ResNetRS of keras.applications with its own preprocessing. Other packages of the same name
        (efficientnet.tfkeras) do not rescale. Silent where the way from the images to the model cannot be followed.

    Why it matters:
        These models expect 0 to 255 and rescale in their first layer. Divided twice, all images are nearly the same
        black to it: the pretrained features are lost, and no error says so.

    Example:
        rescale=1.0 / 255 divides the images before EfficientNetB0, which divides them by 255 itself.

    Fix:
        Take the rescaling away, for training, validation and prediction. Or, where the model has the argument,
        `include_preprocessing=False` and the rescaling that it documents.

    When to ignore:
        The model is trained from the beginning (`weights=None`), which the rule already takes for a note.
    """
    return examine_scripts(environment, "KD715", _rule, _REFERENCES, FIT_INPUT)


def _rule(subject: Subject) -> Iterator[Hit]:
    for call, data in readings(subject.record, FIT_METHODS):
        bases = bases_of(subject.record, call.receiver or UNKNOWN)
        if not bases or not all(_rescales(base.call) for base in bases):
            continue
        ways = [_way_to(subject.record, base) for base in bases]
        for base, way in zip(bases, ways):
            if way.scaled_at is not None:
                yield _hit(base, way.scaled_at, ast.unparse(way.scaled_at))
        if not all(_is_plain(way) for way in ways):
            continue
        held_out = call.argument("validation_data") or UNKNOWN
        for given, images in ((data, _images(data)), (held_out, _images(first_input(held_out)))):
            for node, what, code in (*_of_generator(subject, given), *_divisions(subject.record, images)):
                yield _hit(bases[0], node, what, code)


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
        code = without_arguments(subject.script, made.node, ("rescale",))
        yield keyword, f"rescale={ast.unparse(keyword.value)}", code


def _divisions(record: Record, images: Value) -> Iterator[tuple[ast.AST, str, tuple[str, ...]]]:
    every = images.items if isinstance(images, Items) else (images,)
    places = [scaling_of(record, each).scaled_at for each in every]
    if None not in places:  # of several inputs nobody knows which one is that of the base
        for place in places:
            if place is not None:
                yield place, ast.unparse(place), ()
