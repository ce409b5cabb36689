"""The conversion itself, under the store's lock: look, sample, say, write, commit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasdiag.environment.cores import usable_cores
from kerasdiag.errors import BadImagesError
from kerasdiag.repair.conversion.bad_images import BadImage, bad_images, bad_images_error
from kerasdiag.repair.conversion.estimate import TIMED, bytes_to_write, look_at, plan_line
from kerasdiag.repair.conversion.job import Job, fields_of, in_random_order, load_job, make_job
from kerasdiag.repair.conversion.loader import PixelRangeError, as_stored
from kerasdiag.repair.conversion.shard import Load, Manifest, WideImageError, convert_shard
from kerasdiag.repair.conversion.workers import CannotStartError, convert_with_workers, why_not_here
from kerasdiag.repair.pixel_store import find_store, unchanged
from kerasdiag.repair.pixel_store.find_store import StorePlace
from kerasdiag.repair.pixel_store.lock import StoreLock
from kerasdiag.repair.pixel_store.shard_files import (
    finished_shards,
    next_shard,
    remove_unfinished,
    tidy,
    unfinished_shards,
)
from kerasdiag.repair.pixel_store.sources import Sources, path_of
from kerasdiag.repair.pixel_store.store import ABOUT, FORMAT, Store, open_store, read_header, store_of
from kerasdiag.repair.pixel_store.store_files import remove_temporary, write_json
from kerasdiag.repair.progress import Progress, duration, say
from kerasdiag.spec import LoaderOptions


@dataclass(frozen=True, eq=False)
class PreparedStore:
    """A store that holds the images of a generator.

    Attributes:
        store: The store.
        record_of_row: Record of each row, int64 [rows]; -1 where the row's image was skipped.
        converted: Images written by this call.
        seconds: How long that took, or None where nothing was written.
        in_process_reason: Why the generator's own loader had to convert in this process, or None.
        skipped: The images that were left out.
    """

    store: Store
    record_of_row: np.ndarray[Any, Any]
    converted: int
    seconds: float | None
    in_process_reason: str | None
    skipped: tuple[BadImage, ...]


def prepared(
    store: Store,
    sources: Sources,
    place: StorePlace,
    reasons: Mapping[str, str],
    *,
    converted: int = 0,
    seconds: float | None = None,
    in_process_reason: str | None = None,
) -> PreparedStore:
    """Return the store with the rows of a generator.

    Args:
        store: The store.
        sources: The generator's files.
        place: How their names are mapped.
        reasons: The sources that are left out, and why, by name.
        converted: Images written.
        seconds: How long it took.
        in_process_reason: Why not in child processes.
    """
    records = store.lookup([place.name(name) for name in sources.names])
    for number, name in enumerate(sources.names):
        if name in reasons:
            records[number] = -1
    skipped = bad_images(sources, reasons)
    return PreparedStore(store, records[sources.source_of_row], converted, seconds, in_process_reason, skipped)


class Conversion:
    """One run of the conversion. Every step can be repeated after a kill at any moment.

    Args:
        sources: The generator's files.
        loader: The loader options.
        place: Where the store is, and how names are mapped.
        lock: The store's lock, held.
        generator_load: The generator's own loader.
        verbose: 0 says nothing.
        chosen_dir: Whether the user chose the place.
    """

    def __init__(
        self,
        sources: Sources,
        loader: LoaderOptions,
        place: StorePlace,
        lock: StoreLock,
        *,
        generator_load: Load,
        verbose: int,
        chosen_dir: bool,
    ) -> None:
        self.sources, self.loader, self.place, self.lock = sources, loader, place, lock
        self.generator_load, self.verbose, self.chosen_dir = generator_load, verbose, chosen_dir
        self.directory = place.directory
        self.in_process_reason: str | None = None
        self.converted = 0
        self.next_shard = 0
        # Names (in the store) that this call tried to convert.
        self.tried: set[str] = set()
        # By name in the store: why it cannot be loaded.
        self.bad: dict[str, str] = {}
        # By shard: the sources' times of change, for the next look.
        self.seen: dict[str, np.ndarray[Any, Any]] = {}

    def run(self, *, recheck: bool, raise_bad: bool) -> PreparedStore:
        """Convert what is missing and return the finished store.

        Raises:
            BadImagesError: Images cannot be loaded, and ``raise_bad``.
            WideImageError: An image has values that the store's dtype does not hold.
            StoreError: The conversion cannot be made.
            OSError: The store cannot be written.
        """
        if (self.directory / "store.json").exists():
            read_header(self.directory)  # raises where it is none of ours
        job = load_job(self.directory)
        pending = self._missing(job, recheck=recheck, retry_bad=raise_bad)
        if job is not None and not self._is_wanted(job, set(pending)):
            self.next_shard = job.first_shard + job.num_shards  # an orphan of its may still be writing
            self._commit(job)
            job = None
        seconds = None
        if not pending and not (self.directory / "store.json").exists():
            raise self._bad_images_error()
        if pending:
            load = self._get_ready(pending)
            start_s = time.monotonic()
            try:
                self._convert_all(pending, job, load)
            except BaseException:
                remove_unfinished(self.directory)
                raise
            seconds = time.monotonic() - start_s
            say(f"converted {self.converted:,} images in {duration(seconds)}", self.verbose)
        else:
            self._commit(job)  # interrupted after its last shard
        store = open_store(self.directory)
        unchanged.save_seen(store, unchanged.join_shards(store, self.seen), self.place.root)
        find_store.mark_used(self.directory)
        if self.bad and raise_bad:
            raise self._bad_images_error()
        return prepared(
            store,
            self.sources,
            self.place,
            self._reasons(),
            converted=self.converted,
            seconds=seconds,
            in_process_reason=self.in_process_reason,
        )

    def _reasons(self) -> dict[str, str]:
        """Return why sources cannot be loaded, by the generator's names."""
        names = ((name, self.place.name(name)) for name in self.sources.names)
        return {name: self.bad[in_store] for name, in_store in names if in_store in self.bad}

    def _bad_images_error(self) -> BadImagesError:
        return bad_images_error(bad_images(self.sources, self._reasons()), len(self.sources.names))

    def _missing(self, job: Job | None, *, recheck: bool, retry_bad: bool) -> list[str]:
        """Return the names (in the store) that must be converted."""
        store = store_of(self.directory, self.loader, self.place.root, finished_shards(self.directory))
        known = {} if job is None else {job.shard_name(n): job.seen(n) for n in range(job.num_shards)}
        with Progress(len(self.sources.names), "looking at the images", verbose=self.verbose) as progress:
            found = unchanged.examine(
                store, self.sources, self.place, recheck=recheck, on_source=progress.advance, known=known
            )
        self.seen = unchanged.by_shard(store, found.mtime_ns)
        for number, reason in found.unreadable.items():
            self.bad[self.place.name(self.sources.names[number])] = reason
        for number, reason in found.skipped.items():
            name = self.place.name(self.sources.names[number])
            if retry_bad and self._loads(name):
                found.missing.append(number)
            else:
                self.bad[name] = reason
        return [self.place.name(self.sources.names[number]) for number in sorted(found.missing)]

    def _is_wanted(self, job: Job, pending: set[str]) -> bool:
        """Whether finishing this job brings nothing but what is missing."""
        if job.root != self.place.root or job.loader != self.loader:
            return False
        return all(pending.issuperset(job.names(number)) for number in unfinished_shards(job))

    def _loads(self, name: str) -> bool:
        try:
            as_stored(np.asarray(self.generator_load(path_of(self.place.root, name))), self.loader)
        except PixelRangeError as error:
            raise WideImageError(path_of(self.place.root, name), str(error), error.needed) from None
        except Exception:
            return False
        return True

    def _get_ready(self, pending: list[str]) -> Load | None:
        """Compare loaders, say what will happen, make the directory; the generator's loader if it is needed."""
        paths = [path_of(self.place.root, name) for name in in_random_order(pending)[:TIMED]]
        sample = look_at(paths, len(pending), self.loader, self.generator_load)
        self.in_process_reason = sample.difference or _why_no_workers()
        num_workers = 1 if self.in_process_reason else usable_cores()
        num_bytes = bytes_to_write(self.loader, pending)
        held_bytes = sum(os.path.getsize(path) for path in (self.directory / "shards").glob("pixels-*.tfrecord"))
        line = plan_line(
            self.directory,
            len(pending),
            num_bytes,
            sample,
            num_workers=num_workers,
            held_bytes=held_bytes,
            chosen=self.chosen_dir,
        )
        say(line, self.verbose)
        if self.in_process_reason:
            say(f"converting in this process, with the generator's own loader: {self.in_process_reason}", self.verbose)
        self.directory.mkdir(mode=0o700, exist_ok=True)
        (self.directory / "shards").mkdir(mode=0o700, exist_ok=True)
        remove_temporary(self.directory / "shards")
        if not (self.directory / "store.json").exists():
            fields = {"kerasdiag_pixel_store": FORMAT, "about": ABOUT}
            write_json(
                self.directory / "store.json",
                {**fields, "loader": fields_of(self.loader), "root": self.place.root},
            )
        return self.generator_load if self.in_process_reason else None

    def _convert_all(self, pending: list[str], job: Job | None, load: Load | None) -> None:
        """Make jobs until nothing is left: the unfinished one, the rest, and what only the generator loads."""
        left = set(pending)
        with Progress(len(pending), "converting", verbose=self.verbose) as progress:
            while left:
                job = job or self._new_job([name for name in pending if name in left])
                self._convert_job(job, load, progress.advance)
                for manifest in self._commit(job):
                    left.difference_update(manifest.names)
                    left.difference_update(skipped.name for skipped in manifest.skipped)
                job = None
        if load is None:
            # A plugin or patch of Pillow that only this process has, or a file that has settled down since.
            rescued = [name for name in self.bad if name in self.tried and self._loads(name)]
            if rescued:
                self.in_process_reason = f"{len(rescued):,} images load only with the generator's own loader"
                job = self._new_job(rescued)
                self._convert_job(job, self.generator_load, lambda _: None)
                self._commit(job)

    def _new_job(self, names: Sequence[str]) -> Job:
        self.next_shard = max(self.next_shard, next_shard(self.directory))
        return make_job(self.directory, self.place.root, self.loader, names, self.next_shard)

    def _convert_job(self, job: Job, load: Load | None, on_images: Callable[[int], None]) -> None:
        """Make the missing shards of a job."""
        todo = unfinished_shards(job)
        self.tried.update(todo_name for number in todo for todo_name in job.names(number))
        if load is None:
            try:
                convert_with_workers(
                    job,
                    todo,
                    count=usable_cores(),
                    lock=self.lock,
                    on_images=on_images,
                )
            except CannotStartError as error:
                self.in_process_reason = f"no child process can be started: {error}"
                say(f"converting in this process: {error}", self.verbose)
                load = self.generator_load
        for number in unfinished_shards(job):
            self.lock.check()
            convert_shard(job, number, load=load, on_image=lambda: on_images(1), may_commit=self.lock.check)
        self.converted += sum(len(Manifest.load(job.manifest_path(number)).names) for number in todo)

    def _commit(self, job: Job | None) -> list[Manifest]:
        """Make the finished shards the store's and remove what is none; return those of the job."""
        self.lock.check()
        shards = {manifest.shard: manifest for manifest in finished_shards(self.directory)}
        of_job = []
        for number in range(job.num_shards if job else 0):
            manifest = shards.get(job.shard_name(number)) if job else None
            if manifest is None or job is None:
                continue
            of_job.append(manifest)
            for name in manifest.names:
                self.bad.pop(name, None)
            self.bad.update((skipped.name, skipped.reason) for skipped in manifest.skipped)
            seen = job.seen(number)
            if seen is not None and len(seen) == len(manifest.names):
                self.seen[manifest.shard] = seen
        write_json(self.directory / "index.json", {"format": FORMAT, "shards": list(shards)})
        tidy(self.directory, set(shards))
        return of_job


def _why_no_workers() -> str | None:
    reason = why_not_here()
    return None if reason is None else f"no child process can be started: {reason}"
