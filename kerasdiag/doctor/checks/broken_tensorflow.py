"""KD113: a TensorFlow that cannot be imported."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.tensorflow_probe import ProbeFacts
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity


@check("KD113", "broken-tensorflow", needs=("tensorflow", "packages"))
def broken_tensorflow(environment: Environment) -> Answer:
    """The installed TensorFlow cannot be imported.

    What it finds:
        An import of TensorFlow, in a process of its own, that raises, is killed by a signal, or does not come back.

    Why it matters:
        Nothing trains before this is mended. An import that hangs or takes minutes mostly waits for a network disk or
        for a GPU that another process holds.

    Example:
        TensorFlow 2.10.1 cannot be imported: ImportError: numpy.core.multiarray failed to import.

    Fix:
        The last lines that it printed are in the evidence. A new environment with one TensorFlow and nothing else tells
        whether another package is the cause.

    When to ignore:
        If this environment trains with another backend of Keras.
    """
    packages, probe = environment.packages, environment.tensorflow or ProbeFacts()
    if packages is None or packages.tensorflow is None:
        return skipped("TensorFlow is not installed here")
    if probe.not_asked:
        return unknown(f"TensorFlow could not be asked: {probe.not_asked}")
    if not probe.failure:
        took = f" in {probe.import_s:.1f} s" if probe.import_s is not None else ""
        return ok(f"TensorFlow {probe.version} was imported{took}")
    name, version = packages.tensorflow
    lines = [line.strip() for line in probe.output if line.strip()][-3:]
    return found(
        Finding(
            code="KD113",
            severity=Severity.ERROR,
            message=f"TensorFlow {version} cannot be imported: {probe.failure.rstrip('.')}.",
            evidence=tuple(Evidence(line, Provenance.MEASURED, is_private=True) for line in lines)
            or (Evidence("it printed nothing", Provenance.MEASURED),),
            remedy=Remedy(
                "See all that it says, and try it in a new environment:",
                (
                    f'{packages.python} -c "import tensorflow"',
                    f'{packages.python} -m venv new && new/bin/pip install "{name}=={version}"',
                ),
                safe=True,
            ),
            numbers={"printed_lines": len(probe.output)},
            price=Price.unknown("nothing trains"),
        )
    )
