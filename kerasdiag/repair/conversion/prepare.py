"""From a generator's files to a finished store: what is there is used, what is missing is converted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kerasdiag.errors import StoreError
from kerasdiag.repair.conversion.convert_missing import Conversion, PreparedStore, prepared
from kerasdiag.repair.conversion.job import job_folder
from kerasdiag.repair.conversion.shard import Load
from kerasdiag.repair.pixel_store import find_store, unchanged
from kerasdiag.repair.pixel_store.lock import StoreLock
from kerasdiag.repair.pixel_store.shard_files import is_left_over
from kerasdiag.repair.pixel_store.sources import Sources
from kerasdiag.repair.pixel_store.store import open_store
from kerasdiag.repair.pixel_store.store_files import store_error
from kerasdiag.repair.pixel_store.tfrecord import crc32c
from kerasdiag.repair.progress import say
from kerasdiag.spec import LoaderOptions

__all__ = ["PreparedStore", "find_finished", "prepare_store"]


def find_finished(
    sources: Sources, loader: LoaderOptions, *, stores_dir: Path, recheck: bool = True, bad_images: str = "raise"
) -> PreparedStore | None:
    """Return the finished store that holds every source unchanged, or None. Converts nothing.

    Args:
        sources: The generator's files.
        loader: What decides their pixels.
        stores_dir: Where stores are.
        recheck: False: look at no source; a store of the same root is believed.
        bad_images: ``"skip"``: sources that were found bad before and are unchanged are no reason
            for None.
    """
    stores_dir = Path(stores_dir)
    place = find_store.place_at_root(sources, loader, stores_dir)
    if place is None and recheck:
        place = find_store.place_by_content(sources, loader, stores_dir)
    if place is None:
        return None
    try:
        store = open_store(place.directory)
    except StoreError:
        return None
    found = unchanged.examine(store, sources, place, recheck=recheck)
    if recheck:
        unchanged.save_seen(store, found.mtime_ns, place.root)
    bad = {**found.skipped, **found.unreadable}
    if found.missing or (bad and bad_images != "skip"):
        return None
    find_store.mark_used(place.directory)
    reasons = {sources.names[number]: reason for number, reason in bad.items()}
    return prepared(store, sources, place, reasons)


def prepare_store(
    sources: Sources,
    loader: LoaderOptions,
    *,
    stores_dir: Path,
    chosen_dir: bool,
    generator_load: Load,
    bad_images: str = "raise",
    recheck: bool = True,
    verbose: int = 1,
) -> PreparedStore:
    """Return a finished store that holds the sources; convert those that are missing or changed.

    Args:
        sources: The generator's files.
        loader: What decides their pixels.
        stores_dir: Where stores are.
        chosen_dir: Whether the user chose that place; there is then no limit of size.
        generator_load: The generator's own loader: path to an array (height, width[, channels]).
        bad_images: ``"raise"`` or ``"skip"``: what to do with images that cannot be loaded.
        recheck: False: look at no source that the store holds.
        verbose: 0 says nothing.

    Raises:
        BadImagesError: Images cannot be loaded, and ``bad_images`` is ``"raise"``.
        StoreError: The store cannot be made or written.
    """
    stores_dir = Path(stores_dir).absolute()

    def find() -> PreparedStore | None:
        return find_finished(sources, loader, stores_dir=stores_dir, recheck=recheck, bad_images=bad_images)

    found = find()
    if found is not None and not (is_left_over(found.store.directory) or _lock_path(found.store.directory).exists()):
        return found
    crc32c()  # without it no store can be written: say so before anything else
    place = (
        find_store.place_at_root(sources, loader, stores_dir)
        or find_store.place_by_content(sources, loader, stores_dir)
        or find_store.new_place(sources, loader, stores_dir)
    )

    def on_wait(owner: str) -> None:
        say(f"waiting for {owner}, which is writing this pixel store (Ctrl-C ends the wait)", verbose)

    lock = StoreLock(_lock_path(place.directory), on_wait=on_wait, wait=found is None)
    try:
        with _directory_made(stores_dir), lock:
            if found is not None and not (lock.held and is_left_over(found.store.directory)):
                return found  # somebody adds other images, or a killed process left its lock; ours are there
            if lock.waited:
                found = find()
                if found is not None:
                    return found
            run = Conversion(
                sources, loader, place, lock, generator_load=generator_load, verbose=verbose, chosen_dir=chosen_dir
            )
            return run.run(recheck=recheck, raise_bad=bad_images == "raise")
    except OSError as error:
        kept = "What was finished is kept for the next call." if job_folder(place.directory).exists() else ""
        raise store_error(error, place.directory, kept) from error


def _lock_path(directory: Path) -> Path:
    """Beside the store, because it must be there before the store is and may not be part of it."""
    return directory.with_name(f"{directory.name}.lock")


@contextmanager
def _directory_made(path: Path) -> Iterator[None]:
    """Make a directory; if the block fails, remove again what was made and is empty."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # not empty, or somebody else's by now
            for folder in made:
                folder.rmdir()
        raise
