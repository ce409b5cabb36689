"""How the files of a store come into being: aside, synced, renamed; and what a failure to write means.

Nothing here knows what the files hold.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from kerasdiag.errors import StoreError

TEMPORARY_SUFFIX = ".tmp"
_EARLY_BYTES = 4 * 2**20
try:
    _SYNC_FILE_RANGE: Any = ctypes.CDLL(None).sync_file_range  # None is the running program, C library included
except (OSError, AttributeError, TypeError):
    _SYNC_FILE_RANGE = None
# A virus scanner or an indexer holds a new file for moments; Windows then refuses the rename.
_RENAME_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "the file size limit of this process or file system is reached",
    **({errno.EDQUOT: "your disk quota is used up"} if hasattr(errno, "EDQUOT") else {}),
}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
HOW_TO_MOVE = "Choose another place with autofix(..., cache_dir=...) or the environment variable KERASDIAG_CACHE_DIR"


@contextmanager
def written_whole(
    path: Path, *, before_rename: Callable[[], None] | None = None, sync_name: bool = True
) -> Iterator[IO[bytes]]:
    """Open a file aside that takes the place of ``path`` when the block ends without an exception.

    The file's bytes are on the disk before the name is; no reader ever sees half of it, and
    whatever ends the block early leaves ``path`` as it was.

    Args:
        path: The file.
        before_rename: Called when the bytes are on the disk; an exception leaves ``path`` alone.
        sync_name: False where another file of the directory follows at once and syncs both names.
    """
    aside = path.with_name(f".{path.name[:100]}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    try:
        with open(aside, "wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if before_rename is not None:
            before_rename()
        replace(aside, path)
    except BaseException:
        discard(aside)
        raise
    if sync_name:
        sync_directory(path.parent)


class EarlyWriter:
    """Writes records to an open file and lets the disk begin while the next ones are still made.

    The ``fsync`` at the end then has little left to wait for. Parts of a record are not joined and
    not buffered: at these sizes each copy costs as much as the checksum.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file.fileno()
        self._written = self._begun = 0

    def write(self, parts: Sequence[bytes]) -> None:
        """Append the bytes of these parts."""
        left = [memoryview(part) for part in parts]
        while left:
            # A full disk takes a part of the bytes first, and raises when it is given the rest.
            count = os.writev(self._file, left) if hasattr(os, "writev") else os.write(self._file, left[0])
            self._written += count
            while left and count >= len(left[0]):
                count -= len(left.pop(0))
            if left:
                left[0] = left[0][count:]
        if self._written - self._begun >= _EARLY_BYTES:
            _begin_to_write(self._file, self._begun, self._written - self._begun)
            self._begun = self._written


def _begin_to_write(file: int, offset: int, count: int) -> None:
    """Ask the system to write this part now, without waiting for it; only Linux can."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(file, ctypes.c_int64(offset), ctypes.c_int64(count), ctypes.c_uint(2))


def write_json(path: Path, value: Any) -> None:  # Any: what JSON can hold
    """Write ``value`` whole. Pure ASCII, and equal values give equal bytes."""
    with written_whole(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:  # Any: what JSON can hold
    """Return ``value`` as one line of JSON. Names that are no valid text survive as lone surrogates."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def replace(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target``, waiting for whoever holds one of them for a moment.

    Raises:
        OSError: It is held for good, or it fails for another reason.
    """
    for wait_s in (*_RENAME_WAITS_S, None):
        try:
            os.replace(source, target)
            return
        except OSError as error:
            held = isinstance(error, PermissionError) or error.errno == errno.EBUSY
            if wait_s is None or not held:
                raise
        time.sleep(wait_s)


def discard(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    with suppress(OSError):  # gone, or held by a scanner: the next tidying takes it
        path.unlink()


def sync_directory(folder: Path) -> None:
    """Put the names in a directory on the disk, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no directories
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network and FUSE file systems cannot; the rename itself is still whole
    finally:
        os.close(handle)


def store_error(error: OSError, place: Path, kept: str = "") -> StoreError:
    """Return what a failed write means for the user, as one error.

    Args:
        error: What the system said.
        place: Where the store is or should be.
        kept: What stays for the next call, as a sentence, or nothing.
    """
    number = error.errno or 0
    if number in _FULL:
        problem = f"Cannot write the pixel store in {place}: {_FULL[number]}."
        remedy = f"Free some space and run again. {HOW_TO_MOVE}."
    elif number in _NOT_WRITABLE and _is_file(error.filename2):
        problem = (
            f"Cannot give the finished file {error.filename2} its name ({error.strerror}): another program, such as"
            " a virus scanner or a synchroniser, keeps it open, or the directory is no longer writable."
        )
        remedy = f"Exclude the directory from it and run again. {HOW_TO_MOVE}."
    elif number in _NOT_WRITABLE:
        problem = f"Cannot write the pixel store in {place}: {error.strerror} ({error.filename or place})."
        remedy = f"{HOW_TO_MOVE}."
    else:
        problem = f"Cannot write the pixel store in {place}: {error}."
        remedy = f"{HOW_TO_MOVE}."
    return StoreError(" ".join(filter(None, (problem, kept, remedy))))


def _is_file(name: object) -> bool:
    return isinstance(name, (str, bytes, os.PathLike))


def remove_temporary(folder: Path) -> None:
    """Remove what interrupted writes left in ``folder``."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        discard(path)


def read_json(path: Path) -> Any:  # Any: the caller checks what it holds
    """Return what a JSON file holds.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not JSON.
    """
    return json.loads(path.read_bytes())
