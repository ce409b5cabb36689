"""A finished pixel store, opened for reading.

    store.json                    what this is; the loader options; the data root
    index.json                    the finished shards, in order; written last
    shards/pixels-00000.tfrecord  the pixels
    shards/pixels-00000.json      manifest: name, size, content_hash, offsets of each record
    plans/                        labels, order and augmentation of each generator (not this module's)
    jobs/                         an unfinished conversion
    local/                        caches of this machine; may be deleted at any time

A name may have several records, where its file changed: the last one counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kerasdiag.errors import StoreError
from kerasdiag.repair.conversion.job import loader_of
from kerasdiag.repair.conversion.shard import Manifest, Skipped
from kerasdiag.repair.pixel_store.store_files import read_json
from kerasdiag.repair.pixel_store.tfrecord import encode_name, problem_of
from kerasdiag.spec import LoaderOptions

FORMAT = 1
# Raise it when a reader of the version before could misunderstand the files.
#   1: first version.
ABOUT = (
    "A pixel store of kerasdiag. Each record of shards/*.tfrecord is a tf.train.Example with the features `image`"
    " (raw pixels, height x width x channels, exactly what the Keras loader with the options below makes of the file;"
    " uint8, or little-endian of the pixel_dtype that stands among the options), `shape` (these three numbers) and `source` (the file's name below the data root). Read it with"
    " tf.data.TFRecordDataset, tf.io.parse_single_example and tf.io.decode_raw. Shards in index.json only are"
    " complete; the manifest beside each holds names, sizes and content_hash of the sources and the offsets of the records;"
    " where a name has several records, the last one counts. Everything can be made again from the images: the"
    " directory may be deleted when no training uses it."
)


@dataclass(frozen=True, eq=False)
class Store:
    """An opened, finished store. Opening reads the manifests, not the pixels.

    Attributes:
        directory: Where it is.
        loader: What decided the pixels.
        root: The data root when the store was made.
        names: Source of each record.
        files: Absolute path of each shard.
        file: For each record its shard, int32 [records].
        record_offset: Where each record begins in its file, int64 [records].
        record_length: Length of each record with its framing, int64 [records].
        data_offset: Where the pixels of each record begin in its file, int64 [records].
        size: Size of each source when it was converted, int64 [records].
        content_hash: Hash of each source's bytes, "S16" [records].
        skipped: The sources that could not be loaded, by name.
        shards: Names of the shards, in order.
    """

    directory: Path
    loader: LoaderOptions
    root: str
    names: Sequence[str]
    files: tuple[str, ...]
    file: np.ndarray[Any, Any]
    record_offset: np.ndarray[Any, Any]
    record_length: np.ndarray[Any, Any]
    data_offset: np.ndarray[Any, Any]
    size: np.ndarray[Any, Any]
    content_hash: np.ndarray[Any, Any]
    skipped: dict[str, Skipped]
    shards: tuple[str, ...]
    num_bytes: int
    _replaced: dict[str, int] = field(repr=False)

    @property
    def num_records(self) -> int:
        """Records in all shards, those of changed sources included."""
        return len(self.names)

    @cached_property
    def record_of_name(self) -> dict[str, int]:
        """The record that counts, by name."""
        records = {name: record for record, name in enumerate(self.names)}
        for name, after in self._replaced.items():
            if records.get(name, after) < after:
                del records[name]
        return records

    @property
    def dead_bytes(self) -> int:
        """Bytes of records that no longer count."""
        alive = np.fromiter(self.record_of_name.values(), np.int64, len(self.record_of_name))
        return int(self.record_length.sum() - self.record_length[alive].sum())

    def lookup(self, names: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the record of each name, -1 where there is none; int64 [names]."""
        records = self.record_of_name
        return np.fromiter((records.get(name, -1) for name in names), np.int64, len(names))

    def verify(self, sample: int | None = None, progress: Callable[[int], None] | None = None) -> list[str]:
        """Compare records with their checksums.

        Args:
            sample: How many records, chosen at random but always the same; None: all.
            progress: Called with 1 after each record.

        Returns:
            What is wrong, one sentence each.
        """
        records = np.arange(self.num_records)
        if sample is not None and sample < len(records):
            records = np.sort(np.random.default_rng(0).choice(records, sample, replace=False))
        problems = []
        for number, path in enumerate(self.files):
            of_file = records[self.file[records] == number]
            if not len(of_file):
                continue
            try:
                with open(path, "rb") as file:
                    problems += self._verify_file(file, of_file, progress)
            except OSError as error:
                problems.append(f"{path} cannot be read: {error.strerror}.")
        return problems

    def _verify_file(self, file: Any, records: Iterable[int], progress: Callable[[int], None] | None) -> list[str]:
        problems = []
        for record in records:
            file.seek(int(self.record_offset[record]))
            content = file.read(int(self.record_length[record]))
            problem = problem_of(content)
            if problem is None and not content[:-4].endswith(encode_name(self.names[record])):
                problem = "holds another image than the manifest says"
            if problem is not None:
                problems.append(f"The record of {self.names[record]} in {file.name} {problem}.")
            if progress is not None:
                progress(1)
        return problems


