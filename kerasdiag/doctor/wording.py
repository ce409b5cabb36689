"""Numbers as a reader takes them in: three digits and a unit."""

from __future__ import annotations

from kerasdiag.environment.data_files import LISTING_S, DataFacts


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 300:
        return f"{seconds / 60:.0f} min"
    if seconds >= 10:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    if seconds >= 0.01:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 0.001 else f"{seconds * 1e3:.2g} ms"


def size(num_bytes: float) -> str:
    """Return a number of bytes in the unit that suits it (1 kB is 1000 bytes)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if num_bytes < 999.5:
            return f"{num_bytes:.0f} {unit}" if num_bytes >= 100 or unit == "bytes" else f"{num_bytes:.2g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"


def factor(ratio: float) -> str:
    """Return how many times as much something is: two digits."""
    return f"{float(f'{ratio:.2g}'):,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def by_count(count: int, one: str, several: str) -> str:
    """Return the word that goes with a number: "1 worker does", "2 workers do"."""
    return one if count == 1 else several


def workers(count: int) -> str:
    """Return so many workers in words."""
    return f"{count} {by_count(count, 'worker', 'workers')}"


def files(data: DataFacts) -> str:
    """Return number and size of the files of a training; both are lower bounds where listing was stopped."""
    counted = f"{data.count:,} {by_count(data.count, 'file', 'files')}"
    is_estimate = len(data.sample) + data.missing < data.count
    text = f"{counted}, {'about ' if is_estimate else ''}{size(data.total_bytes)}"
    if not data.is_complete:
        text = f"at least {text} (listing stopped after {LISTING_S:g} s)"
    if data.missing:
        tried = data.missing + len(data.sample)
        text += f"; {data.missing} of {tried} files tried {by_count(data.missing, 'does', 'do')} not exist"
    return text
