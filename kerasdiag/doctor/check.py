"""What a check is: a documented function from an Environment to an answer, with a code and a name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Finding, Status

HEADINGS = ("What it finds", "Why it matters", "Example", "Fix", "When to ignore")


@dataclass(frozen=True)
class Answer:
    """What a check says about one environment; made by ``ok``, ``skipped``, ``unknown`` and ``found``."""

    status: Status
    statement: str = ""
    findings: tuple[Finding, ...] = ()


def ok(statement: str) -> Answer:
    """Looked, and all is well; the statement says what was seen."""
    return Answer(Status.OK, statement)


def skipped(reason: str) -> Answer:
    """Did not look: the check does not apply, or was not given what it needs."""
    return Answer(Status.SKIPPED, reason)


def unknown(reason: str) -> Answer:
    """Looked and could not tell."""
    return Answer(Status.UNKNOWN, reason)


def found(*findings: Finding) -> Answer:
    """Found something; the worst finding gives the status."""
    worst = max((finding.severity for finding in findings), key=lambda severity: severity.rank)
    return Answer(Status(str(worst)), "", findings)


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        code: Stable code, ``KD`` and three digits; its first digit is the subject.
        name: Kebab-case name of the fault. It makes sense after "allow".
        needs: Attributes of Environment without which the check cannot say anything; it is skipped then.
        uses: Attributes that it also looks at where they are there.
        examine: The check itself. It never imports TensorFlow or Keras, runs a program, or prints.
        is_opt_in: Whether it is often wrong to follow, and runs only where ``--select`` names its whole code.
    """

    code: str
    name: str
    needs: tuple[str, ...]
    uses: tuple[str, ...]
    examine: Callable[[Environment], Answer]
    is_opt_in: bool = False

    @property
    def summary(self) -> str:
        """The first line of its documentation."""
        return inspect.cleandoc(self.examine.__doc__ or "").partition("\n")[0]

    def section(self, heading: str) -> str:
        """Return the text below one of ``HEADINGS``, without its indentation; empty where it is not written."""
        text = inspect.cleandoc(self.examine.__doc__ or "")
        match = re.search(rf"^{heading}:\n((?:    .*\n|\n)*)", text + "\n", re.MULTILINE)
        return inspect.cleandoc(match[1]) if match else ""


def check(
    code: str, name: str, *, needs: tuple[str, ...] = (), uses: tuple[str, ...] = (), is_opt_in: bool = False
) -> Callable[[Callable[[Environment], Answer]], Check]:
    """Make a check of the function below; its docstring holds a summary line and all ``HEADINGS``.

    Args:
        code: See ``Check``.
        name: See ``Check``.
        needs: See ``Check``.
        uses: See ``Check``.
        is_opt_in: See ``Check``.
    """

    def decorate(examine: Callable[[Environment], Answer]) -> Check:
        return Check(code, name, needs, uses, examine, is_opt_in)

    return decorate
