"""Progress on stderr: a bar where somebody looks on, a line now and then where it goes to a file."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from kerasdiag.write_text import write_text

if TYPE_CHECKING:
    from typing_extensions import Self

LINE_EVERY_S = 10.0


class Progress:
    """Counts images while a ``with`` block runs; says rate and time left.

    Args:
        total: How many there are.
        label: What happens to them.
        verbose: 0 says nothing.
        stream: Where to; stderr by default.
    """

    def __init__(self, total: int, label: str, *, verbose: int = 1, stream: TextIO | None = None) -> None:
        self.total = total
        self.label = label
        self.done = 0
        self._stream = sys.stderr if stream is None else stream
        self._verbose = verbose
        self._started = self._told = 0.0
        self._bar: Any = None  # a rich.progress.Progress
        self._task: Any = None

    def __enter__(self) -> Self:
        self._started = self._told = time.monotonic()
        if self._verbose and self._stream is not None and self._is_terminal():
            self._bar = _rich_bar(self._stream)
            self._task = self._bar.add_task(self.label, total=self.total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more."""
        self.done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
        elif self._verbose and time.monotonic() - self._told >= LINE_EVERY_S:
            self._told = time.monotonic()
            say(self.line(self._told - self._started), self._verbose, self._stream)

    def line(self, elapsed_s: float) -> str:
        """Return the plain line."""
        rate = self.done / elapsed_s if elapsed_s > 0 else 0.0
        left = f", {duration((self.total - self.done) / rate)} left" if rate else ""
        return f"{self.label}: {self.done:,} of {self.total:,} ({rate:,.0f} a second{left})"

    def _is_terminal(self) -> bool:
        try:
            return self._stream.isatty()
        except (AttributeError, ValueError):
            return False


def say(text: str, verbose: int = 1, stream: TextIO | None = None) -> None:
    """Say one line on stderr, unless ``verbose`` is 0; never fails."""
    stream = sys.stderr if stream is None else stream
    if not verbose or stream is None:
        return
    with suppress(OSError, ValueError):  # a closed or broken stderr is no reason to stop a conversion
        write_text(stream, f"kerasdiag: {text}\n")


def duration(seconds: float) -> str:
    """Return a duration in words that fit its size."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def size(num_bytes: float) -> str:
    """Return a number of bytes in words."""
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= one:
            return f"{num_bytes / one:.1f} {unit}"
    return f"{num_bytes:.0f} bytes"


def _rich_bar(stream: TextIO) -> Any:  # Any: rich is imported only where it is used
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or 0:,.0f}/s", style="progress.data.speed")

    columns = (TextColumn("kerasdiag: {task.description}"), BarColumn(), MofNCompleteColumn(), Rate())
    return Bar(*columns, TimeRemainingColumn(), console=Console(file=stream), transient=True)
