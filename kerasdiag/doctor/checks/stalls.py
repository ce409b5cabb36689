"""KD402 and KD403: CPU time that others get, and memory that is not there."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.costs import WARN_FRACTION
from kerasdiag.doctor.wording import size
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.pressure import PressureFacts
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

# Below it a quota stops a process once in a while, when many threads wake together.
THROTTLED_AT_LEAST = 0.1
# Of the last 10 s. A machine at work has tasks that wait for a core now and then; none should wait for memory.
CROWDED_AT_LEAST, SHORT_AT_LEAST = 0.5, 0.1

_CGROUP = "https://docs.kernel.org/admin-guide/cgroup-v2.html"
_PRESSURE = "https://docs.kernel.org/accounting/psi.html"


@check("KD402", "stopped-for-others", needs=("pressure",))
def stopped_for_others(environment: Environment) -> Answer:
    """This process, or the machine that it runs on, is stopped for others.

    What it finds:
        A CPU quota of the container that was used up in many of its periods, now or since the container was started, and
        CPU time that the hypervisor gave to other virtual machines (steal). A machine whose tasks waited for a core most
        of the last 10 s, before the doctor started anything, is a note: no quota stops them, other work does.

    Why it matters:
        A container that has used its quota stands still for the rest of the period, the threads that feed the GPU
        too. More workers make it worse.

    Example:
        The CPU quota of this container was used up in 62 % of its periods since it was started.

    Fix:
        Ask for more cores (`docker run --cpus`, `resources.limits.cpu` of Kubernetes), or use fewer threads: no more workers
        than cores. Against steal only another machine helps.

    When to ignore:
        If it happened before the training: the shares since the start remember everything.
    """
    facts = environment.pressure or PressureFacts()
    findings = []
    share, when = max(
        (facts.throttled or 0.0, "while it was watched"), (facts.throttled_ever or 0.0, "since it was started")
    )
    if share >= THROTTLED_AT_LEAST:
        message = f"The CPU quota of this container was used up in {share * 100:.0f} % of its periods {when}."
        findings.append(
            _stopped(message, share, "cpu.stat counts the periods in which the group was stopped", environment)
        )
    if facts.steal is not None and facts.steal >= WARN_FRACTION:
        message = f"The hypervisor gave {facts.steal * 100:.0f} % of this machine's CPU time to others."
        findings.append(
            _stopped(message, facts.steal, f"steal of /proc/stat over {facts.watched_s:.1f} s", environment)
        )
    by_quota = (
        "no CPU quota is at work here"
        if facts.throttled_ever is None
        else f"the quota stopped it in {share * 100:.0f} % of the periods"
    )
    crowded = facts.stalled.get("cpu", 0.0)
    if crowded >= CROWDED_AT_LEAST:
        findings.append(_crowded(crowded, by_quota))
    if findings:
        return found(*findings)
    if facts.throttled_ever is None and facts.steal is None:
        return unknown("the system counts neither stopped periods nor stolen time")
    return ok(f"{by_quota}, {(facts.steal or 0) * 100:.0f} % of the time was stolen")


def _crowded(share: float, by_quota: str) -> Finding:
    return Finding(
        code="KD402",
        severity=Severity.INFO,
        message=f"Other work waits for the processor: some task waited for a core in {share * 100:.0f} % of the last 10 s.",
        evidence=(
            Evidence("some avg10 of /proc/pressure/cpu, of the whole machine", Provenance.MEASURED),
            Evidence(by_quota, Provenance.MEASURED),
        ),
        remedy=Remedy(
            "See who it is; if it is the training itself, it has more threads than cores:", ("top",), safe=True
        ),
        numbers={"cpu_pressure": share},
        price=Price.unknown("how much of it falls into the training, only a profile of it tells"),
        references=(_PRESSURE,),
    )


def _stopped(message: str, share: float, how: str, environment: Environment) -> Finding:
    facts = environment.pressure or PressureFacts()
    fewer = f"train_generator.workers = {environment.cores}"
    return Finding(
        code="KD402",
        severity=Severity.WARN,
        message=message,
        evidence=(Evidence(how, Provenance.MEASURED),),
        remedy=Remedy("Ask for more cores, or start fewer threads:", (fewer,), safe=False),
        numbers={"share": share, "steal": facts.steal or 0.0},
        price=Price.unknown("how much of it falls into the training, only a profile of it tells"),
        references=(_CGROUP,),
    )


@check("KD403", "short-of-memory", needs=("pressure",))
def short_of_memory(environment: Environment) -> Answer:
    """The memory does not suffice: processes were killed for it, or pages go to the swap.

    What it finds:
        Processes of this container that the kernel killed because its memory limit was reached, and pages that move to or
        from the swap just now.

    Why it matters:
        A worker that is killed takes its batch with it, and the training hangs or ends without a word. A machine that
        swaps reads the images from memory that is on the disk.

    Example:
        The kernel has killed 2 processes of this container because its memory of 2.1 GB was full.

    Fix:
        More memory, or less in it: a smaller `shuffle` buffer, no `cache()` in memory, fewer worker processes.
        tf.data's own budget follows the host's memory and not the container's; autofix sets it to the container's.

    When to ignore:
        If you know which process it was, and it was not the training.
    """
    facts = environment.pressure or PressureFacts()
    limit = environment.memory.limit_bytes
    findings = []
    if facts.oom_kills:
        of = f" because its memory{f' of {size(limit)}' if limit else ''} was full"
        processes = f"{facts.oom_kills} process{'es' if facts.oom_kills > 1 else ''}"
        message = f"The kernel has killed {processes} of this container{of}."
        findings.append(_short(message, Severity.ERROR, "memory.events counts them", {"oom_kills": facts.oom_kills}))
    if facts.swapped_pages:
        message = (
            f"The machine swaps: {facts.swapped_pages:,} pages went to or from the disk in {facts.watched_s:.1f} s."
        )
        evidence = "pswpin and pswpout of /proc/vmstat, read twice"
        findings.append(_short(message, Severity.WARN, evidence, {"swapped_pages": facts.swapped_pages}))
    short = facts.stalled.get("memory", 0.0)
    if short >= SHORT_AT_LEAST:
        message = f"Some task waited for memory in {short * 100:.0f} % of the last 10 s."
        findings.append(
            _short(message, Severity.WARN, "some avg10 of /proc/pressure/memory", {"memory_pressure": short})
        )
    if findings:
        return found(*findings)
    if facts.oom_kills is None and facts.swapped_pages is None:
        return unknown("the system counts neither")
    return ok("no process of it was killed for memory, and nothing is swapped")


def _short(message: str, severity: Severity, evidence: str, numbers: dict[str, float]) -> Finding:
    return Finding(
        code="KD403",
        severity=severity,
        message=message,
        evidence=(Evidence(evidence, Provenance.MEASURED),),
        remedy=Remedy("Give it more memory, or keep less there: a smaller shuffle buffer, no cache() in memory."),
        numbers=numbers,
        price=Price.unknown("it hangs or ends, or waits for the disk"),
        references=(_CGROUP,),
    )
