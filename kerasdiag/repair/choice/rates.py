"""What a repair would give, measured on the user's own images: the first of a few seconds that choosing takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any  # TensorFlow has no types

import numpy as np
from numpy.typing import NDArray

from kerasdiag.ceilings import Rate, rate_of_batches
from kerasdiag.environment.facts import Environment
from kerasdiag.repair.conversion.loader import narrowest_dtype
from kerasdiag.repair.kernels.choose import KernelChoice
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pipeline.dataset import PREFETCH_BATCHES, build_dataset
from kerasdiag.repair.pipeline.pixels import PADDING, ArrayPixels, FilePixels, Pixels
from kerasdiag.repair.plans.plan import PipelinePlan

SAMPLE_IMAGES = 64
SAMPLE_S = 2.0
_ENDLESS = 10**6  # batches


@dataclass(frozen=True, eq=False)
class Sample:
    """Some images, loaded.

    Attributes:
        images: [images, height, width, channels], and ``PADDING`` values behind the last one.
        rows: The rows that they are of.
        wall_s: Seconds that loading one took, in one thread.
        cpu_s: Seconds of a core among them.
    """

    images: NDArray[Any]
    rows: NDArray[np.int64]
    wall_s: float
    cpu_s: float

    def pixels(self, num_rows: int) -> ArrayPixels:
        """Let them stand for all rows."""
        return ArrayPixels(self.images, np.arange(num_rows) % len(self.images), is_padded=True)


def load_sample(pixels: FilePixels, shape: tuple[int, ...], rows: NDArray[np.int64]) -> Sample | None:
    """Load images until there are 64 or two seconds are over; None where none of them can be loaded.

    Args:
        pixels: The files.
        shape: Height, width, channels.
        rows: Rows in random order.
    """
    values = int(np.prod(shape))
    flat = np.zeros(SAMPLE_IMAGES * values + PADDING, pixels.dtype)
    loaded: list[int] = []
    wall_s, cpu_s = -time.perf_counter(), -time.thread_time()
    for row in rows:
        try:
            pixels.read(int(row), flat[len(loaded) * values :])
        except Exception:  # noqa: S112  # a bad image: the conversion lists them all
            continue
        loaded.append(int(row))
        if len(loaded) == SAMPLE_IMAGES or time.perf_counter() + wall_s > SAMPLE_S:
            break
    wall_s, cpu_s = wall_s + time.perf_counter(), cpu_s + time.thread_time()
    if not loaded:
        return None
    flat = flat[: len(loaded) * values + PADDING]
    flat = flat.astype(narrowest_dtype(flat) or flat.dtype)  # as a store would hold them
    images = flat[: len(loaded) * values].reshape(len(loaded), *shape)
    return Sample(images, np.array(loaded), wall_s / len(loaded), cpu_s / len(loaded))


def rate_of_plan(plan: PipelinePlan, pixels: Pixels, kernel: KernelChoice, environment: Environment) -> Rate:
    """Measure the dataset of a plan, beside the one that a training reads: no pass of that one is begun.

    Args:
        plan: The plan.
        pixels: Its images.
        kernel: What does the pixel work.
        environment: How many threads and how much memory there are.
    """
    import tensorflow as tf

    endless = replace(plan, seed=0, steps_per_epoch=_ENDLESS)
    dataset = build_dataset(BatchMaker(endless, pixels, kernel, environment.buffer_pool_bytes), environment)

    def images_in(batch: Any) -> int:
        return int(tf.nest.flatten(batch)[0].shape[0])

    return rate_of_batches(dataset, images_in, warm_up=environment.reader_threads + PREFETCH_BATCHES + 1)
