"""What autofix hands back as it was given: kept generators, those for which more workers are enough, and datasets."""

from __future__ import annotations

from typing import Any  # generators and datasets are foreign objects

from kerasdiag import compat
from kerasdiag.diagnosis import diagnose
from kerasdiag.findings import Remedy
from kerasdiag.input_identity import InputIdentity
from kerasdiag.repair import repair_report as outcomes
from kerasdiag.repair.attributes import dress_generator
from kerasdiag.repair.choice.candidate import Choice
from kerasdiag.repair.decision import Decision, decide, is_model
from kerasdiag.repair.findings import gain_findings, worker_findings
from kerasdiag.repair.progress import say
from kerasdiag.repair.repair_report import RepairReport
from kerasdiag.repair.request import Request
from kerasdiag.spec import GeneratorSpec


def keep_generator(generator: Any, decision: Decision, request: Request, steps: int) -> Any:
    """Return the generator, and say why."""
    say(f"autofix kept the generator: {decision.reason}.", request.verbose)
    report = RepairReport(outcomes.KEPT, decision.reason, decision.verdict, decision.evidence)
    return dress_generator(generator, report, steps)


def give_workers(
    generator: Any,
    spec: GeneratorSpec,
    decision: Decision,
    request: Request,
    steps: int,
    *,
    workers: int,
    reason: str,
    choice: Choice | None,
) -> Any:
    """Return the generator with so many workers; Keras 2 must be told in ``fit``.

    Args:
        generator: The generator.
        spec: What it is.
        decision: What the evidence says.
        request: The arguments of ``autofix``.
        steps: Batches of an epoch.
        workers: How many.
        reason: Why that is enough.
        choice: The repairs that were compared, or None where an earlier choice is followed.
    """
    arguments = compat.use_workers(generator, workers)
    rate = None if choice is None else choice.chosen.measured
    gain = None if choice is None or rate is None else choice.gain(rate)
    said = ", ".join(f"{name}={value}" for name, value in arguments.items())
    findings = worker_findings(spec, workers, said)
    if choice is not None:
        findings += gain_findings(gain, choice.need)
    done = "needs" if arguments else "gave"
    then = "" if gain is None else f"; the training should run {gain:.1f}x as fast"
    say(f"autofix {done} the generator {workers} workers: {reason}{then}.", request.verbose)
    for finding in findings:
        say(f"{finding}.", request.verbose)
    report = RepairReport(
        outcomes.WORKERS,
        reason,
        decision.verdict,
        decision.evidence,
        findings=tuple(findings),
        choice=choice,
        workers=workers,
        images_per_s=rate,
        gain=gain,
    )
    return dress_generator(generator, report, steps)


def keep_dataset(dataset: Any, identity: InputIdentity, request: Request) -> Any:
    """Return a ``tf.data`` dataset as it is, with what the evidence says about it."""
    if isinstance(getattr(dataset, "repair_report", None), RepairReport):
        say("autofix kept the dataset: autofix made it.", request.verbose)
        return dataset
    # A model is measured for a generator; a dataset stays whatever comes of it.
    evidence = None if is_model(request.evidence) else request.evidence
    decision = decide(identity, evidence, request.when)
    reason = "it is a tf.data.Dataset already"
    if decision.evidence is not None:
        reason += f"; {decision.reason}"
    remedy = None if decision.profile is None else diagnose(decision.profile).next_step
    findings = () if remedy is None else (_one_line(remedy),)
    say(f"autofix kept the dataset: {reason}.", request.verbose)
    for finding in findings:
        say(finding, request.verbose)
    report = RepairReport(outcomes.KEPT, reason, decision.verdict, decision.evidence, findings=findings)
    return dress_generator(dataset, report, request.steps_per_epoch or identity.num_batches)


def _one_line(remedy: Remedy) -> str:
    return " ".join([remedy.text, "; ".join(remedy.code)]).strip()
