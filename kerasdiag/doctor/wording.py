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


def files(data: DataFacts) -> str:
    """Return number and size of the files of a training; both are lower bounds where listing was stopped."""
    counted = f"{data.count:,} files" if data.count != 1 else "1 file"
    is_estimate = len(data.sample) + data.missing < data.count
    text = f"{counted}, {'about ' if is_estimate else ''}{size(data.total_bytes)}"
    if not data.is_complete:
        text = f"at least {text} (listing stopped after {LISTING_S:g} s)"
    if data.missing:
        text += f"; {data.missing} of {data.missing + len(data.sample)} files tried do not exist"
    return text
