"""A look at a few rows before the dataset is handed over: are they the generator's own pixels?

The rows go through the generator's own loader, ``apply_transform`` and ``standardize``, and through
the store and the kernel, with equal draws. Versions of Pillow, SciPy or NumPy that behave otherwise
than those the project is tested with show here.
"""

from __future__ import annotations

from typing import Any  # the generator is a foreign object

import numpy as np
from numpy.typing import NDArray

from kerasdiag.errors import ParityError
from kerasdiag.repair.kernels.choose import COMPILED, SCIPY, KernelChoice
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pixel_store.store import Store

CHECKED_ROWS = 4


def check_pixels(generator: Any, maker: BatchMaker, store: Store, load: Any, buffer_pool_bytes: int) -> BatchMaker:
    """Compare some rows with the generator.

    Returns:
        ``maker``, or one that works through SciPy if only that gives the generator's pixels.

    Raises:
        ParityError: Neither does.
    """
    positions = np.unique(np.linspace(0, len(maker.plan.rows) - 1, CHECKED_ROWS).astype(np.int64))
    parameters = maker.plan.draw(0, positions)
    expected = [
        _from_generator(
            generator, maker, int(position), {name: values[place] for name, values in parameters.items()}, load
        )
        for place, position in enumerate(positions)
    ]
    different = _find_difference(maker, positions, parameters, expected)
    if different is None:
        return maker
    if maker.kernel.name == COMPILED:
        choice = KernelChoice(SCIPY, "the compiled kernel differs from this Keras and SciPy")
        other = BatchMaker(maker.plan, store, choice, buffer_pool_bytes)
        if _find_difference(other, positions, parameters, expected) is None:
            return other
    position, count, largest = different
    path = maker.plan.spec.filepaths[int(maker.plan.rows[position])]
    raise ParityError(
        f"The repaired pipeline gives other pixels than the generator: {count:,} values of {path} differ, by up to "
        f"{largest:.4g}. The generator is untouched. A store that another version of Pillow wrote is the likeliest "
        f'cause: `kerasdiag store clean "{store.directory}"` and call autofix again; if that does not help, please '
        "report it."
    )


def _from_generator(
    generator: Any, maker: BatchMaker, position: int, parameters: dict[str, Any], load: Any
) -> NDArray[Any]:
    pixels = np.asarray(load(maker.plan.spec.filepaths[int(maker.plan.rows[position])]), np.float32)
    image = pixels.reshape(maker.plan.spec.loader.image_shape)
    source = generator.image_data_generator
    return image if source is None else source.standardize(source.apply_transform(image, parameters))


def _find_difference(
    maker: BatchMaker, positions: NDArray[np.int64], parameters: Any, expected: list[NDArray[Any]]
) -> tuple[int, int, float] | None:
    for place, wanted in enumerate(expected):
        one = slice(place, place + 1)
        image = maker.images(positions[one], {name: values[one] for name, values in parameters.items()})[0]
        if not np.array_equal(image, wanted):
            return int(positions[place]), int((image != wanted).sum()), float(np.abs(image - wanted).max())
    return None
