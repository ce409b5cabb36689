"""Reports: a diagnosis rendered as text. One module per format, one line per format in the table."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kerasdiag.diagnosis import Diagnosis
from kerasdiag.errors import ReportError
from kerasdiag.report import json_file


def _panel(diagnosis: Diagnosis) -> str:
    from kerasdiag.report import terminal  # rich, which may be broken; not every format needs it

    return terminal.render(diagnosis)


FORMATS: dict[str, Callable[[Diagnosis], str]] = {
    ".json": json_file.render,  # the profile with its diagnosis; `kerasdiag report` reads it back
    ".txt": _panel,  # the panel, without colours
}


def renderer_for(path: str | os.PathLike[str]) -> Callable[[Diagnosis], str]:
    """Return the renderer for a file name.

    Raises:
        ReportError: No format has this extension.
    """
    extension = Path(path).suffix.lower()
    try:
        return FORMATS[extension]
    except KeyError:
        known = ", ".join(FORMATS)
        later = " HTML is not built yet." if extension in (".html", ".htm") else ""
        raise ReportError(
            f"Reports go to 'terminal', or to a file with the extension {known}.{later} Received: {os.fspath(path)!r}"
        ) from None
