"""Which sources the store still holds as they are: by size, time of change, and where that differs, content."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasdiag.repair.pixel_store.content_hash import content_hash
from kerasdiag.repair.pixel_store.find_store import StorePlace
from kerasdiag.repair.pixel_store.sources import Sources, path_of, settled_mtime_ns, time_of_change_ns
from kerasdiag.repair.pixel_store.store import Store
from kerasdiag.repair.pixel_store.store_files import written_whole

_CHUNK = 64  # files a thread looks at before it reports
_THREADS = 16  # network disks answer late, but many at once


@dataclass
class Examination:
    """What a look at the sources found.

    Attributes:
        record_of_source: Record of each source, -1 where it must be converted or was skipped.
        missing: Sources that must be converted, as positions in ``sources.names``.
        skipped: Sources that could not be loaded before and are unchanged: reason by position.
        unreadable: Sources that are not there or cannot be asked: reason by position.
        mtime_ns: Time of change to remember for each record of the store, -1 unknown.
    """

    record_of_source: np.ndarray[Any, Any]
    missing: list[int] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    mtime_ns: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0, np.int64))


def examine(
    store: Store,
    sources: Sources,
    place: StorePlace,
    *,
    recheck: bool = True,
    on_source: Callable[[int], None] | None = None,
    known: Mapping[str, np.ndarray[Any, Any] | None] | None = None,
) -> Examination:
    """Compare sources with what a store holds of them.

    Args:
        store: The store.
        sources: The sources.
        place: How their names are mapped.
        recheck: False: look at no file; what the store holds is believed.
        on_source: Called with the number of sources looked at.
        known: Times of change of the records of some shards, by shard.
    """
    names = [place.name(name) for name in sources.names]
    records = store.lookup(names)
    remembered = by_shard(store, _load_seen(store, place.root))
    remembered.update((shard, times) for shard, times in (known or {}).items() if times is not None)
    found = Examination(records, mtime_ns=join_shards(store, remembered))
    if not recheck:
        for number in map(int, np.flatnonzero(records < 0)):
            if names[number] in store.skipped:
                found.skipped[number] = store.skipped[names[number]].reason
            else:
                found.missing.append(number)
        return found

    def look(start: int) -> list[tuple[int, _Look]]:
        looks = []
        for number in range(start, min(start + _CHUNK, len(names))):
            record, before = int(records[number]), store.skipped.get(names[number])
            path = path_of(place.root, names[number])
            if record >= 0:
                expected = int(store.size[record]), store.content_hash[record].decode()
                looks.append((number, _look(path, *expected, int(found.mtime_ns[record]))))
            elif before is not None:
                looks.append((number, _look(path, before.size, before.content_hash, -1)))
            else:
                looks.append((number, _look(path, -1, None, -1)))
        return looks

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="kerasdiag-examine") as threads:
        for looks in threads.map(look, range(0, len(names), _CHUNK)):
            for number, seen in looks:
                record = int(records[number])
                if seen.same and record >= 0:
                    found.mtime_ns[record] = seen.mtime_ns
                    continue
                found.record_of_source[number] = -1
                if seen.same:
                    found.skipped[number] = store.skipped[names[number]].reason
                elif seen.problem is not None:
                    found.unreadable[number] = seen.problem
                else:
                    found.missing.append(number)
            if on_source is not None:
                on_source(len(looks))
    return found


class _Look(NamedTuple):
    same: bool
    mtime_ns: int = -1  # to remember
    problem: str | None = None


def _look(path: str, size: int | None, known_hash: str | None, seen_mtime_ns: int) -> _Look:
    """Return whether a file is what it was; ``size`` is None for one that could not be read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return _Look(same=False, problem=getattr(error, "strerror", None) or str(error))
    try:
        if size is None:
            open(path, "rb").close()
            return _Look(same=False)
        if status.st_size != size:
            return _Look(same=False)
        if seen_mtime_ns >= 0 and time_of_change_ns(status) == seen_mtime_ns:
            return _Look(same=True, mtime_ns=seen_mtime_ns)
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if content_hash(file.read()) == known_hash:
                return _Look(same=True, mtime_ns=settled_mtime_ns(status))
    except OSError:
        return _Look(same=size is None)  # the conversion finds out why
    return _Look(same=False)


def save_seen(store: Store, mtime_ns: np.ndarray[Any, Any], root: str) -> None:
    """Remember when the sources of a store were last changed, as far as the store can be written."""
    if np.array_equal(mtime_ns, _load_seen(store, root)):
        return
    path = _seen_path(store.directory)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with written_whole(path) as file:
            np.save(file, np.concatenate([[_fingerprint(store, len(store.shards), root), len(store.shards)], mtime_ns]))
    except OSError:
        pass  # read only: the next look costs more, nothing else


def by_shard(store: Store, mtime_ns: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the times of each shard's records."""
    bounds = np.searchsorted(store.file, np.arange(len(store.shards) + 1))
    return {shard: mtime_ns[bounds[number] : bounds[number + 1]] for number, shard in enumerate(store.shards)}


def join_shards(store: Store, times: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return the times of all records, -1 where a shard has none of its own."""
    unknown = by_shard(store, np.full(store.num_records, -1, np.int64))
    parts = [times.get(shard, nothing) for shard, nothing in unknown.items()]
    fitting = [part if len(part) == len(nothing) else nothing for part, nothing in zip(parts, unknown.values())]
    return np.concatenate([np.empty(0, np.int64), *fitting])


def _load_seen(store: Store, root: str) -> np.ndarray[Any, Any]:
    """Return the remembered times, -1 where there is none. Shards added since make none of them invalid."""
    unknown = np.full(store.num_records, -1, np.int64)
    try:
        with open(_seen_path(store.directory), "rb") as file:
            kept = np.load(file)
        fingerprint, num_shards = map(int, kept[:2])
        records = len(kept) - 2
        if num_shards > len(store.shards) or records > store.num_records:
            return unknown
        if fingerprint != _fingerprint(store, num_shards, root) or records != int((store.file < num_shards).sum()):
            return unknown
    except (OSError, ValueError, EOFError, IndexError):
        return unknown
    unknown[:records] = kept[2:]
    return unknown


def _seen_path(directory: Path) -> Path:
    return directory / "local" / "seen.npy"


def _fingerprint(store: Store, num_shards: int, root: str) -> int:
    records = int((store.file < num_shards).sum())
    # The root belongs to it: what was seen under one says nothing about a copy under another.
    crc = zlib.crc32(store.content_hash[:records].tobytes(), zlib.crc32(os.fsencode(root)))
    return zlib.crc32("\n".join(store.shards[:num_shards]).encode(), crc)
