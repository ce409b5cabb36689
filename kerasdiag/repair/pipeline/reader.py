"""Read pixels of single records at their place in the shards of a store.

Positioned reads and not a memory map: a shard that lost its end is then an error that can be
told, and not the end of the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kerasdiag.errors import StoreError
from kerasdiag.repair.pixel_store.store import Store

MAX_OPEN_FILES = 128  # a common limit of a process is 1,024, or 256 on macOS


class PixelReader:
    """Reads the pixels of records from any number of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._length = store.loader.image_bytes
        self._files = _OpenFiles(store.files)
        self._local = threading.local()
        self._positioned = hasattr(os, "preadv")

    @cached_property
    def pread_address(self) -> int:
        """Address of C's ``pread`` for the compiled kernel, or 0 where there is none (Windows)."""
        if not self._positioned or ctypes.sizeof(ctypes.c_void_p) != 8:
            return 0
        try:
            return ctypes.cast(ctypes.CDLL(None).pread, ctypes.c_void_p).value or 0
        except (OSError, AttributeError, TypeError):
            return 0

    @contextlib.contextmanager
    def places(self, records: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Give descriptors and offsets of these records; the files stay open inside the ``with``."""
        files = self._store.file[records]
        distinct = np.unique(files)
        descriptors = np.zeros(len(self._store.files), np.int32)
        with contextlib.ExitStack() as opened:
            for number in map(int, distinct):
                descriptors[number] = self._open(opened, number)
            yield descriptors[files], self._store.data_offset[records]

    def _open(self, opened: contextlib.ExitStack, number: int) -> int:
        try:
            return opened.enter_context(self._files.use(number))
        except OSError as error:
            raise self._broken(number, error.strerror or str(error)) from error

    def can_open(self, records: NDArray[np.int64]) -> bool:
        """Whether all shards of these records may be open at once."""
        return len(np.unique(self._store.file[records])) <= MAX_OPEN_FILES

    def read(self, record: int, buffer: NDArray[np.uint8]) -> None:
        """Read the pixels of one record.

        Args:
            record: Its number in the store.
            buffer: uint8, contiguous; its first ``image_bytes`` bytes (``LoaderOptions``) are written.

        Raises:
            StoreError: The shard is shorter than its manifest says, gone, or cannot be read.
        """
        number, offset = int(self._store.file[record]), int(self._store.data_offset[record])
        target = memoryview(buffer)[: self._length]
        try:
            done = self._read_at(number, offset, target) if self._positioned else self._seek(number, offset, target)
        except OSError as error:
            raise self._broken(number, error.strerror or str(error)) from error
        if done < self._length:
            raise self._broken(number, f"it ends inside record {record}")

    def _read_at(self, number: int, offset: int, target: memoryview) -> int:
        done = 0
        with self._files.use(number) as descriptor:
            while done < self._length:
                count = os.preadv(descriptor, [target[done:]], offset + done)
                if count == 0:
                    break
                done += count
        return done

    def _seek(self, number: int, offset: int, target: memoryview) -> int:
        """Read where there are no positioned reads: each thread has handles of its own."""
        handles: OrderedDict[int, BinaryIO] = self._local.__dict__.setdefault("handles", OrderedDict())
        if number not in handles:
            if len(handles) >= 16:
                handles.popitem(last=False)[1].close()
            handle = open(self._store.files[number], "rb", buffering=0)  # noqa: SIM115
            self._files.check(number, handle.fileno())
            handles[number] = handle
        handles.move_to_end(number)
        handles[number].seek(offset)
        done = 0
        while done < self._length:
            count: Any = handles[number].readinto(target[done:])  # type: ignore[attr-defined]
            if not count:
                break
            done += count
        return done

    def _broken(self, number: int, what: str) -> StoreError:
        path = self._store.files[number]
        folder = os.path.dirname(os.path.dirname(path))
        return StoreError(
            f"{path} cannot be read: {what}. It was whole when the store was opened. Run `kerasdiag store verify "
            f'"{folder}"`, and if it fails `kerasdiag store clean "{folder}"`; autofix then converts anew.'
        )


def _identity(file: str | int) -> tuple[int, int, int] | None:
    """What tells a shard from another one that got its name; shards are never written again."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


class _OpenFiles:
    """Descriptors of shards; a limited number stays open, and none is closed while it is in use."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._lock = threading.Lock()
        self._descriptors: OrderedDict[int, int] = OrderedDict()
        self._users: dict[int, int] = {}
        self._identities = [_identity(path) for path in paths]

    def check(self, number: int, descriptor: int) -> None:
        """Raise OSError if a file is no longer the one that was there when the reader was made."""
        if _identity(descriptor) != self._identities[number]:
            raise OSError(errno.ESTALE, "another file has taken its place", self._paths[number])

    @contextlib.contextmanager
    def use(self, number: int) -> Iterator[int]:
        with self._lock:
            if number not in self._descriptors:
                flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
                descriptor = os.open(self._paths[number], flags)
                try:
                    self.check(number, descriptor)
                except OSError:
                    os.close(descriptor)
                    raise
                self._descriptors[number] = descriptor
            self._descriptors.move_to_end(number)
            self._users[number] = self._users.get(number, 0) + 1
            descriptor = self._descriptors[number]
        try:
            yield descriptor
        finally:
            with self._lock:
                self._users[number] -= 1
                self._close_oldest()

    def _close_oldest(self) -> None:
        for number in list(self._descriptors):
            if len(self._descriptors) <= MAX_OPEN_FILES:
                return
            if not self._users.get(number):
                os.close(self._descriptors.pop(number))

    def __del__(self) -> None:
        for descriptor in self._descriptors.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
