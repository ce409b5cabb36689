"""The table of operations and options: one row each, with what it may differ by and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras_api import keras
from repair.generators import ARTICLE

SAME = "the same operations on the same numbers in the same order"
SUMS = "NumPy adds in pairs in float32, the kernel in float64: means differ by the last bits of float32"
SAME_CALLS = "the generator's own calls on an array of the same layout"

# Where the work is done: all of it compiled, warp and colour compiled with NumPy behind, or SciPy only.
WHOLE, THEN_NUMPY, SCIPY_ONLY = "compiled", "compiled, then NumPy", "SciPy only"


def where(maker):
    """Where the work of a maker is done, in the words of the table."""
    if maker.kernel.name != "compiled":
        return SCIPY_ONLY
    return THEN_NUMPY if maker.augmenter.slow_part else WHOLE


@dataclass(frozen=True)
class Row:
    """One operation or option.

    Attributes:
        name: Of the row.
        options: Of ImageDataGenerator.
        arguments: Of its ``flow_from_dataframe``.
        tolerance: Part of the largest value by which a value may differ in the compiled way; 0: equal
            in every bit, as the way through SciPy always is.
        reason: Why it is this tolerance.
        way: Where the work is done if it is not forced through SciPy.
        fit: Whether the ImageDataGenerator has seen images.
        alone: Whether rows are compared one by one, because a function draws between them.
        floatx: Keras' own dtype.
        files: Which of the test's folders: ``"every mode"`` or ``"wide"``.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    reason: str = SAME
    way: str = WHOLE
    fit: bool = False
    alone: bool = False
    floatx: str = "float32"
    files: str = "every mode"


GRAY, RGBA = {"color_mode": "grayscale"}, {"color_mode": "rgba"}
TURN = {"rotation_range": 90, "zoom_range": 0.4, "height_shift_range": 0.3, "horizontal_flip": True}
FAR = {**TURN, "zoom_range": [1.5, 3.0], "width_shift_range": 0.9}
EVERYTHING = {
    "rotation_range": 90, "height_shift_range": 0.3, "width_shift_range": 5, "shear_range": 20,
    "zoom_range": (0.5, 1.6), "horizontal_flip": True, "vertical_flip": True, "channel_shift_range": 60.0,
    "brightness_range": (0.3, 1.8), "rescale": 1.0 / 127.5,
}  # fmt: skip

WARPS = [
    Row("nothing"),
    Row("rotation", {"rotation_range": 180}),
    Row("row shift", {"height_shift_range": 0.4}),
    Row("column shift", {"width_shift_range": 0.4}),
    Row("shift by whole pixels", {"height_shift_range": 9, "width_shift_range": 7}),
    Row("shift by listed values", {"height_shift_range": [-3, 0, 8], "width_shift_range": (0.1, 0.35)}),
    Row("shift by more than the image", {"height_shift_range": 50.5, "width_shift_range": [60]}),
    Row("shear", {"shear_range": 40.0}),
    Row("zoom", {"zoom_range": 0.6}),
    Row("zoom in only", {"zoom_range": [0.2, 0.5]}),
    Row("zoom out only", {"zoom_range": [1.5, 3.0]}),
    Row("zoom by one factor", {"zoom_range": [1.25, 1.25]}),
    Row("zoom that mirrors", {"zoom_range": [-1.5, -0.5]}),
    Row("flips", {"horizontal_flip": True, "vertical_flip": True}),
    Row("horizontal flip", {"horizontal_flip": True}),
    Row("vertical flip", {"vertical_flip": True}),
    Row("the article's", ARTICLE),
    Row("everything", EVERYTHING),
    Row("everything, grayscale", EVERYTHING, GRAY),
    Row("everything, rgba", EVERYTHING, RGBA),
]

FILLS = [
    Row(f"{mode}, order {order}, {name}", {**FAR, "fill_mode": mode, "interpolation_order": order, "cval": 77.5}, arguments)
    for mode in ("nearest", "constant", "reflect", "wrap")
    for order in (0, 1)
    for name, arguments in (("rgb", {}), ("grayscale", GRAY), ("rgba", RGBA))
] + [
    Row(
        f"{mode}, order {order}", {**FAR, "fill_mode": mode, "interpolation_order": order, "cval": 77.5},
        reason=SAME_CALLS, way=SCIPY_ONLY,
    )
    for mode, order in (
        ("nearest", 2), ("constant", 2), ("reflect", 3), ("wrap", 3), ("constant", 4), ("nearest", 5), ("wrap", 5),
        ("mirror", 1), ("grid-wrap", 1), ("grid-constant", 0),
    )
]  # fmt: skip

