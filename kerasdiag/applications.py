"""What the families of keras.applications expect of their images, and by what they are known."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum


class Scale(str, Enum):
    """What a model expects of its images: the ``mode`` of its ``preprocess_input``, or 0 to 255."""

    PIXELS = "0 to 255"  # the model has its own preprocessing
    CAFFE = "caffe"  # BGR, 0 to 255, the mean of ImageNet subtracted
    TF = "tf"  # -1 to 1
    TORCH = "torch"  # 0 to 1, mean and deviation of ImageNet taken out


@dataclass(frozen=True)
class Family:
    """Some models of keras.applications.

    Attributes:
        builders: Names of the functions that make them, as a pattern.
        scale: What they expect.
        does: What their first layers do with the images; empty where they leave that to ``preprocess_input``.
        is_optional: Whether they do it only with ``include_preprocessing=True``, which is the default.
        layers: Names among their first layers that together no other family has.
        module: Where their ``preprocess_input`` is.
    """

    builders: str
    scale: Scale
    does: str = ""
    is_optional: bool = False
    layers: tuple[str, ...] = ()
    module: str = ""


_BY_255 = "divides them by 255 itself"
_TO_ONE = "brings 0 to 255 to -1 to 1 itself"
_NORMALIZES = "normalizes 0 to 255 itself"

# Read in the sources of Keras 2.10, 2.15 and 3.15. RegNet and ResNetRS are in Keras 2 only. The first layers of the
# first six: Rescaling(1/255), Rescaling(1/128 or 1/127.5, offset=-1), Normalization(mean=123.7 ...).
FAMILIES = (
    Family(r"EfficientNetB[0-7]", Scale.PIXELS, _BY_255),
    Family(r"EfficientNetV2B\w+|RegNet[XY]\w+|ResNetRS\d+", Scale.PIXELS, _BY_255, is_optional=True),
    Family(r"EfficientNetV2(?!B)\w+|MobileNetV3\w+", Scale.PIXELS, _TO_ONE, is_optional=True),
    Family(r"ConvNeXt\w+", Scale.PIXELS, _NORMALIZES, is_optional=True),
    Family(
        r"ResNet(?:50|101|152)",
        Scale.CAFFE,
        layers=("conv1_conv", "conv1_bn", "conv2_block1_out"),
        module="resnet",
    ),
    Family(
        r"VGG(?:16|19)",
        Scale.CAFFE,
        layers=("block1_conv1", "block1_conv2", "block1_pool", "block2_conv2"),
        module="vgg16",
    ),
    Family(r"ResNet(?:50|101|152)V2", Scale.TF, layers=("conv1_conv", "conv2_block1_preact_bn"), module="resnet_v2"),
    Family(r"InceptionV3", Scale.TF, layers=("mixed0", "mixed1"), module="inception_v3"),
    Family(r"InceptionResNetV2", Scale.TF, layers=("mixed_5b", "block35_1_mixed"), module="inception_resnet_v2"),
    Family(r"Xception", Scale.TF, layers=("block1_conv1", "block1_conv1_bn", "block2_sepconv1"), module="xception"),
    Family(r"MobileNet", Scale.TF, layers=("conv1", "conv_dw_1", "conv_pw_1"), module="mobilenet"),
    Family(r"MobileNetV2", Scale.TF, layers=("Conv1", "bn_Conv1", "expanded_conv_depthwise"), module="mobilenet_v2"),
    Family(r"NASNet\w+", Scale.TF, layers=("stem_conv1", "reduction_conv_1_stem_1"), module="nasnet"),
    Family(r"DenseNet\d+", Scale.TORCH, layers=("conv2_block1_0_bn", "conv2_block1_concat"), module="densenet"),
)


def family_of_builder(name: str) -> Family | None:
    """Return the family whose models a function of this name makes."""
    return next((family for family in FAMILIES if re.fullmatch(family.builders, name)), None)


def family_of_layers(names: Collection[str]) -> Family | None:
    """Return the family of a model with layers of these names, None for other models and those with own preprocessing."""
    return next((family for family in _known_by_layers() if set(family.layers) <= set(names)), None)


def family_of_module(module: str) -> Family | None:
    """Return the family whose ``preprocess_input`` is in this module of keras.applications."""
    return next((family for family in FAMILIES if family.module == module), None)


def _known_by_layers() -> Iterator[Family]:
    return (family for family in FAMILIES if family.layers)
