"""The doctor's report as Markdown: to paste into an issue."""

from __future__ import annotations

import re

from kerasdiag.findings import DoctorReport, Finding, Status
from kerasdiag.report.doctor_words import (
    SEVERITY_WORDS,
    name_of,
    price_in_words,
    remedy_in_words,
    summary,
    without_findings,
)
from kerasdiag.texts import printable, with_texts


def render(report: DoctorReport) -> str:
    """Return the report as GitHub's Markdown."""
    report = with_texts(report, printable)
    lines = [f"### kerasdiag doctor {report.kerasdiag_version}: {summary(report)}", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {_text(value)} |" for name, value in report.facts.items())]
    for finding in report.findings:
        lines += ["", *_finding(finding, name_of(finding, report))]
    rest = [
        f"- {status} {', '.join(result.code for result in results)}{f': {_text(statement)}' if statement else ''}"
        for status, statement, results in without_findings(report, is_fine_told=False)
        if status is not Status.OK or report.findings  # alone it would repeat the title
    ]
    if rest:
        lines += ["", *rest]
    return "\n".join(lines) + "\n"


def _finding(finding: Finding, name: str) -> list[str]:
    at = f" at `{finding.location}`" if finding.location is not None else ""
    lines = [f"**{SEVERITY_WORDS[finding.severity]} {finding.code} {name}**{at}: {_text(finding.message)}", ""]
    if finding.price is not None:
        lines.append(f"- costs: {_text(price_in_words(finding.price))}")
    lines += [f"- {fact.provenance}: {_text(fact.text)}" for fact in finding.evidence]
    if finding.remedy is not None:
        lines.append(f"- do: {_text(remedy_in_words(finding.remedy))}")
        if finding.remedy.code:
            fence = _fence("\n".join(finding.remedy.code))
            lines += [f"  {line}" for line in (fence, *finding.remedy.code, fence)]
    lines += [f"- see {reference}" for reference in finding.references]
    return lines


def _text(text: str) -> str:
    """Plain text: what Markdown or HTML would take as a sign of its own is escaped, line breaks are spaces."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _fence(code: str) -> str:
    """A fence longer than any row of backticks within."""
    longest = max((len(row) for row in re.findall(r"`+", code)), default=0)
    return "`" * max(3, longest + 1)
