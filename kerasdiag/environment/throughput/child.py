"""What the measuring process does, most telling things first. It imports NumPy, which may be broken (``process.py``)."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any  # what JSON can hold

from kerasdiag.environment.cold_reads import cached_pages
from kerasdiag.environment.throughput import census
from kerasdiag.environment.throughput.facts import AUGMENT, BATCH, DECODE, RESIZE, STAGES, ImageFile
from kerasdiag.environment.throughput.lock import held_fraction
from kerasdiag.environment.throughput.missing_package import MissingPackageError
from kerasdiag.environment.throughput.pixel_work import BATCH_SIZE, PixelWork, pillow
from kerasdiag.environment.throughput.side_by_side import LEAST_FILES, read_side_by_side
from kerasdiag.environment.throughput.threads import Pace, Work, pace_of

TIMED_IMAGES = 64
TIMED_BYTES = 48 * 1024**2
# Bytes of decoded images that the stages work on; there is one at least.
_DECODED_BYTES = 64 * 1024**2
# How the time is shared out. The rounds of all threads are the result: they get what is left, at least so much.
_READS_S, _CENSUS_S, _DECODE_S, _STAGES_S = 0.8, 0.6, 0.7, 0.8
_ROUNDS = 3  # thread counts take turns, so that what else runs disturbs all of them alike
_LEAST_WINDOW_S, _MOST_WINDOW_S = 0.1, 0.35

_GOLDEN = (5**0.5 - 1) / 2

Tell = Callable[..., None]
Sound = Sequence[tuple[ImageFile, bytes]]


def measure(order: dict[str, Any], tell: Tell) -> None:
    """Measure all that the order asks for, the most telling things first.

    Args:
        order: ``files``, ``unread`` (those that nobody read yet), ``target_size``, ``steps``, ``threads`` (rising),
            ``seconds``, ``until`` (time of day), ``max_bytes`` and ``memory_bytes``.
        tell: Takes each result.
    """
    # By the clock on the wall, which parent and child share: starting Python and NumPy counts, too.
    end = time.perf_counter() + min(order["seconds"], order["until"] - time.time())
    left = order["max_bytes"] - _read_cold(order, tell)
    try:
        files = _look(stratified(order["files"]), end, tell)
        work = PixelWork(order["target_size"], order["steps"])
    except MissingPackageError as error:
        tell(not_measured=str(error))
        return
    sound = _load(work, files, left, tell)
    if not sound:
        tell(not_measured=f"none of {len(files)} files tried is an image that could be decoded")
        return
    tell(num_timed=len(sound))
    _time(work, sound, order, end, tell)


def stratified(files: Sequence[str]) -> list[str]:
    """Return the files so that each beginning of the list holds folders and sizes in their proportion.

    Multiples of the golden ratio, cut to their fractions, lie evenly however many there are.
    """
    ordered = sorted(files, key=lambda name: (os.path.dirname(name), _size(name), name))
    return [name for _, name in sorted((number * _GOLDEN % 1, name) for number, name in enumerate(ordered))]


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:
        return 0


def _read_cold(order: dict[str, Any], tell: Tell) -> int:
    """Read side by side, each number of threads its own files where there are enough; return the bytes."""
    counts = [count for count in order["threads"] if count > 1]
    unread = order["unread"]
    has_own = len(unread) >= LEAST_FILES * len(counts)
    num_bytes = 0
    for number, count in enumerate(counts):
        files = unread[number :: len(counts)] if has_own else order["files"][: 4 * LEAST_FILES]
        most = order["max_bytes"] // (2 * len(counts))
        rate, taken = read_side_by_side(files, count, most, _READS_S / len(counts))
        num_bytes += taken
        if rate is not None:
            tell(reads=list(rate))
    return num_bytes


def _look(names: Sequence[str], end: float, tell: Tell) -> list[ImageFile]:
    image_module, until = pillow(), min(end, time.perf_counter() + _CENSUS_S)
    files = []
    for name in names:
        files.append(census.look(image_module, name))
        tell(file=asdict(files[-1]))
        if time.perf_counter() > until:
            break
    return files


def _load(work: PixelWork, files: Sequence[ImageFile], max_bytes: int, tell: Tell) -> list[tuple[ImageFile, bytes]]:
    """Decode files for a while, so that their faults come out; return the sound ones with their bytes."""
    until = time.perf_counter() + _DECODE_S
    left = min(max_bytes, TIMED_BYTES)
    sound: list[tuple[ImageFile, bytes]] = []
    for file in files:
        if file.num_bytes > left and sound:
            continue
        known, data = census.decode(work, file)
        if known is not file:
            tell(file=asdict(known))
        if data:
            sound.append((known, data))
            left -= len(data)
        if len(sound) >= TIMED_IMAGES or time.perf_counter() > until:
            break
    return sound


class _Chain:
    """All steps of an image in their order, from its file in memory, with a clock between them."""

    def __init__(self, work: PixelWork, sound: Sound) -> None:
        self._work = work
        # A file that the system did not keep in memory would be fetched anew each time: then its bytes must do.
        self._files = [(file.path, b"" if _is_in_memory(file.path) else data) for file, data in sound]
        self._turn = itertools.count()  # all threads of all windows go round the same list
        self.totals: list[list[float]] = []

    def shares(self) -> list[float]:
        """Return the share of each stage since they were asked for last."""
        sums = [sum(column) for column in zip(*self.totals)]
        self.totals.clear()
        return [one / sum(sums) for one in sums]

    def __call__(self) -> Work:
        work, put, files, turn, clock = self._work, self._work.batches(), self._files, self._turn, time.perf_counter
        totals = [0.0] * len(STAGES)
        self.totals.append(totals)

        def one() -> None:
            times = [clock()]
            name, data = files[next(turn) % len(files)]
            data = data or _read_whole(name)
            times.append(clock())
            image = work.decode(data)
            times.append(clock())
            image = work.resize(image)
            times.append(clock())
            pixels = work.augment(image)
            times.append(clock())
            put(pixels)
            times.append(clock())
            for number in range(len(STAGES)):
                totals[number] += times[number + 1] - times[number]

        return one


def _time(work: PixelWork, sound: Sound, order: dict[str, Any], end: float, tell: Tell) -> None:
    counts = _affordable(work, sound, order)
    chain = _Chain(work, sound)
    window_s = (end - time.perf_counter() - _STAGES_S) / (_ROUNDS * len(counts))
    window_s = min(_MOST_WINDOW_S, max(_LEAST_WINDOW_S, window_s))
    for _ in range(_ROUNDS):
        for count in counts:
            pace = pace_of(chain, count, window_s)
            tell(pace=list(pace), shares=chain.shares())
            if time.perf_counter() > end - _STAGES_S / 2:  # images that take a second each
                return
    _time_lock(work, sound, counts[:3], end, tell)


def _time_lock(work: PixelWork, sound: Sound, counts: Sequence[int], end: float, tell: Tell) -> None:
    """Let each step run beside itself, and tell how much of it holds the interpreter's lock; reading never does for long."""
    decoded = []
    num_bytes = 0
    for file, data in sound:
        decoded.append(work.decode(data))
        num_bytes += file.pixels * 4
        if num_bytes > _DECODED_BYTES:
            break
    resized = [work.resize(image) for image in decoded]
    arrays = [work.augment(image) for image in resized]
    makers: dict[str, Callable[[], Work]] = {
        DECODE: lambda: _each(work.decode, [data for _, data in sound]),
        RESIZE: lambda: _each(work.resize, decoded),
        AUGMENT: lambda: _each(work.augment, resized),
        BATCH: lambda: _each(work.batches(), arrays),
    }
    window_s = _STAGES_S / (len(makers) * len(counts))
    for name in (AUGMENT, DECODE, BATCH, RESIZE):  # the longest first: the time may be up
        paces: list[Pace] = []
        for count in counts:
            if time.perf_counter() > end:
                return
            paces.append(pace_of(makers[name], count, window_s))
        tell(held=[name, held_fraction(paces)])


def _each(do: Callable[[Any], Any], items: Sequence[Any]) -> Work:
    turns = itertools.cycle(items)
    return lambda: _drop(do(next(turns)))


def _drop(_: Any) -> None:
    """Let go of a result at once, as the next step would."""


def _is_in_memory(name: str) -> bool:
    with open(name, "rb") as file:
        return bool(cached_pages(file.fileno()))


def _read_whole(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def _affordable(work: PixelWork, sound: Sound, order: dict[str, Any]) -> list[int]:
    """Return the numbers of threads that have room: each holds a batch and a few copies of an image."""
    most_pixels = max(file.pixels for file, _ in sound)
    image_bytes = work.height * work.width * 12
    each = most_pixels * 8 + image_bytes * (BATCH_SIZE + 4)
    counts: list[int] = [count for count in order["threads"] if count * each <= order["memory_bytes"] / 2]
    return counts or [1]
