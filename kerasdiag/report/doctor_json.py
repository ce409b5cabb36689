"""The doctor's report as JSON: for scripts."""

from __future__ import annotations

import json

from kerasdiag.findings import DoctorReport


def render(report: DoctorReport) -> str:
    """Return the report as JSON text; ``schema_version`` says which fields there are."""
    return json.dumps(report.to_dict(), allow_nan=False, indent=1) + "\n"
