"""A choice as the lines that the user sees."""

from __future__ import annotations

from kerasdiag.repair.choice.candidate import Candidate, Choice, Need

_HEADER = ("repair", "at most", "measured", "training then")


def lines(choice: Choice) -> list[str]:
    """Return what the training asks, a table of the repairs in images a second, and why it is this one."""
    rows = [_HEADER, *(_row(one, choice.need) for one in choice.candidates if not one.impossible)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    chosen = choice.chosen.text
    table = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        table.append("  " + "  ".join(cells) + ("  <- chosen" if row[0] == chosen else ""))
    return [
        f"{_describe(choice.need)} The smallest repair that feeds it, in images/s:",
        *table,
        *(f"  not possible: {one.text}: {one.impossible}" for one in choice.candidates if one.impossible),
        f"chosen: {chosen}; {choice.reason}.",
    ]


def _describe(need: Need) -> str:
    if need.now_images_per_s is None:
        return f"validation could take about {need.images_per_s:,.0f} images/s, judged by the training."
    return f"this training gets {need.now_images_per_s:,.0f} images/s and could take {need.images_per_s:,.0f}."


def _row(candidate: Candidate, need: Need) -> tuple[str, ...]:
    numbers = (candidate.predicted, candidate.measured, candidate.trains_at(need))
    return (candidate.text, *("-" if number is None else f"{number:,.0f}" for number in numbers))
