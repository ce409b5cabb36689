"""From what a rule saw in the scripts to the answer of a check: places, comments that silence it, severity."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kerasdiag.demand import Demand, demand_of
from kerasdiag.doctor.check import Answer, found, ok, unknown
from kerasdiag.doctor.costs import WARN_FRACTION
from kerasdiag.doctor.lint.analysis import Subject, record_of
from kerasdiag.doctor.lint.gaps import Need, gaps
from kerasdiag.doctor.lint.places import is_ignored, location_of, source_of
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.scripts import Script
from kerasdiag.findings import Evidence, Finding, Location, Price, Provenance, Remedy, Severity
from kerasdiag.profile import RunProfile

_MOST_UNREAD = 3  # that are told; KD700 tells all
_LONGEST = 70  # of a place as it is written


@dataclass(frozen=True)
class Hit:
    """One place where a rule applies.

    Attributes:
        node: The place.
        severity: How much it matters.
        message: One sentence.
        remedy: What to do; empty where nothing needs doing.
        code: The corrected lines.
        why: Further evidence, inferred from the script.
        numbers: See ``Finding``; the line is added.
        safe: See ``Remedy``.
        costs_time: Whether it costs time rather than correctness; a training that does not wait makes a note of it.
        costs_wait: Whether that time is spent waiting for data; what a profile saw waiting is then the most.
    """

    node: ast.AST
    severity: Severity
    message: str
    remedy: str
    code: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    safe: bool | None = None
    costs_time: bool = True
    costs_wait: bool = True


def examine_scripts(
    environment: Environment,
    code: str,
    rule: Callable[[Subject], Iterator[Hit]],
    references: tuple[str, ...],
    need: Need,
) -> Answer:
    """Apply a rule to all scripts.

    Args:
        environment: With scripts.
        code: The code of the check.
        rule: What finds its places in a script.
        references: See ``Finding``.
        need: What the rule must have seen of a script: without it, that nothing was found is no good news.
    """
    assert environment.scripts is not None, "the check is skipped without scripts"
    findings: dict[Location, Finding] = {}
    ignored: set[Location] = set()
    unfinished, subjects = [], []
    for script in environment.scripts.scripts:
        subject = Subject(script, record_of(script), environment)
        why = subject.record.unfinished
        try:
            hits = list(rule(subject))
        except Exception as error:  # a fault of ours with one script costs the others nothing
            hits, why = [], f"{type(error).__name__}: {error}"
        if why is not None:
            unfinished.append(f"{script.path}: {why}")
        elif not script.problems or script.text.tree.body:
            subjects.append(subject)  # of a script that was not read at all, no call is missed
        for hit in hits:
            place = location_of(script, hit.node)
            if is_ignored(script, hit.node, code):
                ignored.add(place)
            elif place not in findings or findings[place].severity.rank < hit.severity.rank:
                findings[place] = _finding(subject, code, hit, place, references)
    unfinished += [*_unread(environment.scripts.scripts), *gaps(subjects, need, code)]
    count = len(environment.scripts.scripts)
    silenced = f"{len(ignored)} finding{'s' if len(ignored) > 1 else ''} ignored by a comment"
    if unfinished and not findings:  # no number of scripts, so that rules with the same reason share a line
        return unknown("; ".join([*unfinished, *([silenced] if ignored else [])]))
    said = f"{count} script{'s' if count != 1 else ''} read" + (f", {silenced}" if ignored else "")
    said = "; ".join([said, *unfinished])
    return replace(found(*findings.values()), statement=said) if findings else ok(said)


def _unread(scripts: Sequence[Script]) -> list[str]:
    """What no rule has seen, with the line and the reason."""
    told = [
        f"{str(Location(script.path, problem.line, problem.column, problem.cell)).rpartition(':')[0]} {problem.message}"
        for script in scripts
        for problem in script.problems
    ]
    return [*told[:_MOST_UNREAD], *([f"and {len(told) - _MOST_UNREAD} more"] if len(told) > _MOST_UNREAD else [])]


def _finding(subject: Subject, code: str, hit: Hit, place: Location, references: tuple[str, ...]) -> Finding:
    severity, evidence = hit.severity, [Evidence(_written(subject, hit.node), Provenance.DECLARED)]
    evidence += [Evidence(text, Provenance.INFERRED) for text in hit.why]
    demand = demand_of(subject.environment.profile) if hit.costs_time else None
    if demand is not None and demand.wait_fraction < WARN_FRACTION:
        severity = Severity.INFO
        waited = f"the profile saw the training wait for data {demand.wait_fraction * 100:.1f} % of its time"
        evidence.append(Evidence(waited, Provenance.MEASURED))
    return Finding(
        code=code,
        severity=severity,
        message=hit.message,
        evidence=tuple(evidence),
        remedy=Remedy(hit.remedy if hit.code else hit.remedy.rstrip(":.") + ".", hit.code, hit.safe)
        if hit.remedy
        else None,
        numbers={"line": place.line, **hit.numbers},
        price=_price(subject.environment.profile, demand, hit) if hit.costs_time else None,
        references=references,
        location=place,
    )


def _price(profile: RunProfile | None, demand: Demand | None, hit: Hit) -> Price:
    """What is known of the cost: a profile has the whole wait, and no rule's part of it."""
    if profile is None:
        return Price.unknown("a script does not tell; a profile of its training would (--profile FILE)")
    if demand is None:
        return Price.unknown("the profile has too few measured steps for a verdict, or no wait")
    if not hit.costs_wait:
        return Price.unknown("the profile does not tell what part of the training time this takes")
    percent = f"{demand.wait_fraction * 100:.1f} %"
    return Price.unknown(f"at most {percent} of the training time, which waited for data (the profile)")


def _written(subject: Subject, node: ast.AST) -> str:
    """The place as it is written, cut where it is long: a long chain before the call itself goes first."""
    text = source_of(subject.script, node)
    if len(text) > _LONGEST and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        chain = len(source_of(subject.script, node.func.value))
        if _LONGEST // 2 < chain < len(text):
            text = f"[...]{text[chain:]}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
