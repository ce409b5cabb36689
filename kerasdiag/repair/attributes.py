"""What scripts read from a generator, put on whatever autofix returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any  # generators and datasets are foreign objects

from kerasdiag.repair.repair_report import RepairReport

# What scripts read from the iterator; one that it has not is not invented.
_COPIED = (
    "class_indices", "classes", "labels", "filenames", "filepaths", "samples", "n", "batch_size", "image_shape",
    "target_size", "class_mode",
)  # fmt: skip


def dress_dataset(
    dataset: Any, generator: Any, report: RepairReport, *, seed: int, steps: int, set_epoch: Callable[[int], None]
) -> Any:
    """Give a dataset the attributes of the generator it replaces, and four of ours."""
    for name in _COPIED:
        if hasattr(generator, name):
            setattr(dataset, name, getattr(generator, name))
    dataset.seed = seed
    dataset.reset = _start_anew
    _add_ours(dataset, generator, report, steps, set_epoch)
    return dataset


def dress_generator(generator: Any, report: RepairReport, steps: int) -> Any:
    """Give a generator that was kept the same four, so that a script need not ask which one it has."""
    _add_ours(generator, generator, report, steps, _forget_epoch)
    return generator


def _add_ours(thing: Any, generator: Any, report: RepairReport, steps: int, set_epoch: Callable[[int], None]) -> None:
    classes = getattr(generator, "class_indices", None)
    values = {
        "num_classes": None if classes is None else len(classes),
        "steps_per_epoch": steps,
        "set_epoch": set_epoch,
        "repair_report": report,
    }
    for name, value in values.items():
        setattr(thing, name, value)


def _start_anew() -> None:
    """Do nothing: each iteration over the dataset starts anew by itself."""


def _forget_epoch(epoch: int) -> None:
    """Do nothing: the generator draws from NumPy's stream, which knows no epochs."""