def open_store(directory: str | os.PathLike[str]) -> Store:
    """Open a finished store.

    Raises:
        StoreError: There is none, it is unfinished, foreign, made by a newer kerasdiag, or a shard is damaged.
    """
    directory = Path(directory).absolute()
    loader, root = read_header(directory)
    try:
        shards = read_json(directory / "index.json")["shards"]
    except FileNotFoundError:
        raise StoreError(
            f"The pixel store in {directory} is not finished: its conversion was interrupted. The next autofix with"
            " the same generator goes on where it stopped."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{directory / 'index.json'} cannot be read ({error}). {_HOW_TO_MEND}") from None
    manifests = []
    for shard in shards:
        manifest, problem = read_shard(directory, str(shard))
        if manifest is None:
            raise StoreError(f"{problem} {_HOW_TO_MEND}")
        manifests.append(manifest)
    return store_of(directory, loader, root, manifests)


_HOW_TO_MEND = "The next autofix with the same generator makes again what is damaged; or delete the store's directory."


def read_header(directory: Path) -> tuple[LoaderOptions, str]:
    """Return the loader options and the data root of a store, finished or not.

    Raises:
        StoreError: There is no store, or none that this version can read.
    """
    path = directory / "store.json"
    try:
        fields = read_json(path)
        version = fields["kerasdiag_pixel_store"]
    except FileNotFoundError:
        raise StoreError(f"There is no pixel store in {directory}: it has no store.json.") from None
    except OSError as error:
        raise StoreError(f"The pixel store in {directory} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is not that of a pixel store of kerasdiag.") from None
    if version != FORMAT:
        raise StoreError(
            f"The pixel store in {directory} has format {version}; this kerasdiag reads format {FORMAT}. Upgrade"
            " kerasdiag, or choose another cache_dir."
        )
    try:
        return loader_of(fields["loader"]), str(fields["root"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} cannot be understood: {error}.") from None


def read_shard(directory: Path, shard: str) -> tuple[Manifest | None, str]:
    """Return the manifest of a shard, or None and what is wrong with the shard."""
    path = directory / "shards" / f"{shard}.json"
    data = path.with_suffix(".tfrecord")
    try:
        manifest = Manifest.load(path)
        actual = os.path.getsize(data)
    except OSError as error:
        return None, f"{error.filename} cannot be read: {error.strerror}."
    except ValueError as error:
        return None, f"{path} is damaged: {error}."
    if actual != manifest.bytes:
        return None, f"{data} has {actual:,} bytes instead of {manifest.bytes:,}: it is truncated or was changed."
    return manifest, ""


def store_of(directory: Path, loader: LoaderOptions, root: str, manifests: Sequence[Manifest]) -> Store:
    """Return the store that consists of these shards."""
    names: list[str] = []
    skipped: dict[str, Skipped] = {}
    replaced: dict[str, int] = {}
    for manifest in manifests:
        for one in manifest.skipped:
            skipped[one.name] = one
            if one.size is not None:  # else the file was merely out of reach; its record may still be right
                replaced[one.name] = len(names)
        if skipped:
            for name in manifest.names:
                skipped.pop(name, None)
        names += manifest.names
    counts = [len(manifest.names) for manifest in manifests]

    def column(name: str) -> np.ndarray[Any, Any]:
        return np.asarray([value for manifest in manifests for value in getattr(manifest, name)], np.int64)

    return Store(
        directory=directory,
        loader=loader,
        root=root,
        names=names,
        files=tuple(str(directory / "shards" / f"{manifest.shard}.tfrecord") for manifest in manifests),
        file=np.repeat(np.arange(len(manifests), dtype=np.int32), counts),
        record_offset=column("record_offsets"),
        record_length=column("record_lengths"),
        data_offset=column("data_offsets"),
        size=column("sizes"),
        content_hash=np.asarray([value for manifest in manifests for value in manifest.content_hash], "S16"),
        skipped=skipped,
        shards=tuple(manifest.shard for manifest in manifests),
        num_bytes=sum(manifest.bytes for manifest in manifests),
        _replaced=replaced,
    )
