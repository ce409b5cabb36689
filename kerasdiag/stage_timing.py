"""Where an ImageDataGenerator iterator spends its time: a sample of its own rows, stage by stage.

Each stage is what the iterator itself would call, on its own rows, with the clocks of the wall and of the processor
read around it. The iterator, its counters, the global random numbers and whatever the user's own functions change stay
as they are; a ``preprocessing_function`` for which that is not certain is left out.
"""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional  # Any: generators and images are foreign objects

import numpy as np

from kerasdiag import compat, profile_json
from kerasdiag.user_code import reach_of_generator

READ, DECODE, RESIZE, TO_ARRAY = "reading", "decoding", "resizing", "to array"
AFFINE, OTHER_AUGMENTATION = "affine", "other augmentation"
FUNCTION, STANDARDIZE, COLLATE = "preprocessing_function", "standardizing", "collating"

MOST_ROWS = 64
BUDGET_S = 0.5
EXPLAINED_FRACTION = 0.5  # of a batch's wait; with less, something is slow that nobody has seen

_AFFINE_PARAMETERS = ("theta", "tx", "ty", "shear", "zx", "zy")


@dataclass(frozen=True)
class StageTime:
    """What one stage costs.

    Attributes:
        name: Its name; of tf.data the name of the operation.
        wall_s: Seconds by the clock on the wall: for each image of a generator, for each batch of tf.data.
        cpu_s: Seconds of a core among them; None where that was not measured.
        threads: How many threads share the work, where it is more than the one that asks.
        tuned: Whether tf.data chooses their number (``AUTOTUNE``).
    """

    name: str
    wall_s: float
    cpu_s: Optional[float] = None
    threads: int = 1
    tuned: bool = field(default=False, metadata=profile_json.ADDED_LATER)

    @property
    def effective_s(self) -> float:
        """What it keeps the input from delivering for: the work, shared by its threads."""
        return self.wall_s / max(1, self.threads)


@dataclass(frozen=True)
class InputStages:
    """The stages of an input, in the order in which the data pass them.

    Attributes:
        unit: ``"image"`` or ``"batch"``.
        source: How it is known: ``"sampled rows"``, ``"tf.data model"`` or ``"timed prefixes"``.
        stages: The stages.
        count: Images or batches that the times come from.
        queue_depth: Mean number of batches that lay ready when the training asked for one; None without a queue.
        queue_empty_fraction: Share of the pulls that found the queue empty (0-1).
        not_measured: Name of a stage -> why it is not among them.
    """

    unit: str
    source: str
    stages: tuple[StageTime, ...] = ()
    count: int = 0
    queue_depth: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)
    queue_empty_fraction: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)
    not_measured: Mapping[str, str] = field(default_factory=dict, metadata=profile_json.ADDED_LATER)

    def explain(self, waited_s: float) -> bool:
        """Whether they take enough of what a batch was waited for to be to blame; a sample of images always does.

        Args:
            waited_s: Seconds that the training waited for a batch.
        """
        return self.unit == "image" or sum(one.effective_s for one in self.stages) >= EXPLAINED_FRACTION * waited_s

    @property
    def slowest(self) -> StageTime | None:
        """The stage that limits the input, None without stages."""
        return max(self.stages, key=lambda one: one.effective_s, default=None)


def time_generator(generator: Any, budget_s: float = BUDGET_S, most_rows: int = MOST_ROWS) -> InputStages | str:
    """Time the stages of an ImageDataGenerator iterator on a random sample of its rows.

    Args:
        generator: The iterator.
        budget_s: Seconds that it may take; the last row is finished.
        most_rows: Rows at most.

    Returns:
        The stages, or why its rows must not be made beside a training.

    Raises:
        Exception: What the generator's own code raises on all of the rows tried.
    """
    reach, not_measured = reach_of_generator(generator), {}
    if isinstance(reach, str):
        not_measured[FUNCTION] = reach
        reach = reach_of_generator(generator, with_function=False)
    if isinstance(reach, str):
        return reach
    maker = _RowMaker(generator, with_function=not not_measured)
    clocks = _Clocks()
    rows = np.random.default_rng(0).permutation(int(generator.n))[: most_rows + 1]
    error: Exception | None = None
    images = []
    with reach.kept():
        until_s = time.perf_counter() + budget_s
        for place, row in enumerate(rows):
            try:
                # The first one imports what the generator needs, and is timed by a clock that nobody reads.
                image = maker.make(int(row), clocks if place or len(rows) == 1 else _Clocks())
                images += [image] if place or len(rows) == 1 else []
            except Exception as fault:  # a bad image: the training will have met it, too
                error = fault
            if images and time.perf_counter() > until_s:
                break
    if not images:
        raise error or ValueError("the generator has no rows")
    with clocks.of(COLLATE):
        batch = np.zeros((len(images), *np.shape(images[0])), generator.dtype)
        for place, image in enumerate(images):
            batch[place] = image
    stages = clocks.per_image(len(images))
    return InputStages("image", "sampled rows", stages, len(images), not_measured=not_measured)


