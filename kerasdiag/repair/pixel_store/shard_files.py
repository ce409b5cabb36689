"""What the shards directory of a store holds under the lock: whole shards, leftovers, the next free number."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from kerasdiag.repair.conversion.job import Job, job_folder, load_job, shard_number
from kerasdiag.repair.conversion.shard import Manifest
from kerasdiag.repair.pixel_store.store import read_shard
from kerasdiag.repair.pixel_store.store_files import discard, read_json, remove_temporary


def finished_shards(directory: Path) -> list[Manifest]:
    """Return the manifests of all whole shards of a store, in order; a damaged shard is none."""
    names = sorted((path.stem for path in (directory / "shards").glob("pixels-*.json")), key=shard_number)
    manifests = (read_shard(directory, name)[0] for name in names)
    return [manifest for manifest in manifests if manifest is not None]


def is_left_over(directory: Path) -> bool:
    """Whether a conversion was interrupted after its last shard, so that only tidying is left."""
    if not job_folder(directory).exists():
        return False
    job = load_job(directory)
    return job is None or not unfinished_shards(job)


def unfinished_shards(job: Job) -> list[int]:
    """Return the shards of a job that are still to be made."""
    return [number for number in range(job.num_shards) if read_shard(job.store, job.shard_name(number))[0] is None]


def next_shard(directory: Path) -> int:
    """Return the first number that no file of the store uses."""
    return 1 + max((shard_number(path.stem) for path in (directory / "shards").glob("pixels-*.*")), default=-1)


def tidy(directory: Path, shards: Collection[str]) -> None:
    """Remove what interrupted and dropped conversions left, the job last.

    Args:
        directory: The store.
        shards: The names of its shards.
    """
    for path in (directory / "shards").glob("pixels-*.*"):
        if path.stem not in shards:
            discard(path)
    for folder in (directory, directory / "shards", directory / "local"):
        remove_temporary(folder)
    shutil.rmtree(job_folder(directory), ignore_errors=True)


def remove_unfinished(directory: Path) -> None:
    """Remove what a failed conversion left half done; its finished shards and the job stay."""
    for path in (directory / "shards").glob("pixels-*.tfrecord"):
        if not path.with_suffix(".json").exists():
            discard(path)
    remove_temporary(directory / "shards")


def abandon(directory: Path) -> None:
    """Remove what no index names: a conversion that cannot be finished in this store, because its dtype is too narrow.

    Half a store would take the place that the wider one needs, and the next call would go on with it.
    """
    try:
        kept = {str(shard) for shard in read_json(directory / "index.json")["shards"]}
    except FileNotFoundError:
        kept = set()
    except (OSError, ValueError, KeyError, TypeError):
        return  # damaged: what is whole is known to nobody now
    tidy(directory, kept)
    if not kept:
        for name in ("index.json", "store.json"):
            discard(directory / name)
        for folder in (directory / "shards", directory):
            with suppress(OSError):  # never made, or somebody keeps a file there
                folder.rmdir()
