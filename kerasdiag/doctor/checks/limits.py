"""KD404 and KD405: limits of the system that a training meets."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.unseen_gpus import without_gpu
from kerasdiag.doctor.wording import size
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.limits import LimitFacts
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

# What NCCL's documentation asks for in containers.
ENOUGH_SHARED_BYTES = 10**9
# Their "powersave" follows the load; that of every other driver is the lowest clock, always.
_FOLLOW_THE_LOAD = ("intel_pstate", "amd-pstate-epp", "amd_pstate_epp")

_NCCL = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"
_GOVERNORS = "https://docs.kernel.org/admin-guide/pm/cpufreq.html"


@check("KD404", "little-shared-memory", needs=("limits", "gpus"))
def little_shared_memory(environment: Environment) -> Answer:
    """Several GPUs, and little shared memory for them to exchange gradients.

    What it finds:
        A /dev/shm below 1 GB where more than one GPU is visible. Docker gives a container 64 MB.

    Why it matters:
        Where GPUs cannot reach each other directly, NCCL passes gradients through shared memory, and fails with an
        error of the system when it is full.

    Example:
        2 GPUs share 67 MB of shared memory (/dev/shm), and NCCL asks for 1 GB.

    Fix:
        Start the container with more of it.

    When to ignore:
        If the training uses one GPU, as it does without tf.distribute.
    """
    shared, gpus = (environment.limits or LimitFacts()).shared_memory_bytes, environment.gpus
    count = len(gpus.gpus) if gpus is not None else 0
    if count < 2:
        return without_gpu(gpus, "there are not several GPUs")
    if shared is None:
        return unknown("the system has no /dev/shm")
    if shared >= ENOUGH_SHARED_BYTES:
        return ok(f"it has {size(shared)} of shared memory")
    asked = size(ENOUGH_SHARED_BYTES)
    return found(
        Finding(
            code="KD404",
            severity=Severity.WARN,
            message=f"{count} GPUs share {size(shared)} of shared memory (/dev/shm), and NCCL asks for {asked}.",
            evidence=(Evidence(f"size of the file system at /dev/shm: {size(shared)}", Provenance.MEASURED),),
            remedy=Remedy("Start the container with more:", ("docker run --shm-size=1g --ulimit memlock=-1 ...",)),
            numbers={"shared_memory_bytes": shared, "gpus": count},
            price=Price.unknown("nothing while it is enough; then the training ends"),
            references=(_NCCL,),
        )
    )


@check("KD405", "slowed-processor", needs=("limits",))
def slowed_processor(environment: Environment) -> Answer:
    """The processor works below its clock, or translates every instruction.

    What it finds:
        A governor that keeps the CPU at its lowest clock (powersave of a driver that does not follow the load), and a
        Python for Intel that macOS translates on an Apple processor (Rosetta).

    Why it matters:
        Reading, decoding and augmenting images is the CPU's work. At half the clock it takes twice as long.

    Example:
        The governor powersave of acpi-cpufreq keeps the CPU at its lowest clock.

    Fix:
        Choose a governor that follows the load; install a Python for the processor that the machine has.

    When to ignore:
        If the machine must not get warm, or somebody pays for its power.
    """
    limits, system = environment.limits or LimitFacts(), environment.system
    findings = []
    if limits.governor == "powersave" and limits.governor_driver and limits.governor_driver not in _FOLLOW_THE_LOAD:
        command = "echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        findings.append(
            _slowed(
                f"The governor powersave of {limits.governor_driver} keeps the CPU at its lowest clock.",
                "scaling_governor and scaling_driver of /sys say so",
                Remedy("Choose one that follows the load:", (command,), safe=False),
            )
        )
    if system.is_translated:
        findings.append(
            _slowed(
                f"This Python is made for {system.machine}, and macOS translates it for the processor of this machine.",
                "sysctl.proc_translated is 1",
                Remedy("Install a Python for Apple processors, and make the environment anew with it.", safe=False),
            )
        )
    if findings:
        return found(*findings)
    # macOS has no governors, and tells whether it translates; elsewhere nothing is translated, and the governor counts.
    if system.is_translated is None or (limits.governor is None and system.name != "Darwin"):
        return unknown("the system does not tell how the clock is chosen")
    return ok(f"the governor is {limits.governor}" if limits.governor else "nothing is translated")


def _slowed(message: str, said: str, remedy: Remedy) -> Finding:
    return Finding(
        code="KD405",
        severity=Severity.WARN,
        message=message,
        evidence=(Evidence(said, Provenance.DECLARED),),
        remedy=remedy,
        numbers={"slowed": 1},
        price=Price.unknown("as much as the clock is lower, wherever the CPU is waited for"),
        references=(_GOVERNORS,),
    )
