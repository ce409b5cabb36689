"""What a sample of image files is, in numbers and in words."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Sequence

from kerasdiag.doctor.wording import duration, factor, size
from kerasdiag.environment.data_files import DataFacts
from kerasdiag.environment.throughput.facts import ImageFile, ImageWork
from kerasdiag.findings import Evidence, Provenance

GONE = "No such file or directory"  # between listing and looking: somebody moves the data about
_NAMES = 5  # of bad files; a reader looks at a few
_KINDS = 3  # of what is wrong with them
# With more folders than that in the sample, it cannot have seen all of them.
_MOST_FOLDERS = 32


def sound(census: Sequence[ImageFile]) -> list[ImageFile]:
    """Return the files whose header was read."""
    return [file for file in census if file.format and not file.problem]


def mean_pixels(census: Sequence[ImageFile]) -> float:
    """Return the mean number of pixels of the sound files, 0 where there are none."""
    files = sound(census)
    return statistics.fmean(file.pixels for file in files) if files else 0.0


def census_in_words(census: Sequence[ImageFile], data: DataFacts, work: ImageWork) -> str:
    """Return number, formats, sizes and folders of the files."""
    files = sound(census)
    looked = f"{len(census)} of {data.count:,} files looked at, {sum(file.is_decoded for file in census)} decoded whole"
    if not files:
        return looked
    formats = Counter(file.format for file in files)
    shares = ", ".join(f"{name} {share * 100 / len(files):.0f} %" for name, share in formats.most_common(3))
    target = work.target_size[0] * work.target_size[1]
    ratio = mean_pixels(census) / target
    middle = sorted(files, key=lambda file: file.pixels)[len(files) // 2]
    shown = f"{middle.width}x{middle.height} in the median, {factor(ratio)} times the pixels of the target on average"
    return f"{looked}: {shares}; {shown}; {size(data.mean_bytes)} each{_folders(census, data)}"


def problems_in_words(files: Sequence[ImageFile]) -> str:
    """Return what is wrong with some files, the most frequent first."""
    counts = Counter(file.problem for file in files).most_common()
    said = [f"{problem} ({count})" if len(counts) > 1 else problem for problem, count in counts[:_KINDS]]
    return ", ".join(said) + (", and more" if len(counts) > _KINDS else "")


def names_of(files: Sequence[ImageFile]) -> tuple[Evidence, ...]:
    """Return some of the files by name, each with what is wrong with it; the user's own business."""
    named = [file.path + (f": {file.problem}" if file.problem else "") for file in files[:_NAMES]]
    if len(files) > _NAMES:
        named[-1] += f"; and {len(files) - _NAMES} more"
    return tuple(Evidence(one, Provenance.MEASURED, is_private=True) for one in named)


def decode_times(census: Sequence[ImageFile]) -> str:
    """Return how long decoding took, by format; empty where nothing was decoded."""
    by_format: dict[str, list[float]] = {}
    for file in census:
        if file.decode_s is not None:
            by_format.setdefault(file.format, []).append(file.decode_s)
    return ", ".join(
        f"{name} {duration(statistics.median(times))}" for name, times in sorted(by_format.items()) if len(times) >= 3
    )


def _folders(census: Sequence[ImageFile], data: DataFacts) -> str:
    folders = len({os.path.dirname(file.path) for file in census})
    if folders > _MOST_FOLDERS:
        return f", in {folders} folders or more"
    return f", about {data.count / folders:,.0f} in each of {folders} folders" if folders > 1 else ", in one folder"
