"""Images that cannot be loaded, and how they are told to the user."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasdiag.errors import BadImagesError, StoreError
from kerasdiag.repair.pixel_store.sources import Sources

_SHOWN = 20


@dataclass(frozen=True)
class BadImage:
    """An image that cannot be loaded.

    Attributes:
        name: Its name relative to the data root.
        path: Its absolute path.
        rows: Rows of the generator that use it.
        reason: Why it cannot be loaded.
    """

    name: str
    path: str
    rows: tuple[int, ...]
    reason: str


def bad_images(sources: Sources, reasons: Mapping[str, str]) -> tuple[BadImage, ...]:
    """Return the bad images in order of their rows.

    Args:
        sources: The generator's files.
        reasons: Why, by name.
    """
    numbers = [number for number, name in enumerate(sources.names) if name in reasons]
    order = np.argsort(sources.source_of_row, kind="stable")
    bounds = np.searchsorted(sources.source_of_row[order], np.asarray([*numbers, *(n + 1 for n in numbers)], np.int64))
    images = []
    for position, number in enumerate(numbers):
        rows = order[bounds[position] : bounds[position + len(numbers)]]
        name = sources.names[number]
        images.append(BadImage(name, sources.path(name), tuple(map(int, rows)), reasons[name]))
    return tuple(images)


def bad_images_error(images: Sequence[BadImage], num_sources: int) -> BadImagesError:
    """Return the one error that lists them."""
    lines = [f"  {printable(image.path)} ({_rows(image.rows)}): {image.reason}" for image in images[:_SHOWN]]
    if len(images) > _SHOWN:
        lines.append(f"  and {len(images) - _SHOWN:,} more; the error's attribute `images` holds all of them.")
    head = (
        f"{len(images):,} of {num_sources:,} images cannot be loaded; the others are converted and kept."
        ' Repair or remove these, or leave them out with autofix(..., bad_images="skip"):'
    )
    return BadImagesError("\n".join([head, *lines]), tuple(images))


def check_any_exists(sources: Sources) -> None:
    """Look for the files until one is found: where none is there, the folder is wrong, and not the images.

    Raises:
        BadImagesError: There is none.
    """
    if any(os.path.lexists(sources.path(name)) for name in sources.names):
        return
    images = bad_images(sources, dict.fromkeys(sources.names, "no such file"))
    raise BadImagesError(
        f"None of the {len(images):,} images exists, for example {printable(images[0].path)} ({_rows(images[0].rows)}). Of "
        "flow_from_dataframe, directory= names the folder that the file names in x_col are relative to: look at both. "
        "With validate_filenames=False Keras looks for no file beforehand.",
        images,
    )


def unstorable_error(path: str, found: str) -> StoreError:
    """Return the error for a loader whose values no store can hold; Keras' own makes none."""
    return StoreError(
        "A pixel store holds whole numbers: 8 bits a value, in grayscale up to 32 bits. The generator's loader makes"
        f" {found} of {printable(path)}, and nothing here rounds them silently. Keep the generator for these images."
    )


def printable(text: str) -> str:
    """Return text that any terminal can print: names that are no valid text show as escapes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _rows(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    shown = ", ".join(map(str, rows[:5]))
    return f"rows {shown}" + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
