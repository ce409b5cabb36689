"""The doctor's report as JSON: for scripts."""

from __future__ import annotations

import json

from kerasdiag.findings import DoctorReport
from kerasdiag.texts import with_texts


def render(report: DoctorReport) -> str:
    """Return the report as JSON text; ``schema_version`` says which fields there are."""
    return json.dumps(with_texts(report.to_dict(), _whole), allow_nan=False, indent=1) + "\n"


def _whole(text: str) -> str:
    """A name that is no valid text has halves of characters, which most readers of JSON refuse; they become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