class _Clocks:
    """Wall and processor time by stage."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = {}

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        spent = self._spent.setdefault(stage, [0.0, 0.0])
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            spent[1] += time.thread_time() - cpu_s
            spent[0] += time.perf_counter() - wall_s

    def move(self, source: str, target: str) -> None:
        """Take the time of one stage out of another, in which it was contained."""
        inner, outer = self._spent.get(source), self._spent.get(target)
        if inner and outer:
            outer[0], outer[1] = max(0.0, outer[0] - inner[0]), max(0.0, outer[1] - inner[1])

    def per_image(self, count: int) -> tuple[StageTime, ...]:
        self.move(DECODE, RESIZE)  # loading was timed as a whole, and its beginning alone
        order = (READ, DECODE, RESIZE, TO_ARRAY, AFFINE, OTHER_AUGMENTATION, FUNCTION, STANDARDIZE, COLLATE)
        return tuple(
            StageTime(name, self._spent[name][0] / count, self._spent[name][1] / count)
            for name in order
            if name in self._spent
        )


class _RowMaker:
    """Makes rows as the iterator makes them.

    Args:
        generator: The iterator.
        with_function: Whether its ``preprocessing_function`` is called.
    """

    def __init__(self, generator: Any, *, with_function: bool) -> None:
        self._generator = generator
        source: Any = getattr(generator, "image_data_generator", None)
        self._source = source
        self._function = getattr(source, "preprocessing_function", None) if with_function else None
        # standardize would call the function, too, and hide what it takes.
        self._plain: Any = copy.copy(source)
        if getattr(source, "preprocessing_function", None):
            self._plain.preprocessing_function = None

    def make(self, row: int, clocks: _Clocks) -> Any:
        image = _load(self._generator, row, clocks)
        source = self._source
        if source is None:
            return image
        with clocks.of(AFFINE):
            parameters = source.get_random_transform(image.shape)
            affine = {name: value for name, value in parameters.items() if name in _AFFINE_PARAMETERS}
            image = source.apply_transform(image, affine)
        others = {name: value for name, value in parameters.items() if name not in _AFFINE_PARAMETERS and value}
        if others:
            with clocks.of(OTHER_AUGMENTATION):
                image = source.apply_transform(image, others)
        if self._function:
            with clocks.of(FUNCTION):
                image = self._function(image)
        with clocks.of(STANDARDIZE):
            return self._plain.standardize(image)


def _load(generator: Any, row: int, clocks: _Clocks) -> Any:
    paths = getattr(generator, "filepaths", None)
    if paths is None:  # flow: the images are an array
        with clocks.of(READ):
            return np.array(generator.x[row], dtype=generator.dtype)
    loader: Callable[..., Any] | None = compat.generator_loader(generator)
    if loader is None:
        raise ValueError("the loader of this generator was not found")
    with clocks.of(READ), open(paths[row], "rb") as file:
        content = file.read()
    with clocks.of(DECODE):
        loader(io.BytesIO(content), color_mode=generator.color_mode).load()
    with clocks.of(RESIZE):
        image = loader(
            io.BytesIO(content),
            color_mode=generator.color_mode,
            target_size=generator.target_size,
            interpolation=generator.interpolation,
        )
    with clocks.of(TO_ARRAY):
        return np.array(image, dtype=generator.dtype).reshape(generator.image_shape)
