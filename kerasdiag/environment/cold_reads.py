"""How long it takes to read files that are not in memory: the user's own, a few of them, and never written to.

The page cache is asked to forget each file just before it is read (``posix_fadvise``, as ioping does), and
the kernel is asked whether it did. A read that may have come from memory is no evidence about a disk.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_READS = 64
MAX_BYTES = 256 * 1024**2
MAX_S = 1.5
MAX_FILE_BYTES = 16 * 1024**2  # how long a larger one takes is a matter of its length, not of finding it
MIN_COLD_READS = 8  # below it, one slow read turns the median
_BLOCK_BYTES = 1024**2
# What a hard disk reads of neighbouring bytes; a file's own length at this rate is not the disk's latency.
SEQUENTIAL_BYTES_PER_S = 200e6

_CACHESTAT = 451  # Linux 6.5, the same number on all architectures but one (Alpha)


class Read(NamedTuple):
    """One file, opened and read whole.

    Attributes:
        seconds: How long it took.
        num_bytes: Its size.
        is_cold: Whether the kernel said that none of it was in memory; None where it did not say.
    """

    seconds: float
    num_bytes: int
    is_cold: bool | None


@dataclass(frozen=True)
class ReadFacts:
    """Reads of a sample of files, one after the other.

    Attributes:
        reads: In the order they were made.
        not_cold: Why there are no cold reads, or fewer than were tried; empty where all were cold.
    """

    reads: tuple[Read, ...] = ()
    not_cold: str = ""

    @property
    def cold(self) -> tuple[Read, ...]:
        """The reads that came from the disk."""
        return tuple(read for read in self.reads if read.is_cold)

    @property
    def is_measured(self) -> bool:
        """Whether there are enough cold reads to speak of."""
        return len(self.cold) >= MIN_COLD_READS

    def latency_s(self, percent: float = 50) -> float:
        """Seconds in which this share of the cold reads was done, the whole file included."""
        return _percentile([read.seconds for read in self.cold], percent)

    @property
    def seek_s(self) -> float:
        """Median of what a cold read took beyond its length at ``SEQUENTIAL_BYTES_PER_S``."""
        return _percentile([max(0.0, read.seconds - read.num_bytes / SEQUENTIAL_BYTES_PER_S) for read in self.cold], 50)


def measure_reads(files: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> ReadFacts:
    """Read files that are not in memory, at most ``MAX_READS``, ``MAX_BYTES`` and about ``MAX_S``.

    Their names and sizes are in memory already, so that a first epoch takes somewhat longer for each.

    Args:
        files: Paths, in the order in which they are read.
        clock: Seconds.
    """
    if not hasattr(os, "posix_fadvise"):
        return ReadFacts(not_cold="this platform does not let a user empty the page cache for a file")
    end = clock() + MAX_S
    reads: list[Read] = []
    left = MAX_BYTES
    num_large = 0
    for name in files[:MAX_READS]:
        try:
            size = os.stat(name).st_size
            if not 0 < size <= MAX_FILE_BYTES:
                num_large += size > 0
                continue
            is_cold = forget(name)
            read = _read(name, is_cold, clock, end)
        except OSError:  # gone, or not ours to read; the listing counted it as missing or the training will say
            continue
        if read is None:  # the time is up
            break
        reads.append(read)
        left -= read.num_bytes
        if left <= 0:
            break
    if num_large and not reads:
        return ReadFacts(not_cold=f"files of more than {MAX_FILE_BYTES // 1024**2} MiB are not read for it")
    return ReadFacts(tuple(reads), _why_not_cold(reads))


def is_small_file(name: str) -> bool:
    """Whether it is a file of a size that a read of it tells something about the disk."""
    status = os.stat(name)
    return stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_FILE_BYTES


def forget(name: str) -> bool | None:
    """Drop a file from the page cache; return whether the kernel confirms it. Dirty pages stay."""
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        pages = cached_pages(descriptor)
    finally:
        os.close(descriptor)
    return None if pages is None else pages == 0


def _read(name: str, is_cold: bool | None, clock: Callable[[], float], end: float) -> Read | None:
    """Read a file whole; None if the time was up before its end."""
    begin = clock()
    num_bytes = 0
    with open(name, "rb", buffering=0) as file:
        while clock() <= end:
            block = file.read(_BLOCK_BYTES)
            if not block:
                return Read(clock() - begin, num_bytes, is_cold)
            num_bytes += len(block)
    return None


def _why_not_cold(reads: Sequence[Read]) -> str:
    if not reads:
        return f"no file of the sample could be read in {MAX_S:g} s"
    if any(read.is_cold is None for read in reads):
        return "the kernel does not say whether a file is in memory"
    warm = sum(not read.is_cold for read in reads)
    return f"{warm} of {len(reads)} files stayed in memory although the kernel was asked to drop them" if warm else ""


def cached_pages(descriptor: int) -> int | None:
    """Return how many pages of an open file are in memory, without bringing any in; None where nothing says it.

    ``cachestat`` (Linux 6.5) tells it for any file; before, ``mincore`` does for files of one's own
    (Linux 5.2 answers "all of it" about others').
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None
    pages = _ask_cachestat(library, descriptor)
    return _ask_mincore(library, descriptor) if pages is None else pages


def _ask_cachestat(library: ctypes.CDLL, descriptor: int) -> int | None:
    reach = (ctypes.c_uint64 * 2)(0, 0)  # offset and length; 0 is the whole file
    found = (ctypes.c_uint64 * 5)()  # pages cached, dirty, being written, evicted, recently evicted
    code = library.syscall(ctypes.c_long(_CACHESTAT), ctypes.c_uint(descriptor), reach, found, ctypes.c_uint(0))
    return int(found[0]) if code == 0 else None


def _ask_mincore(library: ctypes.CDLL, descriptor: int) -> int | None:
    size = os.fstat(descriptor).st_size
    if not size:
        return 0
    try:
        # Private and writable, for only then ctypes gives the address; nothing is written.
        mapped = mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, ValueError):
        return None
    with mapped:
        window = (ctypes.c_char * size).from_buffer(mapped)
        flags = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        code = library.mincore(ctypes.c_void_p(ctypes.addressof(window)), ctypes.c_size_t(size), flags)
        del window  # else the map cannot be closed
    return sum(flag & 1 for flag in flags) if code == 0 else None


def _percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
