"""Before the first byte is written: do our loader's pixels equal the generator's, how big, how long, does it fit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasdiag.errors import StoreError
from kerasdiag.repair.conversion.bad_images import printable
from kerasdiag.repair.conversion.loader import PixelRangeError, load_pixels, narrowest_dtype, shaped
from kerasdiag.repair.conversion.shard import Load, WideImageError
from kerasdiag.repair.pixel_store.store_files import HOW_TO_MOVE
from kerasdiag.repair.pixel_store.tfrecord import encode_name, record_bytes
from kerasdiag.repair.progress import duration, size
from kerasdiag.spec import PIXEL_DTYPES, LoaderOptions

COMPARED = 32
TIMED = 64
_TIMING_SHARE = 20  # in small sets, more timing would cost more than it tells
RESERVE = 1.1
MOST_BYTES_UNASKED = 20 * 10**9


@dataclass(frozen=True)
class Sample:
    """What a look at some sources told.

    Attributes:
        difference: Why our loader cannot stand for the generator's, or None.
        image_s: Seconds one image takes on one core; None where none could be loaded.
    """

    difference: str | None
    image_s: float | None


def look_at(paths: Sequence[str], num_images: int, loader: LoaderOptions, generator_load: Load) -> Sample:
    """Load some sources with both loaders, compare pixel by pixel, and see whether the store's dtype holds them.

    Args:
        paths: Sources in random order; the first 32 are compared, the first 64 timed.
        num_images: How many there are in all.
        loader: The loader options.
        generator_load: The generator's own loader.

    Raises:
        WideImageError: A source has values that the store's dtype does not hold; the source named is one of
            those that need the widest.
    """
    ours_s: list[float] = []
    theirs_s: list[float] = []
    difference: str | None = None
    wide: WideImageError | None = None
    for number, path in enumerate(paths[:TIMED]):
        if number >= COMPARED and number - COMPARED >= num_images // _TIMING_SHARE:
            break
        if difference is None:
            ours = _outcome(lambda path: load_pixels(Path(path).read_bytes(), loader), path, ours_s)
        if number < COMPARED or difference is not None:
            theirs = _outcome(lambda path: shaped(np.asarray(generator_load(path)), loader), path, theirs_s)
            difference = difference or _difference(ours, theirs, path)
            wide = _widest(wide, theirs, path, loader)
        else:
            wide = _widest(wide, ours, path, loader)
    if wide is not None:
        raise wide
    times = theirs_s if difference else ours_s
    return Sample(difference, float(np.mean(times)) if times else None)


def _outcome(
    load: Callable[[str], np.ndarray[Any, Any]], path: str, times_s: list[float]
) -> np.ndarray[Any, Any] | Exception:
    start_s = time.perf_counter()
    try:
        pixels = load(path)
    except Exception as error:
        return error
    times_s.append(time.perf_counter() - start_s)
    return pixels


def _widest(
    before: WideImageError | None, pixels: np.ndarray[Any, Any] | Exception, path: str, loader: LoaderOptions
) -> WideImageError | None:
    """Return what stands for the images that need the widest dtype so far; None while the store's holds all."""
    if isinstance(pixels, Exception) or (before is not None and before.needed is None):
        return before
    needed = narrowest_dtype(pixels)
    widest = (before.needed if before is not None else None) or loader.pixel_dtype
    if needed is not None and PIXEL_DTYPES.index(needed) <= PIXEL_DTYPES.index(widest):
        return before
    return WideImageError(path, str(PixelRangeError(pixels)), needed)


def _difference(
    ours: np.ndarray[Any, Any] | Exception, theirs: np.ndarray[Any, Any] | Exception, path: str
) -> str | None:
    if isinstance(ours, Exception) and isinstance(theirs, Exception):
        return None
    if isinstance(ours, Exception):
        return f"the generator loads {printable(path)}, Pillow alone does not ({ours})"
    if isinstance(theirs, Exception):
        return f"Pillow loads {printable(path)}, the generator does not ({theirs})"
    if not np.array_equal(ours, theirs):
        return f"the generator's own loader makes other pixels of {printable(path)} than Keras' load_img"
    return None


def bytes_to_write(loader: LoaderOptions, names: Iterable[str]) -> int:
    """Return the exact size of the records of these sources."""
    shape, value_bytes = loader.image_shape, np.dtype(loader.pixel_dtype).itemsize
    by_length: dict[int, int] = {}
    total = 0
    for name in names:
        length = len(encode_name(name))
        if length not in by_length:
            by_length[length] = record_bytes(shape, "x" * length, value_bytes)
        total += by_length[length]
    return total


def plan_line(
    directory: Path, num_images: int, num_bytes: int, sample: Sample, *, num_workers: int, held_bytes: int, chosen: bool
) -> str:
    """Return what will be written, where and how long it takes.

    Args:
        directory: The store.
        num_images: Images to convert.
        num_bytes: Bytes to write.
        sample: What the look at some of them told.
        num_workers: Processes that will work.
        held_bytes: What the store holds already.
        chosen: Whether the user chose the place.

    Raises:
        StoreError: It does not fit, or it is much and the user chose no place.
    """
    check_fits(directory, num_images, num_bytes, held_bytes=held_bytes, chosen=chosen)
    what = f"{num_images:,} images, {num_bytes:,} bytes ({size(num_bytes)})"
    took = ""
    if sample.image_s is not None:
        cores = "1 core" if num_workers == 1 else f"{num_workers} cores"
        took = f", about {duration(sample.image_s * num_images / num_workers)} on {cores}"
    return f"converting {what} into {directory} ({size(free_space(directory))} free){took}"


def check_fits(directory: Path, num_images: int, num_bytes: int, *, held_bytes: int, chosen: bool) -> None:
    """See whether there is room for a store, by the place and by the limit of what is written unasked.

    Args:
        directory: The store, or where it will be.
        num_images: Images to convert.
        num_bytes: Bytes to write.
        held_bytes: What the store holds already.
        chosen: Whether the user chose the place.

    Raises:
        StoreError: It does not fit, or it is much and the user chose no place.
    """
    free_bytes = free_space(directory)
    what = f"{num_images:,} images, {num_bytes:,} bytes ({size(num_bytes)})"
    if num_bytes * RESERVE > free_bytes:
        raise StoreError(
            f"The pixel store does not fit: {what} plus 10 % reserve, but {directory} has {size(free_bytes)} free."
            f" Nothing was written. {HOW_TO_MOVE}."
        )
    if not chosen and num_bytes + held_bytes > MOST_BYTES_UNASKED:
        raise StoreError(
            f"The pixel store would need {what}; more than {size(MOST_BYTES_UNASKED)} is written only where you say."
            f" Nothing was written. {HOW_TO_MOVE}; the default is {directory.parent}."
        )


def free_space(directory: Path) -> int:
    """Return the free bytes where ``directory`` is or will be."""
    existing = next(folder for folder in (directory, *directory.parents) if folder.is_dir())
    return shutil.disk_usage(existing).free
