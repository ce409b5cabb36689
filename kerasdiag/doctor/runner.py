"""Runs checks side by side. A check that crashes or does not come back is a result; the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial

from kerasdiag import __version__
from kerasdiag.demand import demand_of
from kerasdiag.doctor.background import Background
from kerasdiag.doctor.check import Answer, Check, skipped
from kerasdiag.doctor.collect import Facts, Request, Sources
from kerasdiag.environment.tensorflow_probe import PROBE_S
from kerasdiag.findings import CheckResult, DoctorReport, Status

# A sound machine needs 2 s, and 5 more where images are timed; a network disk that wakes up may need longer.
TIMEOUT_S = 12.0
_TELL_AFTER_S, _TELL_EVERY_S = 1.0, 0.2


def examine(
    checks: Sequence[Check],
    request: Request | None = None,
    sources: Sources | None = None,
    timeout_s: float | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> DoctorReport:
    """Collect the facts that these checks need, run them, and return what they said.

    Args:
        checks: What to run.
        request: What to look at; by default only machine and packages.
        sources: Where facts come from; by default this machine.
        timeout_s: When to give up on a check, collecting its facts included. All run side by side, so
            this is the longest that the whole examination takes. By default ``TIMEOUT_S``, and ``PROBE_S``
            more for those that ask TensorFlow itself.
        on_wait: Called now and then with what is being done, once that takes longer than a second.

    Raises:
        DoctorUsageError: The data that the request names do not exist.
    """
    request = request or Request()
    begin = time.monotonic()
    limit_s = TIMEOUT_S if timeout_s is None else timeout_s
    probe_limit_s = limit_s + PROBE_S if timeout_s is None else limit_s
    until = begin + limit_s
    groups = {name for check in checks for name in (*check.needs, *check.uses)}
    facts = Facts(request, sources or Sources(), groups, until, begin + probe_limit_s)
    running = [(check, Background(partial(_examine, check, facts), check.code)) for check in checks]
    if on_wait is not None:
        _tell_while_waiting(
            [task for _, task in running], begin + probe_limit_s, lambda: on_wait(facts.unfinished(sorted(groups)))
        )
    results = []
    # First those that are given up first.
    for check, task in sorted(running, key=lambda pair: _asks_tensorflow(pair[0])):
        limit = probe_limit_s if _asks_tensorflow(check) else limit_s
        results.append(_result(check, task, facts, begin + limit, limit))
    facts.raise_wrong_usage(until)
    demand = demand_of(request.profile)
    return DoctorReport(
        kerasdiag_version=__version__,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        results=tuple(sorted(results, key=lambda result: result.code)),
        facts=facts.in_words(),
        epoch_s=demand.epoch_s if demand else None,
    )


def _asks_tensorflow(check: Check) -> bool:
    return "tensorflow" in check.needs or "tensorflow" in check.uses


def _tell_while_waiting(tasks: Sequence[Background[Answer]], until: float, tell: Callable[[], None]) -> None:
    since = time.monotonic()
    for task in tasks:
        while not task.wait(min(until, time.monotonic() + _TELL_EVERY_S)) and time.monotonic() < until:
            if time.monotonic() - since > _TELL_AFTER_S:
                tell()


def _examine(check: Check, facts: Facts) -> Answer:
    for name in check.needs:
        if name in facts.absent:
            return skipped(facts.absent[name])
    return check.examine(facts.environment((*check.needs, *check.uses)))


def _result(check: Check, task: Background[Answer], facts: Facts, until: float, timeout_s: float) -> CheckResult:
    if not task.wait(until):
        doing = facts.unfinished((*check.needs, *check.uses)) or "its own work"
        why = f"did not come back within {timeout_s:g} s; it was still at {doing}"
        return CheckResult(check.code, check.name, Status.CRASHED, why, duration_s=timeout_s)
    if task.error is not None:
        why = f"{type(task.error).__name__}: {task.error}"
        return CheckResult(check.code, check.name, Status.CRASHED, why, duration_s=task.duration_s or 0.0)
    answer = task.result()
    return CheckResult(check.code, check.name, answer.status, answer.statement, answer.findings, task.duration_s or 0.0)
