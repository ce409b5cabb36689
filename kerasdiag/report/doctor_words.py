"""What every format of the doctor's report says in the same words."""

from __future__ import annotations

from collections.abc import Iterator

from kerasdiag.findings import CheckResult, DoctorReport, Finding, Price, PriceUnit, Remedy, Severity, Status

SEVERITY_WORDS = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.INFO: "note"}
# In this order; a check that could not do its work comes before one that was not asked to.
_NOT_FOUND = (Status.CRASHED, Status.UNKNOWN, Status.SKIPPED, Status.OK)


def summary(report: DoctorReport) -> str:
    """Return how many findings of each severity there are, and whether some checks could not tell or are missing."""
    counts = [
        f"{number} {SEVERITY_WORDS[severity]}{'s' if number > 1 else ''}"
        for severity in reversed(Severity)
        for number in [report.num_findings(severity)]
        if number
    ]
    unknown = sum(result.status is Status.UNKNOWN for result in report.results)
    untold = f", but {unknown} check{'s' if unknown > 1 else ''} could not tell" if unknown and not counts else ""
    return (
        (", ".join(counts) or "nothing found")
        + untold
        + ("" if report.complete else "; not every check came to an end")
    )


def name_of(finding: Finding, report: DoctorReport) -> str:
    """Return the name of the check that found it."""
    return next(result.name for result in report.results if finding in result.findings)


def price_in_words(price: Price) -> str:
    """Return a price with its basis, or why there is none."""
    if price.value is None:
        return f"not known: {price.basis}"
    unit = "s per epoch" if price.unit is PriceUnit.SECONDS_PER_EPOCH else "% of the training time"
    return f"about {_number(price.value)} {unit} ({price.basis})"


def remedy_in_words(remedy: Remedy) -> str:
    """Return what to do; with a word of warning where its lines change the batches of a training, or other things."""
    return f"(with care) {remedy.text}" if remedy.safe is False and remedy.code else remedy.text


def without_findings(report: DoctorReport, *, is_fine_told: bool) -> Iterator[tuple[Status, str, list[CheckResult]]]:
    """Yield the checks that found nothing; those that ended alike and say the same come together.

    Args:
        report: What the checks said.
        is_fine_told: Whether what a check without fault saw is told apart.
    """
    for status in _NOT_FOUND:
        said: dict[str, list[CheckResult]] = {}
        for result in report.results:
            if result.status is status:
                said.setdefault(result.statement if status is not Status.OK or is_fine_told else "", []).append(result)
        for statement, results in said.items():
            yield status, statement, results


def _number(value: float) -> str:
    """Two or three digits: a price is an estimate."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.2g}"
