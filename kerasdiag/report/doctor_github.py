"""The doctor's report as workflow commands of GitHub Actions: one annotation for each finding."""

from __future__ import annotations

from kerasdiag.findings import DoctorReport, Finding, Severity, Status
from kerasdiag.report.doctor_words import name_of, price_in_words, remedy_in_words, summary
from kerasdiag.texts import printable, with_texts

_COMMANDS = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.INFO: "notice"}


def render(report: DoctorReport) -> str:
    """Return one command a line: findings with their place in a script, and checks that came to no end."""
    report = with_texts(report, printable)
    lines = [f"kerasdiag doctor: {summary(report)}"]
    lines += [_finding(finding, name_of(finding, report)) for finding in report.findings]
    lines += [
        f"::warning title={_property(f'{result.code} {result.name}')}::{_data(f'crashed: {result.statement}')}"
        for result in report.results
        if result.status is Status.CRASHED
    ]
    return "\n".join(lines) + "\n"


def _finding(finding: Finding, name: str) -> str:
    place = finding.location
    properties: dict[str, object] = {}
    if place is not None:
        # Lines of a notebook's cell are no lines of its file.
        properties = (
            {"file": place.file} if place.cell else {"file": place.file, "line": place.line, "col": place.column}
        )
    properties = {**properties, "title": f"{finding.code} {name}"}
    said = [finding.message if place is None or not place.cell else f"{place}: {finding.message}"]
    if finding.price is not None:
        said.append(f"Costs {price_in_words(finding.price)}.")
    if finding.remedy is not None:
        said += [remedy_in_words(finding.remedy), *finding.remedy.code]
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{_COMMANDS[finding.severity]} {listed}::{_data(chr(10).join(said))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
