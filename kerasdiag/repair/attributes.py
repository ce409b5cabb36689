"""What scripts read from a generator, put on whatever autofix returns."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable
from typing import Any  # generators and datasets are foreign objects

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.repair_report import DISABLED, RepairReport

# What scripts read from the iterator; one that it has not is not invented.
_COPIED = (
    "class_indices", "classes", "labels", "filenames", "filepaths", "samples", "n", "batch_size", "image_shape",
    "target_size", "class_mode",
)  # fmt: skip
_PER_ROW = ("classes", "labels", "filenames", "filepaths")


def dress_dataset(
    dataset: Any,
    generator: Any,
    report: RepairReport,
    *,
    seed: int,
    steps: int,
    rows: NDArray[np.int64],
    set_epoch: Callable[[int], None],
) -> Any:
    """Give a dataset the attributes of the generator it replaces, and four of ours.

    Args:
        dataset: The dataset.
        generator: The generator.
        report: What was done.
        seed: Key of all draws.
        steps: Batches of an iteration.
        rows: Rows of the generator that take part; lists with an entry for each row keep these only.
        set_epoch: Sets the epoch of the next iteration.
    """
    num_rows = int(generator.n)
    for name in _COPIED:
        if hasattr(generator, name):
            value = getattr(generator, name)
            setattr(dataset, name, value if len(rows) == num_rows else _of_rows(name, value, rows, num_rows))
    dataset.seed = seed
    dataset.reset = _start_anew
    _add_ours(dataset, generator, report, steps, functools.partial(_set_epoch, set_epoch))
    return dataset


def _of_rows(name: str, value: Any, rows: NDArray[np.int64], num_rows: int) -> Any:
    if name in ("n", "samples"):
        return len(rows)
    if name not in _PER_ROW or len(value) != num_rows:
        return value
    return value[rows] if isinstance(value, np.ndarray) else [value[row] for row in rows]


def dress_generator(generator: Any, report: RepairReport, steps: int | None) -> Any:
    """Give a generator that was kept the same four, so that a script need not ask which one it has."""
    # A script that was switched to no-ops is not stopped by a wrong number that nobody reads.
    is_off = report.outcome == DISABLED
    _add_ours(
        generator, generator, report, steps, _forget_epoch if is_off else functools.partial(_set_epoch, _forget_epoch)
    )
    return generator


def _add_ours(
    thing: Any, generator: Any, report: RepairReport, steps: int | None, set_epoch: Callable[[int], None]
) -> None:
    # What image_dataset_from_directory returns has names only.
    classes = getattr(generator, "class_indices", getattr(generator, "class_names", None))
    values = {
        "num_classes": None if classes is None else len(classes),
        "steps_per_epoch": steps,
        "set_epoch": set_epoch,
        "repair_report": report,
    }
    for name, value in values.items():
        with contextlib.suppress(AttributeError, TypeError):  # a list or a generator takes none
            setattr(thing, name, value)


def _start_anew() -> None:
    """Do nothing: each iteration over the dataset starts anew by itself."""


def _set_epoch(set_epoch: Callable[[int], None], epoch: int) -> None:
    """Set the epoch of the next iteration, counted from 0: it decides which draws a resumed training gets.

    Raises:
        TypeError: The epoch is no whole number.
        ValueError: It is below 0.
    """
    expected = "set_epoch: epoch must be a whole number, 0 for the first epoch"
    if isinstance(epoch, (bool, np.bool_)) or not hasattr(epoch, "__index__"):
        raise TypeError(f"{expected}. Received: {epoch!r}.")
    if operator.index(epoch) < 0:
        raise ValueError(f"{expected}. Received: {epoch!r}.")
    set_epoch(operator.index(epoch))


def _forget_epoch(epoch: int) -> None:
    """Do nothing: the generator draws from NumPy's stream, which knows no epochs."""
