"""One shard of a store: the TFRecord file, and the manifest beside it that says it is complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np

from kerasdiag.repair.conversion.job import Job
from kerasdiag.repair.conversion.loader import PixelRangeError, as_stored, load_bytes
from kerasdiag.repair.pixel_store.content_hash import content_hash
from kerasdiag.repair.pixel_store.sources import path_of, settled_mtime_ns
from kerasdiag.repair.pixel_store.store_files import EarlyWriter, read_json, write_json, written_whole
from kerasdiag.repair.pixel_store.tfrecord import encode_record

Load = Callable[[str], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Skipped:
    """A source that could not be loaded; size and content_hash are None where it could not even be read."""

    name: str
    size: Optional[int]
    content_hash: Optional[str]
    reason: str


@dataclass
class Manifest:
    """The records of a shard as columns, in the order of the file; and the sources it had to leave out.

    Offsets count from the start of the file: a record begins with its framing, its pixels at
    ``data_offset``.
    """

    shard: str
    bytes: int = 0
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    content_hash: list[str] = field(default_factory=list)
    record_offsets: list[int] = field(default_factory=list)
    record_lengths: list[int] = field(default_factory=list)
    data_offsets: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a manifest.

        Raises:
            OSError: It is not there.
            ValueError: It is not a manifest.
        """
        try:
            fields = read_json(path)
            skipped = [Skipped(**one) for one in fields.pop("skipped")]
            manifest = cls(**fields, skipped=skipped)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"{path} is not the manifest of a shard: {error}") from None
        columns = ("names", "sizes", "content_hash", "record_offsets", "record_lengths", "data_offsets")
        if len({len(getattr(manifest, column)) for column in columns}) != 1:
            raise ValueError(f"{path} has columns of unequal length")
        return manifest


class WideImageError(Exception):
    """A source whose pixels do not fit into the store; ends the conversion whatever ``bad_images`` says.

    The image is sound and the store too narrow: it is never a bad image.

    Attributes:
        path: The source.
        found: Its values, in words.
        needed: The narrowest dtype of a store that holds them, or None where none does.
    """

    def __init__(self, path: str, found: str, needed: str | None) -> None:
        super().__init__(f"{path}: {found}")
        self.path, self.found, self.needed = path, found, needed


def convert_shard(
    job: Job,
    number: int,
    *,
    load: Load | None = None,
    on_image: Callable[[], None] | None = None,
    may_commit: Callable[[], None] | None = None,
) -> Manifest:
    """Make shard ``number`` of a job; the same files whoever makes it, and however often.

    Memory is that of one image. The TFRecord file is complete and on the disk before the manifest
    is; a shard without manifest does not exist.

    Args:
        job: The job.
        number: From 0.
        load: Loads a file by its path; None: our own loader, from the bytes that are hashed.
        on_image: Called after every image.
        may_commit: Called before the file gets its name; raises where it must not.

    Raises:
        WideImageError: A source has values that the store's dtype does not hold.
        OSError: The shard cannot be written.
    """
    manifest = Manifest(shard=job.shard_name(number))
    seen: list[int] = []
    target = job.shards / f"{manifest.shard}.tfrecord"
    with written_whole(target, before_rename=may_commit, sync_name=False) as file:
        writer = EarlyWriter(file)
        for name in job.names(number):
            source = _read(path_of(job.root, name), job, load)
            if isinstance(source.result, str):
                manifest.skipped.append(Skipped(name, source.size, source.content_hash, source.result))
            else:
                record = encode_record(source.result, job.loader.image_shape, name)
                writer.write(record.parts)
                manifest.names.append(name)
                manifest.sizes.append(source.size or 0)
                manifest.content_hash.append(source.content_hash or "")
                manifest.record_offsets.append(manifest.bytes)
                manifest.record_lengths.append(record.length)
                manifest.data_offsets.append(manifest.bytes + record.data_offset)
                manifest.bytes += record.length
                seen.append(source.mtime_ns)
            if on_image is not None:
                on_image()
    job.save_seen(number, seen)
    write_json(job.manifest_path(number), asdict(manifest))
    return manifest


@dataclass
class _Source:
    result: bytes | str  # the pixels, or why there are none
    size: int | None = None
    content_hash: str | None = None
    mtime_ns: int = -1


def _read(path: str, job: Job, load: Load | None) -> _Source:
    """Load one source; a file that changes meanwhile is read once more."""
    for _ in range(2):
        try:
            with open(path, "rb") as file:
                before = os.fstat(file.fileno())
                data = file.read()
                source = _Source("", len(data), content_hash(data))
                source.result = _load(data, path, job, load)
                after = os.stat(path)  # by name: the file may have been replaced
        except OSError as error:
            return _Source(error.strerror or str(error))
        except ValueError as error:  # a name that no file can have
            return _Source(str(error))
        if (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino) and (
            before.st_size == len(data)
        ):
            source.mtime_ns = settled_mtime_ns(after)
            return source
    return _Source("the file changed while it was being read")


def _load(data: bytes, path: str, job: Job, load: Load | None) -> bytes | str:
    if not data:
        return "the file is empty"
    try:
        if load is not None:
            return as_stored(np.asarray(load(path)), job.loader).tobytes()
        return load_bytes(data, job.loader)
    except PixelRangeError as error:
        raise WideImageError(path, str(error), error.needed) from None
    except Exception as error:
        return reason_of(error)


def reason_of(error: BaseException) -> str:
    """Return why an image could not be loaded, in words that do not depend on the process."""
    text = str(error).strip().split("\n")[0]
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image that Pillow can read"
    return f"{text} ({type(error).__name__})" if text else type(error).__name__
