"""Whole generators drawn at random, options together and images of any mode and size, compared with the installed Keras."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras_api import keras
from repair.generators import choose, make_generator
from repair.kernel_calls import pread_address
from repair.parity import both_batches
from repair.pictures import MODES, WIDE_MODES, write_picture

from kerasdiag.repair.conversion.loader import as_stored, load_pixels, narrowest_dtype
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pipeline.pixels import ArrayPixels, FilePixels, Places
from kerasdiag.repair.plans.plan import PipelinePlan
from kerasdiag.repair.read_generator import read_spec
from kerasdiag.spec import PIXEL_DTYPES

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

CHANNELS = {"rgb": 3, "grayscale": 1, "rgba": 4}
sides = st.one_of(st.integers(1, 3), st.integers(1, 24))
factors = st.floats(0.1, 3)
shifts = st.one_of(
    st.floats(0.01, 0.99), st.integers(1, 9), st.floats(1, 30), st.lists(st.integers(-5, 5), min_size=1, max_size=3),
    st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
)  # fmt: skip


def subtract_its_mean_of_rows(x):
    return x - x.mean(axis=0, dtype=np.float64)


WARPS = {
    "rotation_range": st.one_of(st.integers(1, 180), st.floats(0.1, 90)),
    "width_shift_range": shifts,
    "height_shift_range": shifts,
    "shear_range": st.floats(0.1, 60),
    "zoom_range": st.one_of(
        st.floats(0.01, 0.9), st.tuples(factors, factors), st.lists(factors, min_size=2, max_size=2)
    ),
    "fill_mode": st.sampled_from(["nearest", "constant", "reflect", "wrap", "constant", "wrap", "mirror"]),
    "cval": st.one_of(st.integers(0, 255), st.floats(0, 255), st.floats(-50, 400)),
    "interpolation_order": st.sampled_from([0, 0, 1, 1, 1, 2, 3]),
}
REST = {
    "horizontal_flip": st.booleans(),
    "vertical_flip": st.booleans(),
    "channel_shift_range": st.floats(0.1, 300),
    "brightness_range": st.tuples(st.floats(0, 2), st.floats(0, 4)),
    "rescale": st.sampled_from([1 / 255, 1 / 127.5, 2, np.float32(0.3), np.float64(1 / 255)]),
    "featurewise_center": st.booleans(),
    "featurewise_std_normalization": st.booleans(),
    "samplewise_center": st.booleans(),
    "samplewise_std_normalization": st.booleans(),
    "dtype": st.sampled_from(["float32", "float32", "float16", "float64"]),
    "data_format": st.just("channels_first"),
}
FUNCTIONS = [subtract_its_mean_of_rows, np.abs]
KERAS_FUNCTIONS = [
    getattr(keras.applications, name).preprocess_input for name in ("vgg16", "mobilenet_v2", "densenet", "efficientnet")
]


@dataclasses.dataclass
class Case:
    """A generator and its images."""

    options: dict
    arguments: dict
    pictures: list  # (mode, size)
    source: str
    kernel: str
    seed: int


@st.composite
def cases(draw):
    color_mode = draw(st.sampled_from(sorted(CHANNELS)))
    options = {name: draw(values) for name, values in WARPS.items() if draw(st.booleans())}
    options.update({name: draw(values) for name, values in REST.items() if draw(st.integers(0, 3)) == 0})
    if draw(st.integers(0, 3)) == 0:
        fitting = KERAS_FUNCTIONS if color_mode == "rgb" and "data_format" not in options else []
        options["preprocessing_function"] = draw(st.sampled_from([*FUNCTIONS, *fitting, *fitting]))
    if "data_format" in options:
        options.pop("brightness_range", None)  # broken in Keras itself: refused
    if any(options.get(name) for name in ("samplewise_center", "samplewise_std_normalization")):
        options.pop("dtype", None)  # rounded further, a difference of the last bit is a larger one
    modes = MODES + (3 * WIDE_MODES if color_mode == "grayscale" else ())  # which few cases would draw else
    return Case(
        options,
        {
            "color_mode": color_mode,
            "target_size": (draw(sides), draw(sides)),
            "interpolation": draw(st.sampled_from(["nearest", "nearest", "bilinear", "bicubic", "lanczos", "box"])),
        },
        draw(st.lists(st.tuples(st.sampled_from(modes), st.tuples(sides, sides)), min_size=1, max_size=3)),
        draw(st.sampled_from(["memory", "padded memory", "files", "pread"])),
        draw(st.sampled_from(["compiled", "compiled", "scipy"])),
        draw(st.integers(0, 2**31)),
    )  # fmt: skip


class RawPixels(ArrayPixels):
    """Images that the kernel reads from a file by itself, as it does from a store."""

    def __init__(self, images, rows, file):
        super().__init__(images, rows)
        file.write(images.tobytes())
        file.flush()
        self._file, self._bytes = file, images[0].nbytes

    @contextlib.contextmanager
    def at_once(self, positions):
        files = np.full(len(positions), self._file.fileno(), np.int32)
        yield Places(pread_address(), files, self._rows[positions] * self._bytes, None)


def make_case(case, folder):
    """The generator, and what autofix would make of it; the images as the conversion loads them."""
    random = np.random.default_rng(case.seed)
    paths = [write_picture(folder / str(row), *picture, random) for row, picture in enumerate(case.pictures)]
    frame = pd.DataFrame({"file": [path.name for path in paths], "class": "only"})
    generator = make_generator(frame, folder, options=case.options, class_mode="sparse", **case.arguments)
    if any(case.options.get(name) for name in ("featurewise_center", "featurewise_std_normalization")):
        generator.image_data_generator.fit(random.uniform(0, 255, (9, *generator.image_shape)))
    spec = read_spec(generator)
    pixels = [load_pixels(path.read_bytes(), spec.loader) for path in paths]
    dtype = max((narrowest_dtype(one) for one in pixels), key=PIXEL_DTYPES.index)
    loader = dataclasses.replace(spec.loader, pixel_dtype=dtype)
    images = np.stack([as_stored(one, loader) for one in pixels])
    rows = np.arange(len(images))
    if case.source == "memory":
        source = ArrayPixels(images, rows)
    elif case.source == "padded memory":
        memory = np.concatenate([images.reshape(-1), np.zeros(8, dtype)])
        source = ArrayPixels(memory[: images.size].reshape(images.shape), rows, is_padded=True)
    elif case.source == "files":
        source = FilePixels(lambda path: load_pixels(Path(path).read_bytes(), loader), spec)
    else:
        source = RawPixels(images, rows, (folder / "raw").open("wb+"))
    plan = PipelinePlan(dataclasses.replace(spec, loader=loader), rows, None, 0, spec.batches_per_pass)
    return generator, BatchMaker(plan, source, choose(case.kernel), 2**26)


def allowed_difference(case, generator, maker, seed):
    """What sums in another order may change of each image, [rows]; 0 where nothing is summed."""
    source = generator.image_data_generator
    rows = np.arange(len(maker.plan.rows))
    if maker.kernel.name == "scipy" or not source.samplewise_center:
        return np.zeros(len(rows))
    divides = source.samplewise_std_normalization
    kept = dict(vars(source))
    switches = (
        "samplewise_center",
        "samplewise_std_normalization",
        "featurewise_center",
        "featurewise_std_normalization",
    )
    for name in switches:
        setattr(source, name, False)
    before = both_batches(generator, maker, rows, seed)[0][0].astype(np.float64)
    vars(source).update(kept)
    each = before.reshape(len(rows), -1)
    allowed = 1e-6 * np.abs(each).max(axis=1)
    if divides:  # a constant image leaves nothing but the rounding of its mean, and divides it by next to nothing
        spread = each.std(axis=1) + 1e-6
        allowed = allowed / np.maximum(spread - allowed, 1e-6) * (1 + np.abs(each).max(axis=1) / spread)
    if source.featurewise_std_normalization and source.std is not None:
        allowed = allowed / (source.std.min() + 1e-6)
    return allowed


def test_generators_drawn_at_random():
    """Whatever options come together, the batch is Keras' own; equal in every bit but for sums over an image."""
    seen = Counter()

    @given(cases())
    @settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def run(case):
        with TemporaryDirectory() as folder:
            generator, maker = make_case(case, Path(folder))
            positions = np.arange(len(case.pictures))
            (wanted, labels), (got, our_labels) = both_batches(generator, maker, positions, case.seed % 2**31)
            allowed = allowed_difference(case, generator, maker, case.seed % 2**31)
        np.testing.assert_array_equal(our_labels, labels)
        assert got.dtype == wanted.dtype
        for row, most in enumerate(allowed):
            if most:
                rounding = 5e-7 * np.abs(wanted[row]).max()  # every further step rounds
                difference = np.abs(got[row].astype(np.float64) - wanted[row])
                assert difference.max() <= most + rounding, (difference.max(), most)
            else:
                np.testing.assert_array_equal(got[row], wanted[row])
        seen.update(
            {maker.kernel.name: 1, case.source: 1, "values": wanted.size, "equal in every bit": not allowed.any()}
        )
        seen.update({mode: 1 for mode, _ in case.pictures})
        seen.update(name for name in case.options)

    run()
    assert seen["values"] > 50_000
    assert seen["compiled"] > 50
    assert seen["equal in every bit"] > 100
    for name in (
        *WARPS,
        *REST,
        "preprocessing_function",
        *MODES,
        *WIDE_MODES,
        "memory",
        "padded memory",
        "files",
        "pread",
    ):
        assert seen[name] >= 3, f"{name} was hardly drawn"
