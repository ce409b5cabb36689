"""The steps of a generator one after the other, each compared with Keras' own: where does a difference begin?"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple  # the generator is a foreign object

import numpy as np
from numpy.typing import NDArray

from kerasdiag.random_streams import streams_kept
from kerasdiag.repair.ops import affine, brightness, channel_shift
from kerasdiag.repair.pipeline.augment import Augmenter
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.plans.plan import REPLAY
from kerasdiag.repair.plans.replay import draw_as_keras
from kerasdiag.repair.proof.certificate import DISTRIBUTION, EXACT, NEAR, Stage
from kerasdiag.spec import AugmentationOptions

_AFFINE = ("theta", "tx", "ty", "shear", "zx", "zy")
_FLIPS = ("flip_horizontal", "flip_vertical")
_NEUTRAL = AugmentationOptions()
_STANDARDISING = (
    "preprocessing_function", "rescale", "samplewise_center", "samplewise_std_normalization", "featurewise_center",
    "featurewise_std_normalization", "zca_whitening",
)  # fmt: skip
_SUMS = "sums are taken in another order"


class _Both(NamedTuple):
    generator: Any
    maker: BatchMaker
    load: Callable[[str], Any] | None


def measure_stages(
    generator: Any, maker: BatchMaker, load: Callable[[str], Any] | None, positions: NDArray[np.int64]
) -> tuple[Stage, ...]:
    """Compare after each step of this generator.

    Args:
        generator: The generator.
        maker: The new pipeline.
        load: The generator's loader; None for arrays.
        positions: Rows to compare.
    """
    both = _Both(generator, maker, load)
    replayed = maker.plan.mode == REPLAY
    parity, note = (EXACT, "the generator's own stream") if replayed else (DISTRIBUTION, "keyed by seed, pass and row")
    shuffles = maker.plan.spec.shuffle
    stages = [Stage("order of rows", parity if shuffles else EXACT, note=note if shuffles else "file order")]
    steps = _steps(maker.plan.options)
    loaded = "loaded pixels" if maker.plan.spec.arrays is None else "images of the array"
    stages.append(_compare(both, positions, loaded, []))
    drawn = {*_AFFINE, *_FLIPS, channel_shift.NAME, brightness.NAME}
    if any(drawn.intersection(names) for _, names in steps):
        stages.append(Stage("random parameters", parity, note=note))
    for number, (name, _) in enumerate(steps):
        stages.append(_compare(both, positions, name, [step for _, step in steps[: number + 1]]))
    return tuple(stages)


def _steps(options: AugmentationOptions) -> list[tuple[str, tuple[str, ...]]]:
    """Title of each step in Keras' order, and the parameters or options that belong to it."""
    function = options.preprocessing_function
    candidates = [
        (affine.warps(options), f"affine warp, order {options.interpolation_order}, {options.fill_mode}", _AFFINE),
        (options.channel_shift_range != 0, "channel shift", (channel_shift.NAME,)),
        (options.horizontal_flip or options.vertical_flip, "flips", _FLIPS),
        (options.brightness_range is not None, "brightness", (brightness.NAME,)),
        (
            function,
            f"preprocessing_function {getattr(function, '__qualname__', function)}",
            ("preprocessing_function",),
        ),
        (options.rescale, "rescale", ("rescale",)),
        *((getattr(options, name), name, (name,)) for name in _STANDARDISING[2:]),
    ]
    return [(title, names) for active, title, names in candidates if active]


def _compare(both: _Both, positions: NDArray[np.int64], name: str, steps: list[tuple[str, ...]]) -> Stage:
    """Compare what both sides have after some steps."""
    maker, kept = both.maker, {part for step in steps for part in step}
    spec, options = maker.plan.spec, _limited(maker.plan.options, kept)
    augmenter = Augmenter(replace(spec, augmentation=options), maker.pixels, maker.kernel)
    source = _limited_source(getattr(both.generator, "image_data_generator", None), options)
    out = np.zeros((1, *spec.batch_shape), spec.dtype)
    padded = np.zeros(out.size + 16, spec.dtype)
    largest, total, count = 0.0, 0.0, 0
    with streams_kept():
        for number, position in enumerate(positions):
            stream = np.random.RandomState(number)
            drawn = draw_as_keras(maker.plan.options, spec.image_shape, stream)
            parameters = {key: value for key, value in drawn.items() if key in kept}
            neutral = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1, **dict.fromkeys(_FLIPS, False)}
            given = {key: np.array([value]) for key, value in {**neutral, **parameters}.items()}
            np.random.set_state(stream.get_state())  # noqa: NPY002
            wanted = _theirs(both, source, int(position), parameters)
            np.random.set_state(stream.get_state())  # noqa: NPY002
            target = padded[: out.size].reshape(out.shape)
            augmenter.run(np.array([position]), given, target, padded)
            difference = np.nan_to_num(np.abs(wanted.astype(np.float64) - target[0]))
            largest, total, count = max(largest, float(difference.max())), total + difference.sum(), count + wanted.size
    return Stage(name, NEAR if largest else EXACT, largest, total / max(1, count), _SUMS if largest else None)


def _limited(options: AugmentationOptions, kept: set[str]) -> AugmentationOptions:
    """The options without the steps that are not kept."""
    off: dict[str, Any] = {}
    if not kept.intersection(_AFFINE):
        for name in ("rotation_range", "height_shift_range", "width_shift_range", "shear_range", "zoom_range"):
            off[name] = getattr(_NEUTRAL, name)
    if channel_shift.NAME not in kept:
        off["channel_shift_range"] = 0.0
    if brightness.NAME not in kept:
        off["brightness_range"] = None
    for name in _STANDARDISING:
        if name not in kept:
            off[name] = getattr(_NEUTRAL, name)
    return replace(options, **off)


def _limited_source(source: Any, options: AugmentationOptions) -> Any:
    """A copy of the user's ImageDataGenerator that standardises by these options."""
    if source is None:
        return None
    twin = copy.copy(source)
    for name in _STANDARDISING:
        setattr(twin, name, getattr(options, name))
    return twin


def _theirs(both: _Both, source: Any, position: int, parameters: dict[str, Any]) -> NDArray[Any]:
    spec, row = both.maker.plan.spec, int(both.maker.plan.rows[position])
    if both.load is None:
        x = np.asarray(both.generator.x[row]).astype(spec.dtype)
    else:
        x = np.asarray(both.load(spec.filepaths[row])).astype(spec.computing_dtype).reshape(spec.image_shape)
        if spec.channels_first:
            x = x.transpose(2, 0, 1)  # a view, as Keras makes it: sums follow the order in memory
    if source is not None:
        x = source.standardize(source.apply_transform(x, parameters))
    return np.asarray(x).astype(spec.dtype)
