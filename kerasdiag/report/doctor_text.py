"""The doctor's report for people: what was found first, what was not looked at and why last."""

from __future__ import annotations

from typing import IO

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kerasdiag.findings import DoctorReport, Finding, Severity, Status
from kerasdiag.report.console import make_text, stream_width, wants_color
from kerasdiag.report.doctor_words import (
    SEVERITY_WORDS,
    name_of,
    price_in_words,
    remedy_in_words,
    summary,
    without_findings,
)
from kerasdiag.texts import printable, with_texts

_COLORS = {Severity.ERROR: "red", Severity.WARN: "yellow", Severity.INFO: "cyan"}
_STATUS_COLORS = {Status.CRASHED: "red", Status.UNKNOWN: "yellow", Status.OK: "green"}


def render(
    report: DoctorReport, *, width: int = 80, color: bool = False, ascii_only: bool = False, verbose: bool = False
) -> str:
    """Return the report as text.

    Args:
        report: What to show.
        width: Columns, at least 40.
        color: Whether to add ANSI colours.
        ascii_only: Whether the output can hold ASCII only.
        verbose: Whether to say of every check what it saw and how long it took, and where to read more.
    """
    report = with_texts(report, printable)
    parts: list[Text | Padding | Table] = [_title(report), _facts(report)]
    for finding in report.findings:
        parts += [Text(), *_finding(finding, name_of(finding, report), verbose)]
    rest = _results(report, verbose)
    if rest.row_count:
        parts += [Text(), rest]
    if report.findings and report.findings[0].asks_for_something:
        parts += [Text(), Text(f"kerasdiag explain {report.findings[0].code} tells more.", style="dim")]
    return make_text(*parts, width=width, color=color, ascii_only=ascii_only)


def render_for(stream: IO[str], report: DoctorReport, *, verbose: bool = False) -> str:
    """Return the report as this stream can show it: width, colours, character set."""
    text = render(report, width=stream_width(stream), color=wants_color(stream), verbose=verbose)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _title(report: DoctorReport) -> Text:
    worst = max((finding.severity for finding in report.findings), key=lambda severity: severity.rank, default=None)
    style = _COLORS[worst] if worst else "green"
    return Text("kerasdiag doctor: ", style="bold").append(summary(report), style=f"bold {style}")


def _facts(report: DoctorReport) -> Table:
    table = _grid()
    for name, value in report.facts.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _finding(finding: Finding, name: str, verbose: bool) -> list[Text | Padding | Table]:
    style = f"bold {_COLORS[finding.severity]}"
    title = Text(SEVERITY_WORDS[finding.severity], style=style).append(f" {finding.code} {name}", style="bold")
    parts: list[Text | Padding | Table] = [title, Padding(Text(finding.message), (0, 0, 0, 2))]
    if finding.location is not None:  # on a line of its own and unbroken, for editors that make a link of it
        parts.insert(0, _unbroken(str(finding.location), "underline"))
    table = _grid()
    if finding.price is not None:
        table.add_row(Text("costs", style="dim"), Text(price_in_words(finding.price)))
    for fact in finding.evidence:
        table.add_row(Text(str(fact.provenance), style="dim"), Text(fact.text))
    if finding.remedy is not None:
        table.add_row(Text("do", style="bold"), Text(remedy_in_words(finding.remedy)))
    parts.append(Padding(table, (0, 0, 0, 2)))
    lines = finding.remedy.code if finding.remedy else ()
    parts += [_unbroken(f"      {line}", "bold cyan") for line in lines]  # to copy
    return parts + [_unbroken(f"  see {reference}", "dim") for reference in finding.references if verbose]


def _unbroken(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ignore")


def _results(report: DoctorReport, verbose: bool) -> Table:
    """The checks that found nothing; those that say the same share a line."""
    table = _grid()
    # What is fine is not worth a line each.
    for status, statement, results in without_findings(report, is_fine_told=verbose):
        names = ", ".join(f"{result.code} {result.name}" if verbose else result.code for result in results)
        took = f" ({max(result.duration_s for result in results) * 1e3:.0f} ms)" if verbose else ""
        table.add_row(
            Text(str(status), style=_STATUS_COLORS.get(status, "dim")),
            Text(f"{names}: {statement}{took}" if statement else names),
        )
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=8)
    table.add_column(overflow="fold")
    return table