CONSTANT = {**FAR, "fill_mode": "constant"}
COLOURS = [
    Row("cval 0", CONSTANT),
    Row("cval 255", {**CONSTANT, "cval": 255}),
    Row("cval below 0", {**CONSTANT, "cval": -20.5}),
    Row("cval above 255", {**CONSTANT, "cval": 300, "rescale": 1 / 255}),
    Row("cval that float32 rounds", {**CONSTANT, "cval": 1 / 3, "rescale": 1 / 255}),
    Row("channel shift", {"channel_shift_range": 80.0}),
    Row("channel shift, small", {"channel_shift_range": 1e-3}),
    Row("channel shift, grayscale", {"channel_shift_range": 80.0, **TURN}, GRAY),
    Row("channel shift, rgba", {"channel_shift_range": 80.0, **TURN}, RGBA),
    Row("channel shift beside cval", {**CONSTANT, "cval": 400.0, "channel_shift_range": 200.0}),
    Row("brightness", {"brightness_range": (0.2, 1.9)}),
    Row("brightness, none", {"brightness_range": (1, 1)}),
    Row("brightness, nearly black, or less", {"brightness_range": (-0.3, 0.4), "rescale": 3.0}),
    Row("brightness behind a warp", {**TURN, "brightness_range": [0.5, 3.0]}),
    Row("brightness, grayscale", {**TURN, "brightness_range": (0.2, 1.9)}, GRAY),
    Row("brightness, rgba", {**TURN, "brightness_range": (0.2, 1.9)}, RGBA),
    Row("brightness, constant fill within 0 to 255", {**CONSTANT, "cval": 9.5, "brightness_range": (0.2, 1.9)}),
    Row("brightness, constant fill above 255", {**CONSTANT, "cval": 300.0, "brightness_range": (0.2, 1.9)}),
    Row("brightness, constant fill below 0", {**CONSTANT, "cval": -7.0, "brightness_range": (0.2, 1.9)}),
    Row("brightness, constant fill above 255, rgba", {**CONSTANT, "cval": 300.0, "brightness_range": (0.2, 1.9)}, RGBA),
    Row("brightness, constant fill below 0, grayscale", {**CONSTANT, "cval": -7.0, "brightness_range": (0.2, 1.9)}, GRAY),
    Row("channel shift before brightness", {"channel_shift_range": 120.0, "brightness_range": (0.2, 1.9), **TURN}),
]  # fmt: skip


def halve_in_place(x):
    x *= 0.5
    return x


def negative_as_new_array(x):
    return (255.0 - x).astype(np.float64)


def add_noise(x):
    """Draw from NumPy's global stream, as Keras does."""
    return x + np.random.uniform(0, 9, x.shape).astype(np.float32)


applications = keras.applications
STANDARDISATIONS = [
    *(
        Row(f"rescale {rescale!r}", {**TURN, "rescale": rescale})
        for rescale in (None, 0, 1, 3, True, 1 / 255, np.float32(1 / 255), 0.1, -1.5, 1e-30)
    ),
    Row(
        "rescale by a numpy.float64", {**TURN, "rescale": np.float64(1 / 255)}, reason=SAME_CALLS,
        way=THEN_NUMPY if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else WHOLE,
    ),
    Row("samplewise center", {"samplewise_center": True}, tolerance=2e-6, reason=SUMS),
    Row("samplewise center behind a warp", {**TURN, "samplewise_center": True}, tolerance=2e-6, reason=SUMS),
    Row("samplewise std", {**TURN, "samplewise_std_normalization": True}, tolerance=4e-6, reason=SUMS),
    Row(
        "samplewise std, rgba, rescale, brightness",
        {**TURN, "samplewise_std_normalization": True, "rescale": 1 / 255, "brightness_range": (0.2, 1.9)}, RGBA,
        tolerance=4e-6, reason=SUMS,
    ),
    Row("featurewise center", {**TURN, "featurewise_center": True}, fit=True),
    Row("featurewise center, grayscale", {**TURN, "featurewise_center": True}, GRAY, fit=True),
    Row("featurewise std", {**TURN, "featurewise_std_normalization": True, "rescale": 1 / 255}, fit=True),
    Row("featurewise std, rgba", {"featurewise_std_normalization": True}, RGBA, fit=True),
    Row("featurewise without fit", {**TURN, "featurewise_std_normalization": True}),
    Row(
        "samplewise, then featurewise",
        {**TURN, "samplewise_std_normalization": True, "featurewise_std_normalization": True}, fit=True,
        tolerance=4e-6, reason=SUMS,
    ),
    Row(
        "ZCA", {**TURN, "zca_whitening": True, "rescale": 1 / 255}, {"target_size": (5, 4)}, fit=True,
        tolerance=2e-5, reason="a product with a matrix, which BLAS adds up in an order of its own", way=THEN_NUMPY,
    ),
    Row("ZCA without fit", {**TURN, "zca_whitening": True}, {"target_size": (5, 4)}),
    *(
        Row(f"preprocess_input, {way}", {**TURN, "preprocessing_function": module.preprocess_input})
        for way, module in (
            ("tf", applications.mobilenet_v2), ("torch", applications.densenet), ("caffe", applications.vgg16),
            ("unchanged", applications.efficientnet),
        )
    ),
    *(
        Row(f"preprocess_input, {way}", {**EVERYTHING, "preprocessing_function": module.preprocess_input}, arguments)
        for way, module, arguments in (
            ("caffe behind everything", applications.resnet50, {}), ("torch behind everything", applications.densenet, {}),
            ("tf, grayscale", applications.xception, GRAY), ("tf, rgba", applications.inception_v3, RGBA),
        )
    ),
    Row(
        "preprocess_input, then featurewise",
        {"preprocessing_function": applications.vgg16.preprocess_input, "featurewise_std_normalization": True, **TURN},
        fit=True,
    ),
    Row(
        "a function that works in place", {**EVERYTHING, "preprocessing_function": halve_in_place}, reason=SAME_CALLS,
        way=THEN_NUMPY,
    ),
    Row(
        "a function that returns a new array of float64",
        {**EVERYTHING, "preprocessing_function": negative_as_new_array}, reason=SAME_CALLS, way=THEN_NUMPY,
    ),
    Row(
        "a function that draws", {**EVERYTHING, "preprocessing_function": add_noise}, reason=SAME_CALLS,
        way=THEN_NUMPY, alone=True,
    ),
]  # fmt: skip

