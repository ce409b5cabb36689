"""Which store holds the images of a generator: by root, by a root above, or by what it holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kerasdiag.errors import StoreError
from kerasdiag.repair.conversion.job import fields_of, in_random_order
from kerasdiag.repair.pixel_store.content_hash import content_hash
from kerasdiag.repair.pixel_store.sources import Sources
from kerasdiag.repair.pixel_store.store import Store, open_store, read_header
from kerasdiag.repair.pixel_store.store_files import json_bytes
from kerasdiag.spec import LoaderOptions

_LOOKED_AT = 16  # files whose content decides whether a store of another root holds the same images


@dataclass(frozen=True)
class StorePlace:
    """Where the images of a generator are, or will be.

    Attributes:
        directory: The store.
        root: Directory under which the store's names of these images are found now.
        prefix: What stands before the generator's names in the store.
    """

    directory: Path
    root: str
    prefix: str = ""

    def name(self, name: str) -> str:
        """Return a source's name in the store."""
        return self.prefix + name


@dataclass(frozen=True)
class StoreEntry:
    """A store as ``store info`` lists it.

    Attributes:
        directory: Where it is.
        loader: Its loader options, or None where it cannot be read.
        root: Its data root, or None.
        num_bytes: Bytes on the disk of everything in it.
        num_records: Images in it, or None where it cannot be read.
        last_used_s: When it was last used, in seconds since the epoch, or None.
        problem: Why it cannot be read, or None.
    """

    directory: Path
    loader: LoaderOptions | None
    root: str | None
    num_bytes: int
    num_records: int | None
    last_used_s: float | None
    problem: str | None


def place_at_root(sources: Sources, loader: LoaderOptions, stores_dir: Path) -> StorePlace | None:
    """Return the store made for these sources' root, or for the nearest directory above it."""
    best: StorePlace | None = None
    for directory, root in _stores(loader, stores_dir):
        below = root if root.endswith(os.sep) else root + os.sep
        if sources.root == root:
            return StorePlace(directory, root)
        if sources.root.startswith(below) and (best is None or len(root) > len(best.root)):
            best = StorePlace(directory, root, sources.root[len(below) :].replace(os.sep, "/") + "/")
    return best


def place_by_content(sources: Sources, loader: LoaderOptions, stores_dir: Path) -> StorePlace | None:
    """Return the store that holds these images under a root that is gone: the directory was moved.

    Names and sizes of at least half of the sources must be found, and most of a sample's contents.
    A copy beside the original gets a store of its own; two that differ a little would else take
    turns in one.
    """
    for directory, root in _stores(loader, stores_dir):
        if os.path.isdir(root):
            continue
        try:
            store = open_store(directory)
        except StoreError:
            continue
        records = store.lookup(sources.names)
        if (records >= 0).sum() * 2 < len(sources.names):
            continue
        known = {name: int(record) for name, record in zip(sources.names, records) if record >= 0}
        sample = in_random_order(list(known))[:_LOOKED_AT]
        equal = [_is_equal(store, known[name], sources.path(name)) for name in sample]
        if sum(equal) * 2 > len(equal):
            return StorePlace(directory, sources.root)
    return None


def new_place(sources: Sources, loader: LoaderOptions, stores_dir: Path) -> StorePlace:
    """Return where the store of these sources belongs when there is none yet."""
    identity = hashlib.sha256(json_bytes([fields_of(loader), sources.root])).hexdigest()
    return StorePlace(stores_dir / identity[:12], sources.root)


def list_stores(cache_dir: str | os.PathLike[str]) -> list[StoreEntry]:
    """Return all stores under ``cache_dir``; one that cannot be read is listed with the reason."""
    entries = []
    for directory in _directories(Path(cache_dir) / "stores"):
        loader = root = num_records = problem = None
        try:
            loader, root = read_header(directory)
            num_records = open_store(directory).num_records
        except StoreError as error:
            problem = str(error)
        entries.append(
            StoreEntry(directory, loader, root, bytes_on_disk(directory), num_records, last_used_s(directory), problem)
        )
    return entries


def mark_used(directory: Path) -> None:
    """Remember that a store was used now."""
    try:
        (directory / "local").mkdir(mode=0o700, exist_ok=True)
        (directory / "local" / "used").touch(mode=0o600)
    except OSError:
        pass  # a store that others share may be read only


def _stores(loader: LoaderOptions, stores_dir: Path) -> Iterator[tuple[Path, str]]:
    for directory in _directories(stores_dir):
        try:
            found, root = read_header(directory)
        except StoreError:
            continue
        if found == loader:
            yield directory, root


def _directories(stores_dir: Path) -> list[Path]:
    try:
        return sorted(path for path in stores_dir.iterdir() if path.is_dir())
    except OSError:
        return []


def _is_equal(store: Store, record: int, path: str) -> bool:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != store.size[record]:
                return False
            known: str = store.content_hash[record].decode()
            return content_hash(file.read()) == known
    except OSError:
        return False


def bytes_on_disk(directory: Path) -> int:
    """Return the size of all files below ``directory``."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):  # removed meanwhile
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def last_used_s(directory: Path) -> float | None:
    """Return when a store was last used, in seconds since the epoch, or None where nothing tells."""
    for path in (directory / "local" / "used", directory / "index.json", directory):
        with suppress(OSError):
            return path.stat().st_mtime
    return None
