"""Where the pixels of a row come from: a store on the disk, memory, or the original files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.pipeline.reader import PixelReader
from kerasdiag.repair.pixel_store.store import Store

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
        images: [rows, height, width, channels].
        padding: Values behind the last one that may be read; they belong to the same memory.
        rows: int64, the image of each row.
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


class FilePixels:
    """The original files, decoded anew each time by the generator's own loader.

    Args:
        load: The loader: path to an array.
        paths: Path of each row.
        dtype: dtype that holds what the loader makes of all of them.
    """

    def __init__(self, load: Callable[[str], Any], paths: list[str], dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._load = load
        self._paths = paths

    @contextlib.contextmanager
    def at_once(self, positions: NDArray[np.int64]) -> Iterator[Places | None]:  # noqa: ARG002
        """Files are read one by one."""
        yield None

    def read(self, position: int, buffer: NDArray[Any]) -> None:
        """Decode one file."""
        pixels = np.asarray(self._load(self._paths[position])).reshape(-1)
        buffer[: len(pixels)] = pixels
