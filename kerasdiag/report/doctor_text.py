"""The doctor's report for people: what was found first, what was not looked at and why last."""

from __future__ import annotations

from typing import IO

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kerasdiag.findings import CheckResult, DoctorReport, Finding, Price, PriceUnit, Severity, Status
from kerasdiag.report.console import make_text, stream_width, wants_color

_WORDS = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.INFO: "note"}
_COLORS = {Severity.ERROR: "red", Severity.WARN: "yellow", Severity.INFO: "cyan"}
# In this order; a check that could not do its work comes before one that was not asked to.
_NOT_FOUND = (Status.CRASHED, Status.UNKNOWN, Status.SKIPPED, Status.OK)
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
        verbose: Whether to say of every check what it saw and how long it took.
    """
    parts: list[Text | Padding | Table] = [_title(report), _facts(report)]
    for finding in report.findings:
        name = next(result.name for result in report.results if finding in result.findings)
        parts += [Text(), *_finding(finding, name)]
    rest = _results(report, verbose)
    if rest.row_count:
        parts += [Text(), rest]
    if report.findings:
        parts += [Text(), Text(f"kerasdiag explain {report.findings[0].code} tells more.", style="dim")]
    return make_text(*parts, width=width, color=color, ascii_only=ascii_only)


def render_for(stream: IO[str], report: DoctorReport, *, verbose: bool = False) -> str:
    """Return the report as this stream can show it: width, colours, character set."""
    text = render(report, width=stream_width(stream), color=wants_color(stream), verbose=verbose)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _title(report: DoctorReport) -> Text:
    counts = [
        f"{number} {_WORDS[severity]}{'s' if number > 1 else ''}"
        for severity in reversed(Severity)
        for number in [report.num_findings(severity)]
        if number
    ]
    worst = max((finding.severity for finding in report.findings), key=lambda severity: severity.rank, default=None)
    style = _COLORS[worst] if worst else "green"
    said = ", ".join(counts) or "nothing found"
    incomplete = "" if report.complete else "; not every check came to an end"
    return Text("kerasdiag doctor: ", style="bold").append(said + incomplete, style=f"bold {style}")


def _facts(report: DoctorReport) -> Table:
    table = _grid()
    for name, value in report.facts.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _finding(finding: Finding, name: str) -> list[Text | Padding | Table]:
    style = f"bold {_COLORS[finding.severity]}"
    title = Text(_WORDS[finding.severity], style=style).append(f" {finding.code} {name}", style="bold")
    parts: list[Text | Padding | Table] = [title, Padding(Text(finding.message), (0, 0, 0, 2))]
    if finding.location is not None:  # on a line of its own and unbroken, for editors that make a link of it
        parts.insert(0, Text(str(finding.location), style="underline", no_wrap=True, overflow="ignore"))
    table = _grid()
    if finding.price is not None:
        table.add_row(Text("costs", style="dim"), Text(_price(finding.price)))
    for fact in finding.evidence:
        table.add_row(Text(str(fact.provenance), style="dim"), Text(fact.text))
    if finding.remedy is not None:
        table.add_row(Text("do", style="bold"), Text(finding.remedy.text))
    parts.append(Padding(table, (0, 0, 0, 2)))
    lines = finding.remedy.code if finding.remedy else ()
    return parts + [Text("      " + line, style="bold cyan", overflow="fold") for line in lines]


def _price(price: Price) -> str:
    if price.value is None:
        return f"not known: {price.basis}"
    unit = "s per epoch" if price.unit is PriceUnit.SECONDS_PER_EPOCH else "% of the training time"
    return f"about {_number(price.value)} {unit} ({price.basis})"


def _number(value: float) -> str:
    """Two or three digits: a price is an estimate."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.2g}"


def _results(report: DoctorReport, verbose: bool) -> Table:
    """The checks that found nothing; those that say the same share a line."""
    table = _grid()
    for status in _NOT_FOUND:
        said: dict[str, list[CheckResult]] = {}
        for result in report.results:
            if result.status is status:
                # What is fine is not worth a line each.
                key = result.statement if status is not Status.OK or verbose else ""
                said.setdefault(key, []).append(result)
        for statement, results in said.items():
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
