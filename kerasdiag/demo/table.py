"""The before/after table of the demo, as text."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from kerasdiag.demo.outcome import Outcome, Run
from kerasdiag.report.console import make_text
from kerasdiag.report.terminal import duration


def render(outcome: Outcome, *, width: int = 80, color: bool = False, ascii_only: bool = False) -> str:
    """Return the table and what follows from it.

    Args:
        outcome: What was measured.
        width: Columns, at least 40.
        color: Whether to add ANSI colours.
        ascii_only: Whether the output can hold ASCII only.
    """
    parts = table(outcome, ascii_only=ascii_only), *map(Text, notes(outcome))
    return make_text(*parts, width=width, color=color, ascii_only=ascii_only)


def notes(outcome: Outcome) -> list[str]:
    """Return what stands under the table, one sentence each."""
    lines = []
    if outcome.after is not None and outcome.speedup is not None:
        first = outcome.before.step_s / outcome.after.step_s
        line = f"A step is {outcome.speedup:.1f} times faster than with the generator at its best"
        lines.append(line + (f", {first:.1f} times faster than before." if first > outcome.speedup else "."))
    if outcome.conversion_s is not None:
        line = f"Converting {outcome.converted:,} images took {duration(outcome.conversion_s)}, once"
        even = outcome.break_even_epochs
        if even is not None:
            line += f"; against the generator at its best that is earned back after {even:.1f} epochs"
        lines.append(line + ".")
    elif outcome.after is not None:
        lines.append("The images had been converted before.")
    if outcome.before.diagnosis.gpu_not_measured:
        lines.append(f"GPU not measured: {outcome.before.diagnosis.gpu_not_measured}.")
    lines.append(
        f"The model was sized for this machine: its step on a batch in memory takes {duration(outcome.cached_step_s)}, "
        f"{outcome.model_share or 0.0:.0%} of the {duration(outcome.generator_batch_s)} that the generator needs for a batch at its best."
    )
    return lines


def table(outcome: Outcome, *, ascii_only: bool = False) -> Table:
    """Return the table alone, for a console of any kind."""
    rows = Table(box=box.ASCII if ascii_only else box.ROUNDED, title="Before and after")
    rows.add_column("fed by")
    for name in ("images/s", "step", "data wait", "GPU"):
        rows.add_column(name, justify="right", no_wrap=True)
    best = outcome.best if outcome.best != outcome.before else None  # the default may be the best
    for run, style in ((outcome.before, "red"), (best, ""), (outcome.after, "bold green")):
        if run is not None:
            rows.add_row(*_cells(run), style=style)
    return rows


def _cells(run: Run) -> tuple[str, ...]:
    gpu = run.diagnosis.gpu_utilization_percent
    return (
        run.name,
        f"{run.images_per_s:,.0f}",
        duration(run.step_s),
        f"{run.wait_fraction * 100:.1f} %",
        "not measured" if gpu is None else f"{gpu:.0f} %",
    )
