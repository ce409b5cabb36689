"""Send rows with equal draws through the user's own generator and through the new pipeline, and compare.

The generator's side is its own ``_get_batches_of_transformed_samples`` on rows that we name, so its
loader, augmentation, standardisation, labels and weights are all its own code; its counters are not
touched. NumPy's and Python's global random numbers are what they were afterwards.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any  # the generator is a foreign object

import numpy as np
from numpy.typing import NDArray

from kerasdiag.random_streams import streams_kept
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.plans.plan import REPLAY
from kerasdiag.repair.plans.replay import draw_as_keras

# Of the largest value of an image: what sums and products of matrices may differ by.
ROUNDING = 1e-5
_HEADERS = 256  # files whose mode is looked up before rows are chosen
_FIRST_KEY = 1_000_003  # any number; a fixed one makes two comparisons of one pipeline alike


@dataclass(frozen=True, eq=False)
class Difference:
    """A row that came out otherwise.

    Attributes:
        position: Its position in the plan's rows.
        part: ``"image"``, or what else differs.
        values: How many values differ.
        largest: By how much at most.
        theirs: What the generator gave, [...].
        ours: What the pipeline gave.
    """

    position: int
    part: str
    values: int
    largest: float
    theirs: NDArray[Any]
    ours: NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """Differences over all compared rows.

    Attributes:
        largest: Largest difference of an image's value.
        mean: Mean of the absolute differences of the images' values.
    """

    largest: float
    mean: float


def rounds(maker: BatchMaker) -> bool:
    """Tell whether this pipeline has sums or matrices whose last bits depend on the order of additions."""
    options = maker.plan.options
    sums = options.samplewise_center or options.samplewise_std_normalization or options.zca_whitening
    return bool(sums or maker.augmenter.slow_part)


def _allowed(maker: BatchMaker, part: int) -> float:
    """Difference allowed to a part of a batch, of its largest value: only images may round."""
    is_image = part == 0 or (part == 1 and maker.targets.is_image)
    return ROUNDING if is_image and rounds(maker) else 0.0


def choose_rows(maker: BatchMaker, count: int) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return positions to compare, and how many of each image mode are among them.

    Every Pillow mode among the first files looked at takes its turn, rare ones too: loaders treat
    grayscale, palettes, transparency and CMYK each in a way of their own.
    """
    total = len(maker.plan.rows)
    looked_at = np.random.default_rng(0).permutation(total)[: max(_HEADERS, count)]
    if maker.plan.spec.arrays is not None:
        return np.sort(looked_at[:count]), {}
    of_mode: dict[str, list[int]] = {}
    for position in looked_at:
        of_mode.setdefault(_mode(maker.plan.spec.filepaths[int(maker.plan.rows[position])]), []).append(int(position))
    chosen: list[tuple[int, str]] = []
    while len(chosen) < min(count, len(looked_at)):
        for mode in sorted(of_mode):
            if of_mode[mode] and len(chosen) < count:
                chosen.append((of_mode[mode].pop(0), mode))
    modes = [mode for _, mode in chosen]
    return np.array(sorted(position for position, _ in chosen)), {
        mode: modes.count(mode) for mode in sorted(set(modes))
    }


def _mode(path: str) -> str:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return str(image.mode)
    except Exception:  # Pillow raises many things; the comparison itself will say what is wrong
        return "unreadable"


def compare_rows(generator: Any, maker: BatchMaker, positions: NDArray[np.int64]) -> Measured | Difference:
    """Compare whole rows: images, further inputs, labels and weights.

    Returns:
        The differences, where they are no more than rounding may explain; else the worst row.
    """
    worst: Difference | None = None
    largest, total, count = 0.0, 0.0, 0
    for number, position in enumerate(positions):
        theirs, ours = _both(generator, maker, int(position), _FIRST_KEY + number)
        for part, (wanted, got) in enumerate(zip(theirs, ours)):
            found = _differ(wanted, got, _allowed(maker, part))
            if found is not None and (worst is None or found[1] > worst.largest):
                name = "image" if part == 0 else f"part {part + 1} of the batch (labels, weights)"
                worst = Difference(int(position), name, *found, wanted[0], got[0])
        if len(theirs) != len(ours) and worst is None:
            empty = np.zeros(0)
            worst = Difference(int(position), f"number of arrays ({len(theirs)}, {len(ours)})", 1, 0, empty, empty)
        if theirs[0].shape == ours[0].shape:
            difference = np.nan_to_num(np.abs(np.asarray(theirs[0], np.float64) - ours[0]))  # NaN where both have it
            largest, total = max(largest, float(difference.max())), total + float(difference.sum())
            count += difference.size
    return Measured(largest, total / max(1, count)) if worst is None else worst


def compare_replay(generator: Any, maker: BatchMaker) -> Difference | None:
    """Compare the first batch with the one that the generator itself would give next; its state is put back."""
    if maker.plan.mode != REPLAY:
        return None
    state = generator.total_batches_seen, generator.index_array
    with streams_kept():
        try:
            theirs = _flat(generator[0])
        finally:
            generator.total_batches_seen, generator.index_array = state
        ours = _flat(maker.targets.nest(maker.batch(0, 0)))
    position = int(maker.plan.order(0)[0])
    for part, (wanted, got) in enumerate(zip(theirs, ours)):
        found = _differ(wanted, got, _allowed(maker, part))
        if found is not None:
            return Difference(position, "the first batch of the replay", *found, wanted[0], got[0])
    return None


def _both(generator: Any, maker: BatchMaker, position: int, key: int) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """One row as a batch of its own, both from the same state of NumPy's global generator."""
    spec, one = maker.plan.spec, np.array([position])
    with streams_kept():
        np.random.seed(key)  # noqa: NPY002  # the one that the generator draws from
        random.seed(key)
        theirs = generator._get_batches_of_transformed_samples(maker.plan.rows[one])
        stream = np.random.RandomState(key)
        drawn = {"flip_horizontal": False, "flip_vertical": False}
        if spec.augmentation is not None:
            drawn = draw_as_keras(spec.augmentation, spec.image_shape, stream)
        # A preprocessing_function may draw too: after its image's own draws.
        np.random.set_state(stream.get_state())  # noqa: NPY002
        random.seed(key)
        images = maker.images(one, {name: np.array([value]) for name, value in drawn.items()})
        ours = maker.targets.nest((images, *maker.targets.batch(one)))
    return _flat(theirs), _flat(ours)


def _flat(batch: Any) -> list[NDArray[Any]]:
    if isinstance(batch, (tuple, list)):
        return [array for part in batch for array in _flat(part)]
    return [np.asarray(batch)]


def _differ(wanted: NDArray[Any], got: NDArray[Any], allowed: float) -> tuple[int, float] | None:
    """Return how many values differ and by how much at most, or None where that is allowed."""
    if wanted.shape != got.shape or wanted.dtype != got.dtype:
        return max(wanted.size, got.size), float("inf")
    if wanted.dtype.kind not in "fiub":
        different = int(np.sum(wanted != got))
        return (different, float("inf")) if different else None
    if np.array_equal(wanted, got, equal_nan=wanted.dtype.kind == "f"):
        return None
    difference = np.abs(wanted.astype(np.float64) - got.astype(np.float64))
    largest = float(np.nanmax(difference)) if not np.isnan(difference).all() else float("inf")
    same_holes = np.array_equal(np.isnan(wanted), np.isnan(got)) if wanted.dtype.kind == "f" else True
    if same_holes and largest <= allowed * float(np.nanmax(np.abs(wanted))):
        return None
    return int(np.sum(wanted != got)), largest
