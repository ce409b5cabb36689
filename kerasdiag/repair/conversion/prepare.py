"""From a generator's files to a finished store: what is there is used, what is missing is converted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from kerasdiag.errors import StoreError
from kerasdiag.repair.conversion.bad_images import printable, unstorable_error
from kerasdiag.repair.conversion.convert_missing import Conversion, PreparedStore, prepared
from kerasdiag.repair.conversion.estimate import bytes_to_write
from kerasdiag.repair.conversion.job import job_folder
from kerasdiag.repair.conversion.shard import Load, WideImageError
from kerasdiag.repair.pixel_store import find_store, unchanged
from kerasdiag.repair.pixel_store.find_store import StorePlace
from kerasdiag.repair.pixel_store.lock import StoreLock
from kerasdiag.repair.pixel_store.shard_files import abandon, finished_shards, is_left_over
from kerasdiag.repair.pixel_store.sources import Sources
from kerasdiag.repair.pixel_store.store import open_store, store_of
from kerasdiag.repair.pixel_store.store_files import store_error
from kerasdiag.repair.pixel_store.tfrecord import crc32c
from kerasdiag.repair.progress import say, size
from kerasdiag.spec import PIXEL_DTYPES, LoaderOptions

__all__ = ["PreparedStore", "find_finished", "prepare_store"]


def find_finished(
    sources: Sources, loader: LoaderOptions, *, stores_dir: Path, recheck: bool = True, bad_images: str = "raise"
) -> PreparedStore | None:
    """Return the finished store that holds every source unchanged, or None. Converts nothing.

    Args:
        sources: The generator's files.
        loader: What decides their pixels. Grayscale is also looked for in wider dtypes, after this one.
        stores_dir: Where stores are.
        recheck: False: look at no source; a store of the same root is believed.
        bad_images: ``"skip"``: sources that were found bad before and are unchanged are no reason
            for None.
    """
    for one in _from_narrow_to_wide(loader):
        found = _find_finished(sources, one, Path(stores_dir), recheck=recheck, bad_images=bad_images)
        if found is not None:
            return found
    return None


def _find_finished(
    sources: Sources, loader: LoaderOptions, stores_dir: Path, *, recheck: bool, bad_images: str
) -> PreparedStore | None:
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

    Grayscale that does not fit into the dtype of ``loader`` goes into a store of the narrowest dtype
    that holds all of it, and that is said: ``store.loader.pixel_dtype`` of the result tells which.

    Args:
        sources: The generator's files.
        loader: What decides their pixels; its dtype is the narrowest that the store may have.
        stores_dir: Where stores are.
        chosen_dir: Whether the user chose that place; there is then no limit of size.
        generator_load: The generator's own loader: path to an array (height, width[, channels]).
        bad_images: ``"raise"`` or ``"skip"``: what to do with images that cannot be loaded.
        recheck: False: look at no source that the store holds.
        verbose: 0 says nothing.

    Raises:
        BadImagesError: Images cannot be loaded, and ``bad_images`` is ``"raise"``.
        StoreError: The store cannot be made or written, or a loader of the user's own makes values that no
            store holds.
    """
    stores_dir = Path(stores_dir).absolute()

    def find() -> PreparedStore | None:
        return find_finished(sources, loader, stores_dir=stores_dir, recheck=recheck, bad_images=bad_images)

    found = find()
    if found is not None and not (is_left_over(found.store.directory) or _lock_path(found.store.directory).exists()):
        return found
    crc32c()  # without it no store can be written: say so before anything else
    place, loader = _choose(sources, loader if found is None else found.store.loader, stores_dir)

    def on_wait(owner: str) -> None:
        say(f"waiting for {owner}, which is writing this pixel store (Ctrl-C ends the wait)", verbose)

    try:
        # The lock of a store that turned out too narrow is held until the wider one is done: whoever waits for it would
        # else begin the narrow one again. Locks are taken from narrow to wide only, so nobody waits in a circle.
        with _directory_made(stores_dir), ExitStack() as locks:
            while True:
                lock = StoreLock(_lock_path(place.directory), on_wait=on_wait, wait=found is None)
                locks.enter_context(lock)
                if found is not None and not (lock.held and is_left_over(found.store.directory)):
                    return found  # somebody adds other images, or a killed process left its lock; ours are there
                if lock.waited:
                    found = find()
                    if found is not None:
                        return found
                    place_now, loader_now = _choose(sources, loader, stores_dir)
                    if loader_now != loader:  # who was waited for needed a wider store, and did not finish it
                        place, loader = place_now, loader_now
                        continue
                run = Conversion(
                    sources, loader, place, lock, generator_load=generator_load, verbose=verbose, chosen_dir=chosen_dir
                )
                try:
                    return run.run(recheck=recheck, raise_bad=bad_images == "raise")
                except WideImageError as error:
                    wider = _widened(loader, error)
                    abandon(place.directory)
                    place, loader = _choose(sources, wider, stores_dir)
                    say(_what_is_wide(error, sources, place, run.loader, loader), verbose)
    except OSError as error:
        kept = "What was finished is kept for the next call." if job_folder(place.directory).exists() else ""
        raise store_error(error, place.directory, kept) from error


def _from_narrow_to_wide(loader: LoaderOptions) -> list[LoaderOptions]:
    """Return the options with every dtype that these sources may need: Pillow has wide modes in grayscale only."""
    if loader.color_mode != "grayscale":
        return [loader]
    return [replace(loader, pixel_dtype=dtype) for dtype in PIXEL_DTYPES[PIXEL_DTYPES.index(loader.pixel_dtype) :]]


def _choose(sources: Sources, loader: LoaderOptions, stores_dir: Path) -> tuple[StorePlace, LoaderOptions]:
    """Return where the sources are converted to: of the stores that there are, the one that lacks the fewest of them.

    So rows join the wide store that earlier ones of their directory needed, and do not begin a narrow one
    first that has to be given up.
    """
    places = []
    for one in _from_narrow_to_wide(loader):
        place = find_store.place_at_root(sources, one, stores_dir) or find_store.place_by_content(
            sources, one, stores_dir
        )
        if place is not None:
            places.append((place, one))
    if not places:
        return find_store.new_place(sources, loader, stores_dir), loader
    return places[0] if len(places) == 1 else min(places, key=lambda found: _num_missing(sources, *found))


def _num_missing(sources: Sources, place: StorePlace, loader: LoaderOptions) -> int:
    store = store_of(place.directory, loader, place.root, finished_shards(place.directory))
    return int((store.lookup([place.name(name) for name in sources.names]) < 0).sum())


def _widened(loader: LoaderOptions, error: WideImageError) -> LoaderOptions:
    if loader.color_mode != "grayscale" or error.needed is None:
        raise unstorable_error(error.path, error.found) from None
    return replace(loader, pixel_dtype=error.needed)


def _what_is_wide(
    error: WideImageError, sources: Sources, place: StorePlace, narrow: LoaderOptions, wide: LoaderOptions
) -> str:
    names = [place.name(name) for name in sources.names]
    was, becomes = (size(bytes_to_write(one, names)) for one in (narrow, wide))
    return (
        f"{printable(error.path)} holds {error.found}, which {narrow.pixel_dtype} does not: all {len(names):,} images are"
        f" kept as {wide.pixel_dtype} instead, {becomes} in place of {was}"
    )


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
