"""KD715: images that are rescaled before a model that rescales them itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kerasdiag.doctor.check import Answer, check
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.answer import Hit, examine_scripts
from kerasdiag.doctor.lint.datasets import element_function
from kerasdiag.doctor.lint.models import FIT_METHODS, is_generator, iterator_call, readings
from kerasdiag.doctor.lint.names import keras_name, last_of_keras
from kerasdiag.doctor.lint.places import without_arguments
from kerasdiag.doctor.lint.values import Call, Dataset, Literal, Result, Value, number_of
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Severity

# Read in the sources of Keras 2.10, 2.15 and 3.15: EfficientNet always rescales; the others have the argument
# include_preprocessing, which is True unless given. RegNet and ResNetRS are in Keras 2 only.
_ALWAYS = re.compile(r"EfficientNetB[0-7]$")
_BY_DEFAULT = re.compile(r"(EfficientNetV2\w+|MobileNetV3\w+|ConvNeXt\w+|RegNet[XY]\w+|ResNetRS\d+)$")
_SMALL = 1 / 100  # 1/255, 1/127.5 and the like: the model expects 0 to 255
_REFERENCES = ("https://keras.io/api/applications/efficientnet/", "https://keras.io/api/applications/mobilenet/")


@check("KD715", "rescaled-twice", needs=("scripts",))
def rescaled_twice(environment: Environment) -> Answer:
    """Images are divided by 255 in front of a model of keras.applications that does so itself.

    What it finds:
        A training input with `rescale=1/255` (ImageDataGenerator), a division by 255 or a Rescaling layer (tf.data) in a
        script whose only model of keras.applications is EfficientNet, EfficientNetV2, MobileNetV3, ConvNeXt, RegNet or
        ResNetRS with their own preprocessing. Other packages of the same name (efficientnet.tfkeras) do not rescale.

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
    return examine_scripts(environment, "KD715", _rule, _REFERENCES)


def _rule(subject: Subject) -> Iterator[Hit]:
    models = [call for call in subject.record.calls if (keras_name(call.name) or "").startswith("keras.applications.")]
    models = [call for call in models if call.method[:1].isupper()]
    if not models or not all(_rescales(call) for call in models):
        return  # with two kinds of model in one script nobody knows which one gets these images
    is_pretrained = any(call.argument("weights", 1) != Literal(None) for call in models)
    severity = Severity.ERROR if is_pretrained else Severity.INFO
    name = models[0].method
    itself = "divides them by 255 itself" if "V3" not in name else "rescales them itself"
    for call, data in readings(subject.record, FIT_METHODS):
        for each in (data, call.argument("validation_data")):
            for node, what, code in _rescalings(subject, each):
                yield Hit(
                    node=node,
                    severity=severity,
                    message=f"{what} divides the images before {name}, which {itself}.",
                    remedy="Hand it the images as they are, 0 to 255, in validation and prediction too:"
                    if code
                    else "Hand it the images as they are, 0 to 255, in validation and prediction too.",
                    code=code,
                    safe=False,
                    costs_time=False,
                )


def _rescales(call: Call) -> bool:
    if _ALWAYS.match(call.method):
        return True
    own = call.argument("include_preprocessing")
    return bool(_BY_DEFAULT.match(call.method)) and (own is None or own == Literal(True)) and not call.is_open


def _rescalings(subject: Subject, data: Value | None) -> Iterator[tuple[ast.AST, str, tuple[str, ...]]]:
    flow = iterator_call(data)
    if flow is not None and isinstance(flow.receiver, Result) and is_generator(flow.receiver):
        made = flow.receiver.call
        factor = number_of(made.argument("rescale"))
        keyword = made.keyword_node("rescale")
        if keyword is not None and factor is not None and 0 < factor <= _SMALL:
            written = ast.unparse(keyword.value)
            yield keyword, f"rescale={written}", without_arguments(subject.script, made.node, ("rescale",))
    if isinstance(data, Dataset):
        for step in data.steps:
            function = element_function(step)
            if step.operation != "map" or function is None:
                continue
            for node in ast.walk(function.node):
                if (
                    isinstance(node, ast.BinOp)
                    and isinstance(node.op, ast.Div)
                    and _is_number(node.right, (255, 127.5))
                ):
                    yield node, ast.unparse(node), ()
            for call in subject.record.calls_within(function):
                made = call.target.call if isinstance(call.target, Result) else call  # layer(x), Rescaling(...)(x)
                factor = number_of(made.argument("scale", 0))
                if last_of_keras(made.name) == "Rescaling" and factor is not None and factor <= _SMALL:
                    yield made.node, ast.unparse(made.node), ()


def _is_number(node: ast.expr, numbers: tuple[float, ...]) -> bool:
    return isinstance(node, ast.Constant) and node.value in numbers
