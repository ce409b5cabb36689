"""``ImageDataGenerator.flow`` over arrays, compared with the installed Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from repair.generators import make_array_generator, make_array_maker
from repair.parity import assert_equal_parts, compare, flat
from repair.parity_rows import (
    CONSTANT,
    EVERYTHING,
    FAR,
    FIRST,
    SAME,
    SAME_CALLS,
    SCIPY_ONLY,
    SUMS,
    THEN_NUMPY,
    TURN,
    WHOLE,
    where,
)

pytestmark = [pytest.mark.keras, pytest.mark.thorough]
COUNT = 11


def noise(shape=(13, 10, 3), low=0, high=256, dtype=np.uint8, seed=0):
    """Images of noise on a ramp, [COUNT, *shape]."""
    values = (
        np.random.default_rng(seed).uniform(low, high, (COUNT, *shape))
        * np.linspace(0.2, 1, COUNT)[:, None, None, None]
    )
    return values.astype(dtype)


@dataclass(frozen=True)
class Row:
    """One kind of array or option; see ``parity_rows.Row``."""

    name: str
    images: Any
    options: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    reason: str = SAME
    way: str = WHOLE
    fit: bool = False
    levels: int = 20


UNIT = noise(low=0, high=1, dtype=np.float32)
# From blank to a tenth of full contrast: what is divided by a deviation near 0 shows the rounding of the mean.
CONTRAST = np.array([0, 0, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 3e-2, 5e-2, 0.1])[:, None, None, None]
PLAIN = (np.linspace(17, 251, COUNT)[:, None, None, None] * (1 + CONTRAST * (noise() / 128 - 1))).astype(np.float32)
ROWS = [
    Row("uint8, nothing", noise()),
    Row("uint8, warp", noise(), {**FAR, "rescale": 1 / 255}),
    Row("uint8, everything", noise(), EVERYTHING),
    Row("int64", noise(dtype=np.int64), TURN),
    Row("0 to 1, warp", UNIT, FAR),
    Row("0 to 1, order 0, wrap", UNIT, {**FAR, "interpolation_order": 0, "fill_mode": "wrap"}),
    Row("0 to 1, reflect", UNIT, {**FAR, "fill_mode": "reflect"}),
    Row("0 to 1, constant", UNIT, {**CONSTANT, "cval": 0.5}),
    Row("0 to 1, channel shift", UNIT, {**TURN, "channel_shift_range": 0.3}),
    Row("0 to 1, brightness, which is black", UNIT, {**TURN, "brightness_range": (0.2, 1.9)}, levels=0),
    Row("0 to 90, brightness", UNIT * 90, {**TURN, "brightness_range": (0.2, 1.9)}),
    Row("-1 to 1, brightness", noise(low=-1, high=1, dtype=np.float32), {**TURN, "brightness_range": (0.2, 1.9)}),
    Row("above 255, everything", noise(high=3000, dtype=np.float32), EVERYTHING),
    Row("float64 in batches of float32", noise(low=-1, high=1, dtype=np.float64), TURN),
    Row("grayscale", noise((13, 10, 1)), EVERYTHING),
    Row("rgba", noise((13, 10, 4)), EVERYTHING),
    Row("two channels", noise((13, 10, 2)), {**FAR, "channel_shift_range": 30.0}),
    Row("five channels", noise((13, 10, 5)), {**FAR, "channel_shift_range": 30.0, "rescale": 1 / 255}),
    Row("one pixel", noise((1, 1, 3)), EVERYTHING),
    Row("one row", noise((1, 9, 3)), EVERYTHING),
    Row("one column", noise((9, 1, 4)), EVERYTHING),
    Row("not contiguous", noise((13, 20, 3))[:, :, ::2], {**FAR, "rescale": 1 / 255}),
    Row("channels_first", noise((3, 13, 10)), {**FAR, **FIRST, "channel_shift_range": 30.0}),
    Row("channels_first, five", noise((5, 13, 10)), {**FAR, **FIRST, "interpolation_order": 0}),
    Row("channels_first, spline", noise((3, 13, 10)), {**FAR, **FIRST, "interpolation_order": 2}, way=SCIPY_ONLY),
    Row("spline", noise(), {**FAR, "interpolation_order": 3}, reason=SAME_CALLS, way=SCIPY_ONLY),
    Row("dtype float64", UNIT * 90, {**EVERYTHING, "dtype": "float64"}, reason=SAME_CALLS, way=SCIPY_ONLY),
    Row("dtype uint8", noise(), {**TURN, "dtype": "uint8"}, reason=SAME_CALLS, way=SCIPY_ONLY),
    Row("dtype uint8, brightness", noise(), {**EVERYTHING, "rescale": None, "dtype": "uint8"}, way=SCIPY_ONLY),
    Row("dtype int32, spline", noise(), {**TURN, "dtype": "int32", "interpolation_order": 2}, way=SCIPY_ONLY),
    Row("dtype float16", noise(), {"horizontal_flip": True, "rescale": 1 / 255, "dtype": "float16"}, way=SCIPY_ONLY),
    Row("featurewise std", noise(), {**TURN, "featurewise_std_normalization": True}, fit=True),
    Row("samplewise std", noise(), {**TURN, "samplewise_std_normalization": True}, tolerance=4e-6, reason=SUMS),
    Row(
        "plain images, samplewise center", PLAIN, {**TURN, "rescale": 1 / 255, "samplewise_center": True}, tolerance=1e-5,
        reason=SUMS,
    ),
    Row(
        "plain images, samplewise std", PLAIN, {**TURN, "rescale": 1 / 255, "samplewise_std_normalization": True},
        tolerance=1e-5, reason=SUMS,
    ),
    Row(
        "channels_first, samplewise std", noise((3, 13, 10)), {**FIRST, "samplewise_std_normalization": True},
        tolerance=4e-6, reason=SUMS,
    ),
    Row(
        "ZCA", noise((4, 5, 3)), {"zca_whitening": True, "rescale": 1 / 255, "horizontal_flip": True}, fit=True,
        tolerance=2e-5, reason="a product with a matrix, which BLAS adds up in an order of its own", way=THEN_NUMPY,
    ),
    Row("a function", noise(), {**TURN, "preprocessing_function": np.sqrt}, reason=SAME_CALLS, way=THEN_NUMPY),
]  # fmt: skip


@pytest.mark.parametrize("kernel", ["compiled", "scipy"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_of_the_table(row, kernel):
    """For draws that Keras made, the batch is the one that Keras made, within the tolerance of the row."""
    generator = make_array_generator(row.images, np.arange(COUNT), options=row.options, fit=row.fit, batch_size=4)
    maker = make_array_maker(generator, kernel=None if row.way == SCIPY_ONLY else kernel)
    if kernel != "scipy":
        assert where(maker) == row.way, (maker.kernel.reason, maker.augmenter.slow_part)
    tolerance = 0.0 if maker.kernel.name == "scipy" else row.tolerance
    before = generator.x.copy()
    values = sum(compare(generator, maker, seed=seed, tolerance=tolerance, levels=row.levels) for seed in range(3))
    assert values == 3 * before.size
    np.testing.assert_array_equal(generator.x, before, "the user's own images were changed")


X, MORE = noise(), [np.arange(COUNT * 2.0).reshape(COUNT, 2), np.array([f"row {k}" for k in range(COUNT)])]
Y, WEIGHTS = np.random.default_rng(1).integers(0, 5, (COUNT, 4)), np.linspace(0, 1, COUNT)
PARTS = {
    "images": {"x": X},
    "labels": {"x": X, "y": Y},
    "labels and weights": {"x": X, "y": Y, "sample_weight": WEIGHTS},
    "lists": {"x": list(X), "y": Y[:, 0].tolist(), "sample_weight": WEIGHTS.tolist()},
    "weights without labels": {"x": X, "sample_weight": WEIGHTS},
    "a further input": {"x": (X, MORE[0]), "y": Y},
    "further inputs": {"x": (X, MORE), "y": Y, "sample_weight": WEIGHTS},
    "further inputs without labels": {"x": [X, MORE]},
    "labels that are words": {"x": X, "y": MORE[1]},
    "labels that are images": {"x": X, "y": X},
}


@pytest.mark.parametrize("subset", [None, "training", "validation"])
@pytest.mark.parametrize("name", PARTS)
def test_parts_of_a_batch(name, subset):
    """Further inputs, labels and weights come as Keras gives them, in file order, batch by batch."""
    parts = dict(PARTS[name])
    if name == "lists":
        parts["x"] = np.asarray(parts["x"])  # Keras takes a list for images and further inputs
    generator = make_array_generator(
        parts.pop("x"), parts.pop("y", None), options={**TURN, "validation_split": 0.4}, shuffle=False, subset=subset,
        ignore_class_split=True, **(parts if subset is None else {}),
    )  # fmt: skip
    maker = make_array_maker(generator)
    assert compare(generator, maker)
    plain = make_array_generator(X, Y, shuffle=False)
    for step in range(len(plain)):
        assert_equal_parts(flat(plain[step]), flat(make_array_maker(plain).batch(0, step)))


@pytest.mark.parametrize("name", PARTS)
def test_nested_as_keras_nests(name):
    """What is one array, a tuple or a list there is one array or a tuple here."""
    parts = {**PARTS[name], "x": X if name == "lists" else PARTS[name]["x"]}
    generator = make_array_generator(parts.pop("x"), parts.pop("y", None), shuffle=False, **parts)
    maker = make_array_maker(generator)

    def form(batch):
        return tuple(form(part) for part in batch) if isinstance(batch, (tuple, list)) else "array"

    images = maker.images(np.arange(4), {name: np.zeros(4, bool) for name in ("flip_horizontal", "flip_vertical")})
    ours = maker.targets.nest((images, *maker.targets.batch(np.arange(4))))
    assert form(ours) == form(generator._get_batches_of_transformed_samples(np.arange(4)))
