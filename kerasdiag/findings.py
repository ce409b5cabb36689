"""Findings: what a diagnosis or a check has to say, as data.

A finding is made where the facts are judged and rendered elsewhere, so that the terminal, the
JSON file and every later format say the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Severity(str, Enum):
    """How much a finding matters: ``info`` < ``warn`` < ``error``."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Remedy:
    """What to do about a finding.

    Attributes:
        text: One or two sentences in plain words.
        code: Lines to type or to change, ready to copy. May be empty.
    """

    text: str
    code: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing, with its evidence.

    Attributes:
        code: Stable kebab-case name, for example ``"input-bound"``.
        severity: How much it matters.
        message: One sentence with the number in it.
        evidence: Short facts behind the message, each with its number and unit.
        remedy: What to do, or None where nothing needs doing.
    """

    code: str
    severity: Severity
    message: str
    evidence: tuple[str, ...] = field(default=())
    remedy: Remedy | None = None