FIRST = {"data_format": "channels_first"}
TYPES = [
    Row("dtype float16", {**EVERYTHING, "dtype": "float16"}),
    Row("dtype float64", {**EVERYTHING, "dtype": "float64"}),
    Row("dtype uint8", {**TURN, "channel_shift_range": 9.0, "dtype": "uint8"}),
    Row(
        "dtype float64, featurewise std", {**TURN, "dtype": "float64", "featurewise_std_normalization": True}, fit=True,
        reason=SAME_CALLS, way=THEN_NUMPY,
    ),
    Row(
        "dtype float16, featurewise std",
        {**TURN, "dtype": "float16", "featurewise_std_normalization": True, "rescale": 1 / 255}, fit=True,
    ),
    Row("floatx float64", EVERYTHING, reason=SAME_CALLS, way=SCIPY_ONLY, floatx="float64"),
    Row(
        "floatx float64, samplewise std", {**EVERYTHING, "samplewise_std_normalization": True}, reason=SAME_CALLS,
        way=SCIPY_ONLY, floatx="float64",
    ),
    Row("floatx float64, batches of float32", {**EVERYTHING, "dtype": "float32"}, way=SCIPY_ONLY, floatx="float64"),
    Row(
        "floatx float16", {"horizontal_flip": True, "channel_shift_range": 20.0, "rescale": 1 / 255}, way=SCIPY_ONLY,
        floatx="float16",
    ),
    Row("channels_first", {**TURN, **FIRST, "channel_shift_range": 30.0, "rescale": 1 / 255}),
    Row("channels_first, order 0, constant", {**CONSTANT, **FIRST, "interpolation_order": 0, "cval": 3.0}, RGBA),
    Row("channels_first, grayscale", {**TURN, **FIRST}, GRAY),
    Row(
        "channels_first, samplewise std", {**TURN, **FIRST, "samplewise_std_normalization": True}, tolerance=4e-6,
        reason=SUMS,
    ),
    Row("channels_first, samplewise std only", {**FIRST, "samplewise_std_normalization": True}, tolerance=4e-6, reason=SUMS),
    Row(
        "channels_first, featurewise std", {**TURN, **FIRST, "featurewise_std_normalization": True}, fit=True,
        way=THEN_NUMPY, reason=SAME_CALLS,
    ),
    Row(
        "channels_first, a function", {**TURN, **FIRST, "preprocessing_function": halve_in_place}, way=THEN_NUMPY,
        reason=SAME_CALLS,
    ),
    Row("channels_first, dtype float16", {**TURN, **FIRST, "dtype": "float16"}),
    Row("channels_first, spline", {**TURN, **FIRST, "interpolation_order": 3}, way=SCIPY_ONLY, reason=SAME_CALLS),
    Row("16 and 32 bits", {"rescale": 1 / 255}, GRAY, files="wide"),
    Row("16 and 32 bits, warp", {**FAR, "rescale": 1 / 65_535}, GRAY, files="wide"),
    Row("16 and 32 bits, order 0", {**CONSTANT, "cval": 1e5, "interpolation_order": 0}, GRAY, files="wide"),
    Row("16 and 32 bits, spline", {**FAR, "interpolation_order": 3}, GRAY, way=SCIPY_ONLY, files="wide"),
    Row("16 and 32 bits, channel shift", {**TURN, "channel_shift_range": 5e4}, GRAY, files="wide"),
    Row("16 and 32 bits, brightness", {**TURN, "brightness_range": (0.2, 1.9)}, GRAY, files="wide"),
    Row("16 and 32 bits, everything", EVERYTHING, GRAY, files="wide"),
    Row("one column", EVERYTHING, {"target_size": (9, 1)}),
    Row("one row", EVERYTHING, {"target_size": (1, 9)}),
    Row("one pixel", EVERYTHING, {"target_size": (1, 1)}),
    Row("four pixels", EVERYTHING, {"target_size": (2, 2), **RGBA}),
    Row("odd sides, another filter", EVERYTHING, {"target_size": (31, 7), "interpolation": "lanczos"}),
]  # fmt: skip

ROWS = [*WARPS, *FILLS, *COLOURS, *STANDARDISATIONS, *TYPES]
