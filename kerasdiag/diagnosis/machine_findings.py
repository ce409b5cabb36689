"""Findings about what the machine did to a run: stopped it, gave its cores to others, or had too little disk or memory."""

from __future__ import annotations

from collections.abc import Mapping

from kerasdiag.diagnosis.estimates import Estimate
from kerasdiag.diagnosis.verdict import PARTLY_INPUT_BOUND_FRACTION
from kerasdiag.environment.window import MachineWindow
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.profile import RunProfile
from kerasdiag.stage_timing import READ

THROTTLED_FRACTION = 0.10  # of the periods of a quota
MEMORY_FRACTION = 0.90  # of what the container may hold
STALLED_FRACTION = 0.10  # of the time
STOLEN_FRACTION = 0.10  # of the CPU time
READING_FRACTION = 0.10  # of what an image takes
LEAST_WINDOW_S = 1.0  # ten periods of a quota; what is shorter says little of a training


def throttled(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A quota of the container that stopped the process while it trained."""
    machine = _machine(profile)
    share = machine.throttled_fraction if machine is not None else None
    if share is None or share <= THROTTLED_FRACTION:
        return None
    return Finding(
        "throttled",
        Severity.WARN,
        f"The CPU quota of this container stopped the process in {share:.0%} of its periods while it trained.",
        (Evidence("nr_throttled and nr_periods in cpu.stat of its cgroup", Provenance.MEASURED),),
        Remedy(
            "Raise the quota before any repair, and profile again; or ask for as many threads as it allows:",
            ("docker run --cpus=N ...  # in Kubernetes: resources.limits.cpu",),
        ),
        {"throttled_fraction": share},
    )


def memory_nearly_full(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """A peak that leaves little of what the container may hold."""
    machine = profile.machine
    if machine is None or not machine.peak_memory_bytes or not machine.memory_limit_bytes:
        return None
    share = machine.peak_memory_bytes / machine.memory_limit_bytes
    if share < MEMORY_FRACTION:
        return None
    return Finding(
        "memory-nearly-full",
        Severity.WARN,
        f"The process held {machine.peak_memory_bytes / 2**30:.1f} of the {machine.memory_limit_bytes / 2**30:.1f} GiB that "
        "its container may hold: a little more, and it is killed (memory.max), or slowed to a crawl (memory.high).",
        (Evidence("the peak of the process and the limit of its cgroup", Provenance.MEASURED),),
        Remedy("Smaller shuffle buffers and fewer workers hold fewer images; or raise the limit."),
        {"peak_memory_bytes": machine.peak_memory_bytes, "memory_limit_bytes": machine.memory_limit_bytes},
    )


def stalled_by_memory(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """Tasks that waited for memory to be freed, or read back what had been given up for others."""
    stalled = _stalled(profile, "memory")
    if stalled is None:
        return None
    return Finding(
        "stalled-by-memory",
        Severity.WARN,
        f"In {stalled:.0%} of the time some task waited for memory: the kernel had to free it first.",
        (_PRESSURE,),
        Remedy(
            "Smaller shuffle buffers, fewer workers and no cache() in memory hold fewer images; or raise the limit."
        ),
        {"stalled_fraction": stalled},
    )


def stalled_by_disk(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """Tasks that waited for a disk while the training waited for its data: a sign that one is because of the other."""
    stalled, wait = _stalled(profile, "io"), estimates.get("data_wait_fraction")
    if stalled is None or wait is None or wait.value < PARTLY_INPUT_BOUND_FRACTION or _reads_fast(profile, estimates):
        return None
    return Finding(
        "stalled-by-disk",
        Severity.INFO,
        f"In {stalled:.0%} of the time some task, of this training or of another program, waited for a disk, and the "
        "training waited for its data: reading may be a part of it.",
        (_PRESSURE,),
        Remedy("How slow the disk is, and why:", ("kerasdiag doctor --data DIR",)),
        {"stalled_fraction": stalled},
    )


def stolen_cores(profile: RunProfile, estimates: Mapping[str, Estimate]) -> Finding | None:
    """CPU time that the hypervisor of a virtual machine gave to others."""
    machine = _machine(profile)
    share = machine.steal_fraction if machine is not None else None
    if share is None or share < STOLEN_FRACTION:
        return None
    return Finding(
        "stolen-cores",
        Severity.WARN,
        f"The host of this virtual machine gave {share:.0%} of its CPU time to others while it trained.",
        (Evidence("steal in /proc/stat", Provenance.MEASURED),),
        Remedy(
            "Nothing inside the machine changes that. Take one with cores of its own, or another host (stop and start)."
        ),
        {"steal_fraction": share},
    )


_PRESSURE = Evidence("pressure stall information, of this process' group where it has its own", Provenance.MEASURED)


def _reads_fast(profile: RunProfile, estimates: Mapping[str, Estimate]) -> bool:
    """Whether the stages of the input explain the wait, and reading takes little of them: the disk was then slow for others.

    They are timed after the training, when files may be in memory that were not before; so they must explain the wait.
    """
    stages, data = profile.input_stages, profile.training_input
    if stages is None or stages.unit != "image" or data is None or "mean_wait_s" not in estimates:
        return False
    image_s = sum(stage.wall_s for stage in stages.stages)
    reading_s = sum(stage.wall_s for stage in stages.stages if stage.name == READ)
    batch_s = image_s * (data.batch_size or 0) / max(1, data.workers or 1)
    return 0 < reading_s < READING_FRACTION * image_s and batch_s >= estimates["mean_wait_s"].value


def _machine(profile: RunProfile) -> MachineWindow | None:
    """What the machine did, if the training was long enough to say."""
    machine = profile.machine
    return machine if machine is not None and machine.seconds >= LEAST_WINDOW_S else None


def _stalled(profile: RunProfile, resource: str) -> float | None:
    machine = _machine(profile)
    share = machine.stalled_fractions.get(resource) if machine is not None else None
    return share if share is not None and share >= STALLED_FRACTION else None
