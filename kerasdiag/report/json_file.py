"""The profile with its diagnosis as JSON: for scripts, and for ``kerasdiag report`` to read back."""

# Named json_file so that it does not hide the standard library's json.

from __future__ import annotations

from kerasdiag.diagnosis import Diagnosis


def render(diagnosis: Diagnosis) -> str:
    """Return the text of a ``.kdprof.json`` file, diagnosis included."""
    return diagnosis.profile.to_json(diagnosis=diagnosis.to_dict())
