"""Findings: what a diagnosis or a check has to say, and the doctor's report of them, as data.

A finding is made where the facts are judged and rendered elsewhere, so that the terminal, the
JSON file and every later format say the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

SCHEMA_VERSION = 1
# Raise it when a reader of the version before could misunderstand the JSON.
#   1: first version.


class Severity(str, Enum):
    """How much a finding matters: ``info`` < ``warn`` < ``error``."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    def __str__(self) -> str:
        return self.value

    @property
    def rank(self) -> int:
        """0 for ``info``, 2 for ``error``."""
        return tuple(Severity).index(self)


class Provenance(str, Enum):
    """How a piece of evidence is known: somebody says so, a clock says so, or it follows from both."""

    DECLARED = "declared"
    MEASURED = "measured"
    INFERRED = "inferred"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Evidence:
    """One short fact, with its number and unit, and how it is known.

    Attributes:
        text: The fact.
        provenance: How it is known.
        is_private: Whether it names what is the user's own (a file, a server) or what another program printed. It is
            left out of what is made for others, so a message never holds such a name.
    """

    text: str
    provenance: Provenance
    is_private: bool = False


class PriceUnit(str, Enum):
    """What a price is counted in."""

    SECONDS_PER_EPOCH = "seconds-per-epoch"
    PERCENT = "percent"  # of the training time, 0-100

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Price:
    """What a finding costs.

    Attributes:
        value: The cost in ``unit``, None where nothing allows to say it.
        unit: What ``value`` counts, None without a value.
        basis: How the value was computed and from what; without a value, what is missing.
    """

    value: float | None
    unit: PriceUnit | None
    basis: str

    @classmethod
    def unknown(cls, reason: str) -> Price:
        """A price that nothing allows to say."""
        return cls(None, None, reason)

    def seconds(self, epoch_s: float | None) -> float | None:
        """Return the cost in seconds per epoch, None where it cannot be told.

        Args:
            epoch_s: Length of an epoch in seconds, where it is known.
        """
        if self.value is None or self.unit is PriceUnit.SECONDS_PER_EPOCH:
            return self.value
        return None if epoch_s is None else self.value / 100 * epoch_s


@dataclass(frozen=True)
class Remedy:
    """What to do about a finding.

    Attributes:
        text: One or two sentences in plain words.
        code: Lines to type or to change, ready to copy. May be empty.
        safe: Whether the lines change neither the batches of a training nor anything outside of this
            environment; None where nobody has judged that.
    """

    text: str
    code: tuple[str, ...] = ()
    safe: bool | None = None


@dataclass(frozen=True)
class Location:
    """A place in a script, as editors count.

    Attributes:
        file: Path as it was given on the command line.
        line: Line, from 1; in a notebook the line within the cell.
        column: Column, from 1.
        cell: Number of the code cell in a notebook, from 1; None in a script.
    """

    file: str
    line: int
    column: int
    cell: int | None = None

    def __str__(self) -> str:
        cell = f":cell {self.cell}" if self.cell is not None else ""
        return f"{self.file}{cell}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing, with its evidence.

    Attributes:
        code: Stable name: kebab-case in a diagnosis (``"input-bound"``), ``"KD101"`` from a check.
        severity: How much it matters.
        message: One sentence with the number in it.
        evidence: The facts behind the message.
        remedy: What to do, or None where nothing needs doing.
        numbers: The numbers of the message by name, unit included, for scripts.
        price: What it costs, or None where a cost makes no sense.
        references: Where to read more: issues, pull requests, documents.
        location: The line of a script that it is about, None where it is about none.
    """

    code: str
    severity: Severity
    message: str
    evidence: tuple[Evidence, ...] = ()
    remedy: Remedy | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    price: Price | None = None
    references: tuple[str, ...] = ()
    location: Location | None = None

    @property
    def asks_for_something(self) -> bool:
        """Whether there is something to do about it; False for a note that only tells."""
        return self.remedy is not None or self.severity is not Severity.INFO

    def to_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return the finding ready for JSON."""
        remedy, price = self.remedy, self.price
        return {
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
            "numbers": dict(self.numbers),
            "evidence": [{"text": fact.text, "provenance": str(fact.provenance)} for fact in self.evidence],
            "price": price and {"value": price.value, "unit": price.unit and str(price.unit), "basis": price.basis},
            "remedy": remedy and {"text": remedy.text, "code": list(remedy.code), "safe": remedy.safe},
            "references": list(self.references),
            "location": self.location and asdict(self.location),
        }


class Status(str, Enum):
    """How a check ended. ``unknown`` (it looked and could not tell) is never ``ok``."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    CRASHED = "crashed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class CheckResult:
    """How one check ended.

    Attributes:
        code: Code of the check, such as ``"KD101"``.
        name: Its name, such as ``"quadratic-file-list"``.
        status: How it ended; with findings, the severity of the worst.
        statement: What was seen, or why nothing was; empty where the findings say it.
        findings: What it found.
        duration_s: How long it took, the collecting of its facts included.
        lacks_time: Whether it could not tell for lack of time, and might with more.
    """

    code: str
    name: str
    status: Status
    statement: str = ""
    findings: tuple[Finding, ...] = ()
    duration_s: float = 0.0
    lacks_time: bool = False


@dataclass(frozen=True)
class DoctorReport:
    """What all checks said.

    Attributes:
        kerasdiag_version: Version that looked.
        created_at: When, ISO 8601 in UTC.
        results: One for each check that was selected, in the order of their codes.
        facts: What was looked at, in words: ``python``, ``packages``, ``cores``, ``data`` ...
        public_facts: The same for others, without names of the user's machine, servers and data.
        private: Paths of the user that the texts may hold -> what may stand there for others.
        epoch_s: Length of an epoch in the profile, None without one. Prices in percent are compared by it.
        schema_version: Version of the JSON.
    """

    kerasdiag_version: str
    created_at: str
    results: tuple[CheckResult, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    public_facts: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict)
    epoch_s: float | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def complete(self) -> bool:
        """Whether every check came to an end of its own, and none was short of time."""
        return not any(result.status is Status.CRASHED or result.lacks_time for result in self.results)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings: the most severe first, among equals the most expensive, unpriced ones last.

        Notes that ask for nothing come after all others.
        """
        return tuple(sorted((finding for result in self.results for finding in result.findings), key=self._place))

    def _place(self, finding: Finding) -> tuple[float, ...]:
        price, first = finding.price, (-finding.severity.rank, not finding.asks_for_something)
        if price is None or price.value is None:
            return (*first, 2, 0.0)
        seconds = price.seconds(self.epoch_s)
        # Without the length of an epoch a share of it cannot be compared with seconds; it comes from a profile.
        return (*first, 0, -price.value) if seconds is None else (*first, 1, -seconds)

    def num_findings(self, severity: Severity) -> int:
        """Return how many findings have exactly this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return the report ready for JSON."""
        return {
            "schema_version": self.schema_version,
            "kerasdiag_version": self.kerasdiag_version,
            "created_at": self.created_at,
            "complete": self.complete,
            "facts": dict(self.facts),
            "epoch_s": self.epoch_s,
            "findings": [finding.to_dict() for finding in self.findings],
            "checks": [
                {
                    "code": result.code,
                    "name": result.name,
                    "status": str(result.status),
                    "statement": result.statement,
                    "findings": len(result.findings),
                    "duration_s": round(result.duration_s, 4),
                }
                for result in self.results
            ],
        }
