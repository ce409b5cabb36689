"""What the profiler tells: one line as soon as there is a verdict, the panel and the files at the end."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO, Union

from kerasdiag.diagnosis import Diagnosis, Verdict
from kerasdiag.environment.process_rank import process_rank
from kerasdiag.findings import Finding, Severity
from kerasdiag.profile import write_whole
from kerasdiag.profile_cache import save_last_profile
from kerasdiag.report import renderer_for
from kerasdiag.report.console import can_encode
from kerasdiag.report.terminal import render_for
from kerasdiag.write_text import write_text

TERMINAL = "terminal"

ReportTarget = Union[str, "os.PathLike[str]"]

logger = logging.getLogger("kerasdiag")


class Publisher:
    """Sends diagnoses to the terminal and to files. No failure of an output reaches the training."""

    def __init__(self, report: object, *, panel_on_stderr: bool = False) -> None:
        """Check the targets while a mistake can still be mended.

        Args:
            report: None, ``"terminal"``, a path, or a list of these.
            panel_on_stderr: Leave stdout to the script.

        Raises:
            ReportError: No format has the extension of a path.
            TypeError: ``report`` is something else.
        """
        targets = [] if report is None else list(report) if isinstance(report, (list, tuple)) else [report]
        self.on_terminal = TERMINAL in targets
        self.paths: list[Path] = []
        self.written: list[Path] = []  # whole, and by us; the path of this process' rank
        for target in targets:
            if target == TERMINAL:
                continue
            if not isinstance(target, (str, os.PathLike)):
                raise TypeError(f"report takes None, 'terminal', a path, or a list of these. Received: {target!r}")
            renderer_for(target)
            path = Path(target)
            self.paths.append(path)
            reason = why_unwritable(path)
            if reason is not None:
                warnings.warn(
                    f"kerasdiag cannot write its report to {path}: {reason}. The training goes on; the profile stays "
                    "readable as profiler.profile. Choose a path in a folder you may write to.",
                    stacklevel=3,
                )
        self._panel_on_stderr = panel_on_stderr
        self._announced: Verdict | None = None
        self._failed: set[str] = set()

    def begin_fit(self) -> None:
        """Forget what was announced: a new fit has a verdict of its own."""
        self._announced = None

    def announce(self, diagnosis: Diagnosis) -> None:
        """Print the verdict in one line if it is a new one; near a threshold it would change with every look."""
        if diagnosis.verdict == self._announced or (self._announced is not None and not diagnosis.is_clear):
            return
        self._announced = diagnosis.verdict
        if self._prints():
            # On a line of its own: Keras' progress bar leaves the cursor behind it.
            print_line(diagnosis.statement)

    def warn(self, findings: Iterable[Finding]) -> None:
        """Print what cannot wait until the end, a line each."""
        for finding in findings:
            if finding.severity in (Severity.WARN, Severity.ERROR) and self._prints():
                print_line(
                    " ".join([finding.message, finding.remedy.text if finding.remedy is not None else ""]).strip()
                )

    def conclude(self, diagnosis: Diagnosis) -> None:
        """Print the panel and write the files."""
        self.write_files(diagnosis)
        if not self._prints():
            return
        if self._panel_on_stderr:
            with contextlib.suppress(Exception):  # a warning would go where the panel could not go
                print_panel(diagnosis, sys.stderr)
        else:
            self._write(lambda: print_panel(diagnosis, sys.stdout))

    def write_files(self, diagnosis: Diagnosis) -> None:
        """Write the report files, whole or not at all."""
        for path in self.paths:
            target = path_with_rank(path)
            self._guard(str(path), lambda target=target: self._write_report(target, diagnosis))  # type: ignore[misc]

    def _write_report(self, path: Path, diagnosis: Diagnosis) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, renderer_for(path)(diagnosis))
        if path not in self.written:
            self.written.append(path)

    def remember(self, diagnosis: Diagnosis) -> None:
        """Keep the profile in the cache directory, for the next run; without a verdict it is no evidence."""
        has_verdict = diagnosis.verdict not in (Verdict.NOT_ENOUGH_DATA, Verdict.UNKNOWN)
        if has_verdict and diagnosis.profile.training_input is not None:
            self._guard("the cache directory", lambda: save_last_profile(diagnosis.profile))

    def _prints(self) -> bool:
        return self.on_terminal and process_rank().rank == 0

    def _write(self, print_it: Callable[[], None]) -> None:
        self._guard("the terminal", print_it)

    def _guard(self, target: str, action: Callable[[], None]) -> None:
        """Do it; say once per target when it fails: a full disk must not end a training."""
        try:
            action()
        except Exception as error:
            if target not in self._failed:
                self._failed.add(target)
                reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
                logger.warning("kerasdiag could not write to %s (%s); the training goes on.", target, reason)


def path_with_rank(path: Path) -> Path:
    """Put the rank before the extensions in a multi-process run, so that no process writes over another's file."""
    rank, size = process_rank()
    if size == 1:
        return path
    stem, dot, extensions = path.name.partition(".")
    return path.with_name(f"{stem}.rank{rank}{dot}{extensions}")


def print_line(statement: str) -> None:
    """Print one line of ours on stderr, behind whatever the training has printed so far; it never raises.

    Stderr may be closed, or have lost its reader: what kerasdiag does must not depend on being heard.
    """
    with contextlib.suppress(Exception):
        stream = sys.stderr
        if not can_encode(stream, statement):
            statement = statement.encode("ascii", "replace").decode("ascii")
        _write(stream, f"\n[kerasdiag] {statement}\n")


def print_panel(diagnosis: Diagnosis, stream: TextIO) -> None:
    """Print the panel, behind whatever the training has printed so far."""
    _write(stream, "\n" + render_for(stream, diagnosis))


def _write(stream: TextIO, text: str) -> None:
    """Write behind what the training has printed on stdout so far."""
    with contextlib.suppress(Exception):  # stdout may be closed while stderr is not
        sys.stdout.flush()
    write_text(stream, text)


def why_unwritable(path: Path) -> str | None:
    """Return why no report can be written there, or None.

    Try, rather than read permission bits: root, read-only mounts and ACLs do not show in them.
    """
    if path.is_dir():
        return "it is a folder"
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{error.strerror or error} ({folder})"
