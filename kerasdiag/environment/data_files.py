"""The files of a training: how many, how large, and some of them to look at. Bounded in time, never written to."""

from __future__ import annotations

import csv
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kerasdiag.environment.placeholders import count_placeholders
from kerasdiag.environment.storage import StorageFacts, storage_of
from kerasdiag.environment.storage_class import FROM_SLOWEST
from kerasdiag.errors import DoctorUsageError

# What Keras' flow_from_directory and flow_from_dataframe take (keras/preprocessing/image.py).
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
X_COL = "filename"  # of flow_from_dataframe
LISTING_S = 1.0  # a local disk lists about a million names in it; on a network it is what a user waits without asking
SAMPLE_SIZE = 128
_TAKES = "--data takes a folder of images or a CSV file."
_STORAGE_SAMPLE = 16  # links may lead from one folder to several disks
_CLOCK_EVERY = 16  # names; a folder on a network may hold one


class DataRequest(NamedTuple):
    """Which data are meant.

    Attributes:
        path: A folder, or a CSV file with one row for each image.
        x_col: Column of the CSV that holds the file names, as in ``flow_from_dataframe``; None: ``X_COL``.
        directory: Folder that these names are relative to; None: the folder of the CSV.
    """

    path: str
    x_col: str | None = None
    directory: str | None = None


@dataclass(frozen=True)
class DataFacts:
    """The files of a training.

    Attributes:
        path: What was named on the command line.
        folder: The folder that all files of the sample lie below.
        count: Files found (rows of a CSV).
        is_complete: Whether all were counted; listing stops after ``LISTING_S``.
        sample: Paths of some existing files, drawn evenly from those listed.
        mean_bytes: Mean size of the sample.
        missing: How many more were drawn that do not exist: names in a list, or links that lead nowhere.
        missing_name: One of them; empty where there are none.
        storage: What the files of the sample lie on; where they lie on several disks, the slowest.
        placeholders: How many of the sample have their content in a cloud only; None where the system does not tell.
        is_list: Whether a CSV names them, and not a folder.
    """

    path: str
    folder: str
    count: int
    is_complete: bool
    sample: tuple[str, ...]
    mean_bytes: float
    missing: int
    storage: StorageFacts
    placeholders: int | None = None
    missing_name: str = ""
    is_list: bool = False

    @property
    def total_bytes(self) -> float:
        """Size of all files by the mean of the sample."""
        return self.count * self.mean_bytes


