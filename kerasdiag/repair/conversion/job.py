"""A conversion frozen to disk: which sources go into which shard. Workers and later calls need nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasdiag.repair.pipeline.order import written_order
from kerasdiag.repair.pixel_store.store_files import discard, json_bytes, read_json, write_json, written_whole
from kerasdiag.repair.pixel_store.tfrecord import encode_name, record_bytes
from kerasdiag.spec import LoaderOptions

FORMAT = 1
SHARD_BYTES = 32 * 2**20  # work lost by a kill: a second or two per worker
MOST_SHARD_BYTES = 256 * 2**20
SHARDS_WANTED = 512  # above this many, shards grow instead: each is a file that readers hold open
FEWEST_SHARDS = 16  # so that small sets are converted on all cores
FEWEST_ROWS = 16


@dataclass(frozen=True)
class Job:
    """A conversion.

    Attributes:
        store: Directory of the store.
        root: Directory under which the names are found.
        loader: What decides the pixels.
        first_shard: Number of the job's first shard in the store.
        rows_at: Where the names of each shard begin in the file of names.
        num_rows: Sources in all shards.
    """

    store: Path
    root: str
    loader: LoaderOptions
    first_shard: int
    rows_at: tuple[int, ...]
    num_rows: int

    @property
    def num_shards(self) -> int:
        """Shards of this job."""
        return len(self.rows_at)

    @property
    def folder(self) -> Path:
        """Where the job itself is kept until it is done."""
        return job_folder(self.store)

    @property
    def shards(self) -> Path:
        """Directory of the store's shards."""
        return self.store / "shards"

    def shard_name(self, number: int) -> str:
        """Return the name of the job's shard ``number``."""
        return shard_name(self.first_shard + number)

    def manifest_path(self, number: int) -> Path:
        """Return where the manifest of shard ``number`` is when the shard is finished."""
        return self.shards / f"{self.shard_name(number)}.json"

    def is_finished(self, number: int) -> bool:
        """Whether shard ``number`` exists."""
        return self.manifest_path(number).exists()

    def names(self, number: int) -> list[str]:
        """Return the sources of shard ``number``, in the order of its records."""
        with open(self.folder / "names.jsonl", "rb") as file:
            file.seek(self.rows_at[number])
            names: list[str] = json.loads(file.readline())
        return names

    def save_seen(self, number: int, mtime_ns: Sequence[int]) -> None:
        """Keep the sources' times of change until the job is done; losing them costs a second look."""
        path = self.folder / f"seen-{number}.npy"
        try:
            with open(path, "wb") as file:
                np.save(file, np.asarray(mtime_ns, np.int64))
        except OSError:
            discard(path)

    def seen(self, number: int) -> np.ndarray[Any, Any] | None:
        """Return what ``save_seen`` kept, or None."""
        try:
            with open(self.folder / f"seen-{number}.npy", "rb") as file:
                kept: np.ndarray[Any, Any] = np.load(file)
                return kept
        except (OSError, ValueError, EOFError):
            return None


def job_folder(store: Path) -> Path:
    """Return where the unfinished job of a store is kept."""
    return store / "jobs"


def shard_name(number: int) -> str:
    """Return the name of a shard of a store."""
    return f"pixels-{number:05d}"


def shard_number(name: str) -> int:
    """Return the number in the name of a shard; -1 if it is no such name."""
    digits = name.partition("-")[2]
    return int(digits) if digits.isdecimal() else -1


def make_job(store: Path, root: str, loader: LoaderOptions, names: Sequence[str], first_shard: int) -> Job:
    """Freeze a conversion to disk.

    The records get a random order, so that neighbours in the store, which slow disks read in one go,
    are a random sample of the sources; it is a function of their number alone, so that the same job
    makes the same files anywhere. The size of the shards depends on nothing but bytes.

    Args:
        store: Directory of the store.
        root: The data root.
        loader: The loader options.
        names: The sources, in the order in which the generator names them first.
        first_shard: Number of the first shard.
    """
    ordered = [names[number] for number in written_order(len(names))]
    folder = job_folder(store)
    shutil.rmtree(folder, ignore_errors=True)  # a job whose last file was never written
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    rows_at, at = [], 0
    step = rows_per_shard(loader, len(ordered))
    with written_whole(folder / "names.jsonl") as file:
        for start in range(0, len(ordered), step):
            line = json_bytes(ordered[start : start + step])
            file.write(line)
            rows_at.append(at)
            at += len(line)
    job = Job(store, root, loader, first_shard, tuple(rows_at), len(ordered))
    fields = {"format": FORMAT, "root": root, "loader": fields_of(loader), "first_shard": first_shard}
    write_json(folder / "job.json", {**fields, "rows_at": rows_at, "num_rows": len(ordered)})
    return job


def load_job(store: Path) -> Job | None:
    """Return the unfinished job of a store, or None where there is none that can be read."""
    try:
        fields = read_json(job_folder(store) / "job.json")
        if fields["format"] != FORMAT:
            return None
        loader = loader_of(fields["loader"])
        names_bytes = os.path.getsize(job_folder(store) / "names.jsonl")
        rows_at = tuple(map(int, fields["rows_at"]))
        if any(at >= names_bytes for at in rows_at):
            return None
        return Job(store, fields["root"], loader, int(fields["first_shard"]), rows_at, int(fields["num_rows"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fields_of(loader: LoaderOptions) -> dict[str, Any]:  # Any: what JSON can hold
    """Return the options as a store keeps them, and as its name is made of them.

    uint8 goes without saying: stores had no dtype when they knew no other, and must still be found.
    """
    fields = asdict(loader)
    if loader.pixel_dtype == "uint8":
        del fields["pixel_dtype"]
    return fields


def loader_of(fields: dict[str, Any]) -> LoaderOptions:  # Any: what JSON holds
    """Return the options that ``fields_of`` took apart."""
    height, width = fields["target_size"]
    return LoaderOptions(**{**fields, "target_size": (int(height), int(width))})


def in_random_order(names: Sequence[str]) -> list[str]:
    """Return the names in a random order that depends on nothing but the names, on any version of anything."""

    def place(name: str) -> bytes:
        return hashlib.blake2b(encode_name(name), digest_size=8, person=b"kerasdiag").digest()

    return sorted(names, key=lambda name: (place(name), name))


def rows_per_shard(loader: LoaderOptions, num_rows: int) -> int:
    """Return how many records a shard holds."""
    one = record_bytes(loader.image_shape, "", np.dtype(loader.pixel_dtype).itemsize)
    target_bytes = min(max(SHARD_BYTES, num_rows * one // SHARDS_WANTED), MOST_SHARD_BYTES)
    for_parallelism = -(-num_rows // FEWEST_SHARDS)
    return max(FEWEST_ROWS, min(max(1, target_bytes // one), for_parallelism))
