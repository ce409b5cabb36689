"""What was done to an image: back from a value, over what leaves images images, to where they come from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kerasdiag.doctor.lint.arithmetic import number_of
from kerasdiag.doctor.lint.datasets import IMAGE_FOLDER
from kerasdiag.doctor.lint.merging import merge
from kerasdiag.doctor.lint.names import keras_name, last_of_keras
from kerasdiag.doctor.lint.networks import layers_of
from kerasdiag.doctor.lint.record import Record
from kerasdiag.doctor.lint.values import Call, Either, Items, Literal, Path, Ratio, Result, Sum, Value

# What gives an image for an image, on the scale that it had.
_SAME_SIZE = (
    r"cast|clip_by_value|identity|ensure_shape|convert_to_tensor|image\.(?:(?:stateless_)?random_(?!crop)\w+|flip_\w+|"
    r"adjust_\w+|convert_image_dtype)"
)
_OTHER_SIZE = (
    r"reshape|expand_dims|squeeze|transpose|reverse|image\.(?:(?:stateless_)?random_crop|resize\w*|central_crop|rot90|"
    r"crop_to_bounding_box|pad_to_bounding_box|transpose|grayscale_to_rgb|rgb_to_grayscale)"
)
_KEEPS = re.compile(rf"tensorflow\.(?:{_SAME_SIZE}|{_OTHER_SIZE})$")
_KEEPS_SIZE = re.compile(rf"tensorflow\.(?:{_SAME_SIZE})$")
_KEEPS_IN_NUMPY = re.compile(r"numpy\.(?:array|asarray|expand_dims|squeeze|reshape|transpose)$")
# Of models that do it themselves: it gives what it takes (Keras 2.15 and 3.15).
_DOES_NOTHING = re.compile(
    r"keras\.applications\.(?:efficientnet|efficientnet_v2|mobilenet_v3|convnext|regnet|resnet_rs)\.preprocess_input$"
)
_METHODS = ("astype", "reshape", "copy", "numpy", "squeeze", "transpose")
_LAYERS = re.compile(r"(?:Random\w+|Resizing|CenterCrop|Cropping2D|ZeroPadding2D|Input(?:Layer)?|Rescaling)$")
_LAYERS_OF_SAME_SIZE = re.compile(r"(?:Random(?!Crop)\w+|Input(?:Layer)?|Rescaling)$")
_DECODES = re.compile(r"tensorflow\.(?:io|image)\.decode_(?:jpeg|png|bmp|gif|image|and_crop_jpeg)$")
_DIVISORS = (255, 127.5)  # brings 0 to 255 to 0 to 1, or 0 to 2
_SMALL = 1 / 100  # a factor that does the same
_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
_USUAL_CHANNELS = 3


class Trail(NamedTuple):
    """Where an image was divided by 255, or None; and where the way back ends."""

    scaled_at: ast.AST | None
    origin: Value | None


def first_input(element: Value) -> Value:
    """Return the images of an element ``(images, labels)``."""
    if isinstance(element, Either):
        return merge(first_input(element.first), first_input(element.second))
    return element.items[0] if isinstance(element, Items) and element.items else element


def scaling_of(record: Record, image: Value) -> Trail:
    """Look for the place where an image was divided by 255; nothing that was undone later."""
    value = image
    for value in _trail(record, image):
        if isinstance(value, Either):
            first, second = scaling_of(record, value.first), scaling_of(record, value.second)
            both = first.scaled_at is not None and second.scaled_at is not None
            return Trail(first.scaled_at if both else None, None)
        if isinstance(value, Ratio) and number_of(value.right) in _DIVISORS:
            return Trail(value.node, None)
        if isinstance(value, Result):
            layers = scaling_in(layers_of(record, value.call.target))
            if layers is not None:
                return layers
            if value.call.name == "tensorflow.image.convert_image_dtype" and _was_decoded(record, value.call):
                return Trail(value.call.node, None)
    return Trail(None, value)


def scaling_in(layers: Sequence[Value]) -> Trail | None:
    """Look for a Rescaling to about 0 to 1 among layers, the last one first; None where none of them rescales."""
    for layer in reversed(layers):
        if isinstance(layer, Result) and last_of_keras(layer.call.name) == "Rescaling":
            factor = number_of(layer.call.argument("scale", 0))
            return Trail(layer.call.node if factor is not None and 0 < factor <= _SMALL else None, None)
        if not keeps_images(layer):
            return None
    return None


def keeps_images(layer: Value) -> bool:
    """Whether a layer gives images for images, be it on another scale."""
    return isinstance(layer, Result) and bool(_LAYERS.match(last_of_keras(layer.call.name) or ""))


def shape_of(record: Record, image: Value) -> tuple[int, int, int] | None:
    """Return height, width and channels of an image in float32, where the script writes them down."""
    size: tuple[int, int] | None = None
    for value in _trail(record, image):
        call = value.call if isinstance(value, Result) else None
        if call is None:
            continue
        size = size or _size_made_by(call)
        if size is None and not _keeps_size_and_type(call):
            return None
        if "grayscale" in call.name:
            return None
        if size and call.method == IMAGE_FOLDER:
            mode = call.argument("color_mode") or Literal("rgb")
            channels = _CHANNELS.get(str(mode.value)) if isinstance(mode, Literal) else None
            return (*size, channels) if channels else None
        if size and _DECODES.match(call.name):
            return (*size, int(number_of(call.argument("channels", 1)) or _USUAL_CHANNELS))
    return (*size, _USUAL_CHANNELS) if size else None


def _trail(record: Record, value: Value) -> Iterator[Value]:
    """Yield a value, then what it was made from, as long as that is one image."""
    while True:
        yield value
        if isinstance(value, Ratio):
            value = value.left
        elif isinstance(value, Sum):
            value = value.left if number_of(value.left) is None else value.right
        elif isinstance(value, Result):
            before = _image_of(record, value.call)
            if before is None:
                return
            value = before
        else:
            return


def _image_of(record: Record, call: Call) -> Value | None:
    """The image that a call makes another one of."""
    if call.name in ("tensorflow.cast", "tensorflow.image.convert_image_dtype") and not _gives_float(call):
        return None  # to whole numbers, which brings 0 to 1 back to 0 to 255
    if _KEEPS.match(call.name) or _KEEPS_IN_NUMPY.match(call.name) or _DOES_NOTHING.match(keras_name(call.name) or ""):
        return call.positional[0] if call.positional else next(iter(call.keywords.values()), None)
    if not call.name and call.method in _METHODS:
        return call.receiver
    if isinstance(call.target, Result) and all(map(keeps_images, layers_of(record, call.target))):
        return call.argument("inputs", 0)
    return None


def _gives_float(call: Call, kinds: tuple[str, ...] = ("float",)) -> bool:
    kind = call.argument("dtype", 1)
    name = kind.name if isinstance(kind, Path) else kind.value if isinstance(kind, Literal) else ""
    return str(name).rpartition(".")[2].startswith(kinds)


def _was_decoded(record: Record, call: Call) -> bool:
    """Whether a call is given what a decoder gave: whole numbers, which become 0 to 1."""
    given = _image_of(record, call)
    for value in _trail(record, given) if given is not None else ():
        if not isinstance(value, Result) or value.call.name == "tensorflow.cast" or "resize" in value.call.name:
            return False
        if _DECODES.match(value.call.name):
            return not value.call.has("dtype", 2)
    return False


def _size_made_by(call: Call) -> tuple[int, int] | None:
    if call.name == "tensorflow.image.resize" and not call.has("method", 2):
        return _pair(call.argument("size", 1))
    if call.name == "tensorflow.image.resize_with_pad":
        return _sides(call.argument("target_height", 1), call.argument("target_width", 2))
    if call.method == IMAGE_FOLDER:
        return _pair(call.argument("image_size")) if call.has("image_size") else (256, 256)
    if isinstance(call.target, Result) and last_of_keras(call.target.call.name) == "Resizing":
        made = call.target.call
        return _sides(made.argument("height", 0), made.argument("width", 1))
    return None


def _keeps_size_and_type(call: Call) -> bool:
    if call.name in ("tensorflow.cast", "tensorflow.image.convert_image_dtype"):
        return _gives_float(call, ("float32",))
    layer = last_of_keras(call.target.call.name) or "" if isinstance(call.target, Result) else ""
    return bool(_KEEPS_SIZE.match(call.name) or _LAYERS_OF_SAME_SIZE.match(layer))


def _pair(value: Value | None) -> tuple[int, int] | None:
    return _sides(*value.items) if isinstance(value, Items) and len(value.items) == 2 else None


def _sides(height: Value | None, width: Value | None) -> tuple[int, int] | None:
    high, wide = number_of(height), number_of(width)
    return (int(high), int(wide)) if high and wide and high > 0 and wide > 0 else None
