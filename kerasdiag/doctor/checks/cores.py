"""KD401: fewer cores than the machine shows."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

# TensorFlow makes a thread for each core that it may be scheduled on, and knows no quota. Up to this many
# threads a core the scheduler copes; beyond, the quota is spent early and everybody stands still for the rest.
THREADS_PER_CORE = 2

_REFERENCES = (
    "https://github.com/tensorflow/tensorflow/issues/17206",
    "https://github.com/python/cpython/issues/149452",
)


@check("KD401", "cores-out-of-reach")
def cores_out_of_reach(environment: Environment) -> Answer:
    """This process may use fewer cores than the machine shows.

    What it finds:
        A CPU quota of the container (cgroup v1 or v2, of every parent too) or an affinity mask that leaves this
        process fewer cores than it sees. A warning where TensorFlow starts twice as many threads as there are
        cores to run them, else a note.

    Why it matters:
        Reading, decoding and augmenting images takes cores. `os.cpu_count()`, and with it many a choice of
        `workers`, shows the machine's cores, not yours. TensorFlow respects affinity but no quota: with
        2 of 64 cores its 64 threads spend the quota in the first milliseconds of each period, and then all
        stand still.

    Example:
        This process may use 2 of 64 cores (a cgroup quota of 2), but TensorFlow starts threads for 64.

    Fix:
        Ask for more cores (`docker run --cpus`, `resources.limits.cpu` of Kubernetes, `--cpus-per-task` of Slurm), or
        tell TensorFlow how many there are, before it does anything else. Take no more `workers` than that.

    When to ignore:
        If the GPU is busy all the time, the cores that you have are enough.
    """
    cores, quota = environment.cores, environment.cpu_quota
    visible = environment.visible_cores or environment.affinity_cores or cores
    threads = environment.affinity_cores or visible
    if cores >= visible:
        return ok(f"all {cores} cores can be used" if cores > 1 else "the machine has 1 core, and it can be used")
    by_quota = quota is not None and cores < threads
    limited_by = f"a cgroup quota of {quota:g}" if by_quota else "by its affinity"
    message = f"This process may use {cores} of {visible} cores ({limited_by})"
    message += f", but TensorFlow starts threads for {threads}." if by_quota else "."
    evidence = [Evidence(f"the machine shows {visible} cores", Provenance.DECLARED)]
    if environment.affinity_cores is not None:
        evidence.append(Evidence(f"affinity: {environment.affinity_cores} cores", Provenance.DECLARED))
    if quota is not None:
        evidence.append(Evidence(f"CPU quota of the cgroup: {quota:g} cores", Provenance.DECLARED))
    return found(
        Finding(
            code="KD401",
            severity=Severity.WARN if by_quota and threads >= THREADS_PER_CORE * cores else Severity.INFO,
            message=message,
            evidence=tuple(evidence),
            remedy=_remedy(cores) if by_quota else Remedy("Ask for more cores if the training waits for its data."),
            numbers={"cores": cores, "visible_cores": visible, "tensorflow_threads": threads},
            price=Price.unknown("how often a quota stops the threads shows only while a training runs"),
            references=_REFERENCES,
        )
    )


def _remedy(cores: int) -> Remedy:
    return Remedy(
        "Ask for more cores (docker run --cpus, resources.limits.cpu of Kubernetes), or tell TensorFlow how many "
        "there are, before it does anything else:",
        (
            f"tf.config.threading.set_intra_op_parallelism_threads({cores})",
            f"tf.config.threading.set_inter_op_parallelism_threads({cores})",
        ),
        safe=True,
    )
