"""A choice as the lines that the user sees."""

from __future__ import annotations

from kerasdiag.repair.choice.candidate import DISK, Candidate, Choice, Need

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
        f"chosen: {chosen}; {choice.reason}.{_open_question(choice)}",
    ]


def lines_of_memory(choice: Choice, disk_rate: float) -> list[str]:
    """Return what is said where the disk turned out too slow and the choice became memory.

    Args:
        choice: That of memory.
        disk_rate: Images a second that the dataset gives from the disk.
    """
    return [
        f"the store is there, and from the disk this dataset gives {disk_rate:,.0f} images/s, which is not enough.",
        f"chosen instead: {choice.chosen.text}; {choice.reason}.",
    ]


def _open_question(choice: Choice) -> str:
    """What the table cannot know yet: nobody has read the store, for it is not made."""
    if choice.chosen.repair != DISK or not choice.memory_helps:
        return ""
    return " If the disk turns out too slow for it, the store is read into memory once it is made."


def _describe(need: Need) -> str:
    if need.now_images_per_s is None:
        return f"validation could take about {need.images_per_s:,.0f} images/s, judged by the training."
    gets, takes = f"{need.now_images_per_s:,.0f} images/s", f"{need.images_per_s:,.0f}"
    if need.is_measured_apart:
        return f"input and model were measured apart: a training of them would get {gets} and could take {takes}."
    return f"this training gets {gets} and could take {takes}."


def _row(candidate: Candidate, need: Need) -> tuple[str, ...]:
    numbers = (candidate.predicted, candidate.measured, candidate.trains_at(need))
    return (candidate.text, *("-" if number is None else f"{number:,.0f}" for number in numbers))
