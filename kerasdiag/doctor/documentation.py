"""What is written about the checks: the page of one, the list of all, the table of the README."""

from __future__ import annotations

from collections.abc import Sequence

from kerasdiag.doctor.check import HEADINGS, Check


def page(check: Check) -> str:
    """Return everything that is known about a check, as plain text."""
    parts = [f"{check.code} {check.name}", check.summary]
    for heading in HEADINGS:
        text = check.section(heading)
        if text:
            parts.append(f"{heading}\n" + "\n".join(f"  {line}" for line in text.splitlines()))
    needed, useful = _given(check)
    parts.append(f"It needs {' and '.join(needed) or 'nothing that you have to give'}.")
    if useful:
        parts[-1] += f" {' and '.join(useful)} {'makes' if len(useful) == 1 else 'make'} its answer more precise."
    if check.is_opt_in:
        parts[-1] += f" It runs only where it is named: --select {check.code}."
    return "\n\n".join(parts)


def rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """Return a table of all checks, headings first."""
    return [
        ("CODE", "NAME", "NEEDS", "WHAT IT FINDS"),
        *((check.code, check.name, _needs(check), check.summary) for check in checks),
    ]


def markdown_table(checks: Sequence[Check]) -> str:
    """Return the table of the README."""
    lines = ["| code | finds | needs |", "|---|---|---|"]
    lines += [f"| `{check.code}` | {check.summary.rstrip('.')} | {_needs(check)} |" for check in checks]
    return "\n".join(lines) + "\n"


# What a user gives for each group of facts; the others are collected without being asked.
_GIVEN_BY = {"data": "--data", "reads": "--data", "throughput": "--data", "profile": "--profile", "scripts": "SCRIPT"}


def _given(check: Check) -> tuple[list[str], list[str]]:
    """Options without which a check says nothing, and those that only help."""
    needed = dict.fromkeys(_GIVEN_BY[name] for name in check.needs if name in _GIVEN_BY)
    useful = dict.fromkeys(_GIVEN_BY[name] for name in check.uses if name in _GIVEN_BY)
    return list(needed), [option for option in useful if option not in needed]


def _needs(check: Check) -> str:
    """The same in a cell of a table: brackets around what only helps."""
    needed, useful = _given(check)
    given = ", ".join([*needed, *(f"({option})" for option in useful)]) or "nothing"
    return f"{given}; opt-in" if check.is_opt_in else given
