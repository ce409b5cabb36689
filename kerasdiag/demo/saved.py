"""The figures of a demo as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasdiag.demo.outcome import Outcome, Run
from kerasdiag.diagnosis import diagnose
from kerasdiag.errors import DataError
from kerasdiag.profile import RunProfile, write_whole
from kerasdiag.profiler.publisher import why_unwritable

_FIGURES = "demo.json"


def check_folder(folder: Path) -> None:
    """See whether files can be written to a folder, which need not exist yet.

    Raises:
        DataError: They cannot.
    """
    reason = why_unwritable(folder / _FIGURES)
    if reason is not None:
        raise DataError(f"{folder}: cannot be written ({reason}). Choose another --save.")


def save(outcome: Outcome, folder: Path) -> None:
    """Write the three profiles and the figures beside them.

    Raises:
        DataError: The folder cannot be written.
    """
    runs = {"before": outcome.before, "best": outcome.best, "after": outcome.after}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, run in runs.items():
            if run is not None:
                run.diagnosis.profile.save(folder / f"{name}.kdprof.json")
        write_whole(folder / _FIGURES, json.dumps(figures(outcome), indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error}). Choose another --save.") from error


def load(folder: Path) -> Outcome:
    """Read what ``save`` wrote.

    Raises:
        DataError: There is no saved demo in the folder, or it is not one of this version.
        ProfileFileError: A profile cannot be read.
    """
    try:
        known = json.loads((folder / _FIGURES).read_text(encoding="utf-8"))
        runs = [
            Run(run["name"], diagnose(RunProfile.load(folder / f"{name}.kdprof.json")), run["batch_size"])
            for name, run in zip(("before", "best", "after"), known["runs"])
        ]
        kept = {
            name: known[name]
            for name in ("cached_step_s", "generator_batch_s", "conversion_s", "converted", "kernel", "kernel_reason")
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no demo saved by `kerasdiag demo --save`: {error}.") from error
    return Outcome(runs[0], runs[1], runs[2] if len(runs) > 2 else None, **kept)


def figures(outcome: Outcome) -> dict[str, Any]:  # Any: JSON values
    """Return the numbers of the table."""
    runs: Sequence[Run | None] = (outcome.before, outcome.best, outcome.after)
    return {
        "runs": [
            {
                "name": run.name,
                "batch_size": run.batch_size,
                "images_per_s": run.images_per_s,
                "step_s": run.step_s,
                "data_wait_fraction": run.diagnosis.data_wait_fraction,
                "verdict": str(run.diagnosis.verdict),
                "gpu_utilization_percent": run.diagnosis.gpu_utilization_percent,
            }
            for run in runs
            if run is not None
        ],
        "speedup": outcome.speedup,
        "break_even_epochs": outcome.break_even_epochs,
        "conversion_s": outcome.conversion_s,
        "converted": outcome.converted,
        "cached_step_s": outcome.cached_step_s,
        "generator_batch_s": outcome.generator_batch_s,
        "model_share": outcome.model_share,
        "kernel": outcome.kernel,
        "kernel_reason": outcome.kernel_reason,
        "failures": list(outcome.failures),
    }
