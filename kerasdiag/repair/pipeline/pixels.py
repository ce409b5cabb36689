"""Where the pixels of a row come from: a store on the disk, memory, or the original files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kerasdiag.errors import StoreError
from kerasdiag.repair.pipeline.reader import PixelReader
from kerasdiag.repair.pixel_store.store import Store
from kerasdiag.repair.progress import Progress, size
from kerasdiag.spec import GeneratorSpec

# Values behind an image in memory that the compiled kernel may read.
PADDING = 8
# Of the memory that is left; the model, its optimiser and the batches need the rest.
MEMORY_SHARE = 0.5
_NO_FILES = np.zeros(1, np.int32)


class Places(NamedTuple):
    """Where the compiled kernel finds the images of a batch: in files, or in an array.

    Attributes:
        pread: Address of C's ``pread``, or 0 where the images lie in ``pixels``.
        files: int32 [batch], descriptors.
        offsets: int64 [batch]: bytes in a file, or elements of ``pixels``.
        pixels: The images, or None where each is read into scratch.
    """

    pread: int
    files: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pixels: NDArray[Any] | None


class Pixels(Protocol):
    """Loaded images by row, height x width x channels of one dtype.

    Attributes:
        dtype: dtype of the values.
    """

    dtype: np.dtype[Any]

    def at_once(self, positions: NDArray[np.int64]) -> contextlib.AbstractContextManager[Places | None]:
        """Give the places of a batch for as long as the context lasts, or None: read one by one."""

    def read(self, position: int, buffer: NDArray[Any]) -> None:
        """Write one image to ``buffer``, which has room for it in ``dtype``, flat."""


class StorePixels:
    """Records of a store.

    Args:
        store: The store.
        record: int64 [rows], the record of each row.
    """

    def __init__(self, store: Store, record: NDArray[np.int64]) -> None:
        self.dtype = np.dtype(store.loader.pixel_dtype)
        self._record = record
        self._reader = PixelReader(store)

    @contextlib.contextmanager
    def at_once(self, positions: NDArray[np.int64]) -> Iterator[Places | None]:
        """Open the shards of these rows."""
        records, address = self._record[positions], self._reader.pread_address
        if not address or not self._reader.can_open(records):
            yield None
            return
        with self._reader.places(records) as (files, offsets):
            yield Places(address, files, offsets, None)

    def read(self, position: int, buffer: NDArray[Any]) -> None:
        """Read one record."""
        self._reader.read(int(self._record[position]), buffer.view(np.uint8))


class ArrayPixels:
    """Images in memory.

    Args:
        images: [images, height, width, channels].
        rows: int64, the image of each row.
        is_padded: Whether ``PADDING`` further values behind the last one may be read.
    """

    def __init__(self, images: NDArray[Any], rows: NDArray[np.int64], *, is_padded: bool = False) -> None:
        self.dtype = images.dtype
        self._images = images
        self._rows = rows
        # The compiled kernel reads a whole vector at a time from uint8, and must find room behind the last one.
        self._flat = images.reshape(-1) if images.flags.c_contiguous and (is_padded or images.itemsize > 1) else None

    @contextlib.contextmanager
    def at_once(self, positions: NDArray[np.int64]) -> Iterator[Places | None]:
        """Point at the images."""
        if self._flat is None:
            yield None
            return
        size = self._images[0].size
        yield Places(0, _NO_FILES, self._rows[positions] * size, self._flat)

    def read(self, position: int, buffer: NDArray[Any]) -> None:
        """Copy one image."""
        buffer[: self._images[0].size] = self._images[self._rows[position]].reshape(-1)


def fits_into_memory(num_bytes: int, available_bytes: int) -> bool:
    """Tell whether so much of the memory that is left may hold images."""
    return num_bytes <= MEMORY_SHARE * available_bytes


def load_into_memory(store: Store, record: NDArray[np.int64], available_bytes: int, verbose: int) -> ArrayPixels:
    """Read the records of all rows into memory, each once.

    Args:
        store: The store.
        record: int64 [rows], the record of each row.
        available_bytes: Memory that this process may still take.
        verbose: 0 shows no progress.

    Raises:
        StoreError: They do not fit, with as much left for the training.
    """
    records, place = np.unique(record, return_inverse=True)
    shape, dtype = store.loader.image_shape, np.dtype(store.loader.pixel_dtype)
    needed = len(records) * store.loader.image_bytes
    if not fits_into_memory(needed, available_bytes):
        raise StoreError(
            f'storage="memory" would take {size(needed)} of memory for {len(records):,} images, and this process may '
            f'still take {size(available_bytes)}, of which the training needs its part. Use storage="disk": the system '
            "keeps of it in memory what fits."
        )
    values = len(records) * int(np.prod(shape))
    flat = np.zeros(values + PADDING, dtype)
    reader = PixelReader(store)
    with Progress(len(records), "images into memory", verbose=verbose) as progress:
        for number, one in enumerate(records):
            reader.read(int(one), flat[number * (values // len(records)) :].view(np.uint8))
            progress.advance()
    return ArrayPixels(flat[:values].reshape(len(records), *shape), place.reshape(-1), is_padded=True)


def pixels_of_arrays(spec: GeneratorSpec, rows: NDArray[np.int64]) -> ArrayPixels:
    """Return the images of a generator over an array."""
    images: NDArray[Any] = spec.of_arrays.images
    return ArrayPixels(np.moveaxis(images, 1, 3) if spec.channels_first else images, rows)


class FilePixels:
    """The original files, decoded anew each time by the generator's own loader.

    Args:
        load: The loader: path to an array.
        spec: The generator.
    """

    def __init__(self, load: Callable[[str], Any], spec: GeneratorSpec) -> None:
        # Which grayscale files have more than 8 bits shows only when they are decoded.
        self.dtype = np.dtype("int32" if spec.of_files.color_mode == "grayscale" else "uint8")
        self._load = load
        self._paths = spec.filepaths

    @contextlib.contextmanager
    def at_once(self, positions: NDArray[np.int64]) -> Iterator[Places | None]:  # noqa: ARG002
        """Files are read one by one."""
        yield None

    def read(self, position: int, buffer: NDArray[Any]) -> None:
        """Decode one file."""
        pixels = np.asarray(self._load(self._paths[position])).reshape(-1)
        buffer[: len(pixels)] = pixels
