"""Runs checks side by side. A check that crashes or does not come back is a result; the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any  # each group of facts has a type of its own

from kerasdiag import __version__
from kerasdiag.demand import demand_of
from kerasdiag.doctor.background import Background
from kerasdiag.doctor.check import Answer, Check, skipped
from kerasdiag.doctor.collect import Facts, Request, Sources
from kerasdiag.doctor.head import head_of
from kerasdiag.doctor.private_names import private_names
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
            more for those that ask TensorFlow itself, where it is started.
        on_wait: Called now and then with what is being done, once that takes longer than a second.

    Raises:
        DoctorUsageError: The data that the request names do not exist.
    """
    request = request or Request()
    begin = time.monotonic()
    limit_s = TIMEOUT_S if timeout_s is None else timeout_s
    probe_limit_s = limit_s + PROBE_S if timeout_s is None else limit_s
    groups = {name for check in checks for name in (*check.needs, *check.uses)}
    facts = Facts(request, sources or Sources(), groups, begin + limit_s, begin + probe_limit_s)
    running = [(check, Background(partial(_examine, check, facts), check.code)) for check in checks]
    wait = _waiting(on_wait, lambda: facts.unfinished(sorted(groups)))
    facts.raise_wrong_usage(wait, begin + limit_s)
    limits = {check.code: probe_limit_s if _asks_tensorflow(check, facts) else limit_s for check in checks}
    # First those that are given up first.
    results = [
        _result(check, wait(task, begin + limits[check.code]), task, facts, limits[check.code])
        for check, task in sorted(running, key=lambda pair: limits[pair[0].code])
    ]
    demand = demand_of(request.profile)
    return DoctorReport(
        kerasdiag_version=__version__,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        results=tuple(sorted(results, key=lambda result: result.code)),
        facts=head_of(facts, request),
        public_facts=head_of(facts, request, is_public=True),
        private=private_names(facts, request),
        epoch_s=demand.epoch_s if demand else None,
    )


def _asks_tensorflow(check: Check, facts: Facts) -> bool:
    return facts.is_collecting("tensorflow") and "tensorflow" in (*check.needs, *check.uses)


def _waiting(
    on_wait: Callable[[str], None] | None, doing: Callable[[], str]
) -> Callable[[Background[Any], float], bool]:
    """Return a function that waits for a task until a time, and tells what is being done once that takes long."""
    since = time.monotonic()

    def wait(task: Background[Any], until: float) -> bool:
        while not task.wait(until if on_wait is None else min(until, time.monotonic() + _TELL_EVERY_S)):
            if time.monotonic() >= until:
                return False
            if on_wait is not None and time.monotonic() - since > _TELL_AFTER_S:
                on_wait(doing())
        return True

    return wait


def _examine(check: Check, facts: Facts) -> Answer:
    for name in check.needs:
        if name in facts.absent:
            return skipped(facts.absent[name])
    return check.examine(facts.environment((*check.needs, *check.uses)))


def _result(check: Check, is_done: bool, task: Background[Answer], facts: Facts, limit_s: float) -> CheckResult:
    if not is_done:
        doing = facts.unfinished((*check.needs, *check.uses)) or "its own work"
        why = f"did not come back within {limit_s:g} s; it was still at {doing}"
        return CheckResult(check.code, check.name, Status.CRASHED, why, duration_s=limit_s)
    took_s = task.duration_s or 0.0
    if task.error is not None:
        why = f"{type(task.error).__name__}: {task.error}"
        return CheckResult(check.code, check.name, Status.CRASHED, why, duration_s=took_s)
    answer = task.result()
    lacks_time = answer.status is Status.UNKNOWN and facts.lack_time((*check.needs, *check.uses))
    return CheckResult(check.code, check.name, answer.status, answer.statement, answer.findings, took_s, lacks_time)
