"""What autofix decided and did, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from kerasdiag.repair.choice.candidate import Choice
from kerasdiag.repair.proof.certificate import Certificate

KEPT, WORKERS, REPAIRED, REUSED, DISABLED = "kept", "workers", "repaired", "reused", "disabled"


@dataclass(frozen=True)
class RepairReport:
    """What autofix did with a generator, and why.

    Attributes:
        outcome: ``"kept"`` (what was given came back as it was), ``"workers"`` (the generator came
            back, and more workers are enough), ``"repaired"`` (a dataset takes its place, and images
            were converted or need not be), ``"reused"`` (all of them lay in a finished store), or
            ``"disabled"``.
        reason: Why, in one sentence.
        verdict: Verdict of the evidence that decided, or None.
        evidence: Where and when that evidence was measured, or None.
        store: Directory of the pixel store, or None.
        kernel: ``"compiled"`` or ``"scipy"``, or None.
        kernel_reason: Why it is not the compiled one, or None.
        reading: Order of reading: ``"permutation"``, ``"blocks"`` or ``"file order"``, or None.
        reading_reason: What decided it, or None.
        images: Distinct images in use, or None.
        converted: Images that this call converted, or None.
        conversion_s: Seconds that took, or None.
        converted_in_process: Why the generator's own loader had to convert in this process, or None.
        skipped: Images left out because they cannot be loaded: (path, reason).
        plan: File that describes the pipeline, for readers without kerasdiag, or None.
        findings: What the user should know, one sentence each.
        steps: Batches of an iteration, and what decided their number.
        certificate: What was compared with the generator's own batches, and how equal it was; or None,
            see ``not_measured``.
        not_measured: What is None -> why.
        storage: ``"disk"``, ``"memory"`` or ``"none"``: where the dataset has its images from, or None.
        choice: The repairs that were compared, or None where none were.
        workers: Number of workers that are enough, or None.
        images_per_s: What the repair gives by itself, measured when it was made, or None.
        gain: How many times as fast the training should become by that, or None.
    """

    outcome: str
    reason: str
    verdict: str | None = None
    evidence: str | None = None
    store: str | None = None
    kernel: str | None = None
    kernel_reason: str | None = None
    reading: str | None = None
    reading_reason: str | None = None
    images: int | None = None
    converted: int | None = None
    conversion_s: float | None = None
    converted_in_process: str | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    plan: str | None = None
    findings: tuple[str, ...] = ()
    steps: str | None = None
    certificate: Optional[Certificate] = None
    not_measured: tuple[tuple[str, str], ...] = (("certificate", "nothing was repaired"),)
    storage: Optional[str] = None
    choice: Optional[Choice] = None
    workers: Optional[int] = None
    images_per_s: Optional[float] = None
    gain: Optional[float] = None
