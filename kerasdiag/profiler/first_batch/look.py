"""What the images and labels of a batch hold, from a sample of bounded size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerasdiag.first_batch import FirstBatch, ImageFacts, LabelFacts, ModelFront, channel_axis
from kerasdiag.profiler.first_batch.arrays import images_in, to_numpy

# Any stands for batches, and for NumPy arrays of any dtype.

MOST_IMAGES = 32
MOST_VALUES = 2_000_000  # some milliseconds
LEVEL_VALUES = 20_000


def look_at(batch: Any, model: ModelFront) -> FirstBatch:
    """Return the facts of a batch as ``fit`` hands it to a step: inputs, labels and perhaps weights."""
    inputs, labels, weights = batch, None, None
    if isinstance(batch, (tuple, list)) and batch:
        inputs, labels, weights = (*batch, None, None)[:3]
    images = images_in(inputs)
    return FirstBatch(
        model,
        None if images is None else look_at_images(images),
        look_at_labels(labels, weights) if hasattr(labels, "shape") else None,
    )


def look_at_images(images: Any) -> ImageFacts:
    """Return the facts of the first images of a batch."""
    sample = to_numpy(images, MOST_VALUES, MOST_IMAGES)
    flat = sample.reshape(len(sample), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)  # NaN where there is one
    finite = np.isfinite(low.astype("float64")) & np.isfinite(high.astype("float64"))
    if not finite.all():
        known = flat[np.isfinite(flat)]
        lowest, highest = (known.min(), known.max()) if known.size else (None, None)
    else:
        lowest, highest = low.min(), high.max()
    mean, deviation = _mean_and_deviation(sample)
    return ImageFacts(
        shape=tuple(map(int, images.shape)),
        dtype=_dtype(images),
        count=len(sample),
        low=None if lowest is None else float(lowest),
        high=None if highest is None else float(highest),
        levels=len(np.unique(flat.ravel()[:: max(1, flat.size // LEVEL_VALUES)])),
        constant=int(np.count_nonzero(low == high)),
        not_finite=int(np.count_nonzero(~finite)),
        mean=mean,
        deviation=deviation,
    )


def _mean_and_deviation(sample: Any) -> tuple[float | None, float | None]:
    """Of all values, and around the means of the channels: these may differ more than any image varies."""
    axis = channel_axis(sample.shape)
    # One channel after the other is six times as fast as all at once.
    channels = [sample.take(number, axis) for number in range(sample.shape[axis])]
    with np.errstate(all="ignore"):  # NaN, and squares of huge values
        mean = float(np.mean([one.mean(dtype="float64") for one in channels]))
        deviation = math.sqrt(float(np.mean([one.var(dtype="float64") for one in channels])))
    return (mean, deviation) if math.isfinite(mean) and math.isfinite(deviation) else (None, None)


def look_at_labels(labels: Any, weights: Any = None) -> LabelFacts | None:
    """Return the facts of labels; None where they are no numbers, or no label is known to count."""
    sample = to_numpy(labels, MOST_VALUES, MOST_VALUES)
    if sample.dtype.kind not in "biuf" or not sample.size or not np.isfinite(sample).all():
        return None
    sample = sample.astype("float64")
    weighted = _weighted(sample, weights)
    if not weighted.size:
        return None
    is_every = weighted.size == sample.size
    rows = sample.reshape(-1, sample.shape[-1]) if sample.ndim > 1 else sample[:, None]
    return LabelFacts(
        shape=tuple(map(int, labels.shape)),
        low=float(sample.min()),
        high=float(sample.max()),
        are_whole=bool((sample == np.rint(sample)).all()),
        are_one_hot=rows.shape[1] > 1 and bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()),
        low_weighted=None if is_every else float(weighted.min()),
        high_weighted=None if is_every else float(weighted.max()),
    )


def _weighted(labels: Any, weights: Any) -> Any:
    """The labels whose weight is not 0; none of them where nobody can tell which these are."""
    if not len(getattr(weights, "shape", ())):
        return labels
    counts = to_numpy(weights, MOST_VALUES, MOST_VALUES)[: len(labels)] != 0
    if counts.all():
        return labels
    # A weight may stand for an example, or for each value of the loss: without the last axis of the labels, or with 1 there.
    while counts.ndim > labels.ndim and counts.shape[-1] == 1:
        counts = counts[..., 0]
    counts = counts.reshape(counts.shape + (1,) * (labels.ndim - counts.ndim))
    try:
        return labels[np.broadcast_to(counts, labels.shape)]
    except ValueError:
        return labels[:0]


def _dtype(array: Any) -> str:
    return str(getattr(array.dtype, "name", array.dtype)).rpartition(".")[2]  # torch.float32