def find_data(request: DataRequest, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> DataFacts:
    """List the files that a training reads.

    Args:
        request: Which data.
        root: Where ``/proc``, ``/sys`` and the data are found; tests pass a tree of their own.
        clock: Seconds; the listing stops by it.

    Raises:
        DoctorUsageError: There are no such data, or the CSV cannot be read as one.
    """
    if not request.path:  # a variable of a shell script that is not set
        raise DoctorUsageError(f"--data is empty. {_TAKES}")
    try:
        path = _inside(request.path, root)
    except FileNotFoundError:
        raise DoctorUsageError(f"{request.path}: the current directory does not exist any more.") from None
    for option, value in (("--directory", request.directory), ("--x-col", request.x_col)):
        if value is not None and path.is_dir():
            raise DoctorUsageError(f"{option} belongs to a CSV file, and {request.path} is a folder. Leave it out.")
    if path.is_dir():
        found, is_complete = _draw(_walk(path, request), clock)
        # Beside images, lists and labels are no data; without images everything is (records, arrays).
        drawn = found[True] if found[True].count else found[False]
    elif path.is_file():
        found, is_complete = _draw(_rows(path, request), clock)
        drawn = found[True]
        directory = path.parent if request.directory is None else _inside(request.directory, root)
        drawn.names = [os.fspath(_inside(n, root) if os.path.isabs(n) else directory / n) for n in drawn.names]
    elif path.exists():  # a pipe, for one, can be read only once
        raise DoctorUsageError(f"{request.path} is neither a folder nor a file. {_TAKES}")
    else:
        raise DoctorUsageError(f"{request.path}: no such folder or file. {_TAKES}")
    if not drawn.count:
        raise DoctorUsageError(f"{request.path} holds no files. {_TAKES}")
    tried = list(dict.fromkeys(drawn.names))  # a file may stand in several rows
    sizes = {name: size for name, size in zip(tried, map(_size, tried)) if size is not None}
    if not sizes:
        why = "Links that lead nowhere are no images."
        if not path.is_dir():
            why = "--directory names the folder that the file names are relative to."
        raise DoctorUsageError(
            f"{request.path}: none of {len(tried)} files tried exists, for example {tried[0]}. {why}"
        )
    storages = [storage_of(_outside(name, root), root) for name in list(sizes)[:_STORAGE_SAMPLE]]
    return DataFacts(
        path=request.path,
        folder=_outside(_common_folder(sizes, path), root),
        count=drawn.count,
        is_complete=is_complete,
        sample=tuple(sizes),
        mean_bytes=sum(sizes.values()) / len(sizes),
        missing=len(tried) - len(sizes),
        placeholders=count_placeholders(tuple(sizes)),
        missing_name=next((name for name in tried if name not in sizes), ""),
        is_list=not path.is_dir(),
        storage=min(storages, key=lambda storage: FROM_SLOWEST.index(storage.storage_class)),
    )


def _common_folder(names: Iterable[str], path: Path) -> str:
    try:
        return os.path.commonpath([os.path.dirname(name) for name in names])
    except ValueError:  # two drives of Windows
        return os.fspath(path if path.is_dir() else path.parent)


class _Sample:
    """Counts names and keeps some of them, drawn evenly (Vitter's algorithm R) and the same ones each time."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []
        self._draw = random.Random(0)  # noqa: S311 - a sample, no secret

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.names) < SAMPLE_SIZE:
            self.names.append(name)
            return
        place = int(self._draw.random() * self.count)
        if place < SAMPLE_SIZE:
            self.names[place] = name

    def shuffle(self) -> None:
        self._draw.shuffle(self.names)


def _draw(found: Iterator[tuple[bool, str]], clock: Callable[[], float]) -> tuple[dict[bool, _Sample], bool]:
    """Sample names, images and others apart, until the time is up; tell whether these were all."""
    samples = {True: _Sample(), False: _Sample()}
    end = clock() + LISTING_S
    is_complete = True
    for number, (is_image, name) in enumerate(found):
        samples[is_image].add(name)
        if number % _CLOCK_EVERY == 0 and clock() > end:
            is_complete = False
            break
    for sample in samples.values():
        sample.shuffle()
    return samples, is_complete


def _walk(folder: Path, request: DataRequest) -> Iterator[tuple[bool, str]]:
    """Files below a folder, and whether they are images. Links to folders are not followed, as in Keras."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise DoctorUsageError(f"{request.path} cannot be listed ({error.strerror or error}).") from None
    waiting = [os.fspath(folder)]
    while waiting:
        # A folder below that may not be entered is passed over; the training cannot enter it either.
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not entry.name.startswith("."):
                    yield entry.name.lower().endswith(IMAGE_SUFFIXES), entry.path


def _rows(path: Path, request: DataRequest) -> Iterator[tuple[bool, str]]:
    """Names in a CSV, as they stand there, one for each row."""
    x_col = X_COL if request.x_col is None else request.x_col
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            columns = next(reader, [])
            if not columns:
                raise DoctorUsageError(f"{request.path} is empty. {_TAKES}")
            if x_col not in columns:
                if not "".join(columns).isprintable():
                    raise DoctorUsageError(f"{request.path} is no text (UTF-8). {_TAKES}")
                raise DoctorUsageError(
                    f"{request.path} has no column {x_col!r}; its columns are: {', '.join(columns)[:200]}. "
                    "--x-col names the one with the file names."
                )
            column = columns.index(x_col)
            for row in reader:
                if len(row) > column and row[column]:
                    yield True, row[column]
    except csv.Error as error:
        raise DoctorUsageError(f"{request.path} cannot be read as CSV ({error}). {_TAKES}") from None
    except OSError as error:
        raise DoctorUsageError(f"{request.path} cannot be read ({error.strerror or error}). {_TAKES}") from None


def _size(name: str) -> int | None:
    try:
        return os.stat(name).st_size
    except (OSError, ValueError):
        return None


def _inside(path: str, root: Path) -> Path:
    """Where a path of the machine is found under ``root``."""
    whole = os.path.abspath(path)
    return Path(whole) if root == Path("/") else root / whole.lstrip("/")


def _outside(name: str, root: Path) -> str:
    """Undo ``_inside``."""
    return name if root == Path("/") else "/" + os.path.relpath(name, root)
