"""From a plan and loaded pixels to the dataset that autofix hands over, with its proof and its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Optional  # Any: generators and datasets are foreign objects

import numpy as np

from kerasdiag.environment.facts import Environment
from kerasdiag.errors import KerasDiagError, StoreError
from kerasdiag.random_streams import streams_kept
from kerasdiag.repair import repair_report as outcomes
from kerasdiag.repair.attributes import dress_dataset
from kerasdiag.repair.choice.candidate import DISK, MEMORY, Choice
from kerasdiag.repair.choice.rates import rate_of_plan
from kerasdiag.repair.choice.remember import SmallRepair
from kerasdiag.repair.choice.table import lines_of_memory
from kerasdiag.repair.conversion.prepare import PreparedStore
from kerasdiag.repair.decision import Decision
from kerasdiag.repair.findings import find_all, first_images, gain_findings, is_repeatable
from kerasdiag.repair.kernels.choose import COMPILED, KernelChoice
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pipeline.dataset import build_dataset
from kerasdiag.repair.pipeline.pixels import FilePixels, Pixels, StorePixels, load_into_memory, pixels_of_arrays
from kerasdiag.repair.pipeline.reading_order import IN_MEMORY, ORIGINAL_FILES, Reading, choose_reading
from kerasdiag.repair.pixel_store.store import Store
from kerasdiag.repair.plans.plan import REPLAY, PipelinePlan
from kerasdiag.repair.plans.plan_files import save_plan
from kerasdiag.repair.progress import duration, say
from kerasdiag.repair.proof import certificate as certificates
from kerasdiag.repair.proof.prove import prove
from kerasdiag.repair.repair_report import RepairReport
from kerasdiag.repair.request import Request
from kerasdiag.spec import GeneratorSpec

# Records whose checksums are compared when a store is opened.
CHECKED_RECORDS = 64


@dataclass(frozen=True, eq=False)
class Materials:
    """What a dataset is made of, when all of it is there.

    Attributes:
        spec: The generator.
        prepared: Its pixels in a store; None where the images are an array or stay in their files.
        kernel: What does the pixel work.
        load: The generator's loader; None for arrays.
        steps: Batches of an iteration.
        storage: ``"disk"``, ``"memory"`` or ``"none"``: where the images are read from.
        choice: Why that one, where repairs were compared.
        earlier: The choice of an earlier run that is followed, or None.
    """

    spec: GeneratorSpec
    prepared: PreparedStore | None
    kernel: KernelChoice
    load: Callable[[str], Any] | None
    steps: int
    storage: str
    choice: Optional[Choice] = None
    earlier: Optional[SmallRepair] = None


def build(generator: Any, request: Request, decision: Decision, materials: Materials) -> Any:
    """Return the dataset.

    Args:
        generator: The generator, which is compared with the dataset and not changed.
        request: The arguments of ``autofix``.
        decision: Why it is repaired.
        materials: What the dataset is made of.

    Raises:
        ParityError: It gives something else than the generator.
        StoreError: The store is damaged.
        KerasDiagError: No image can be loaded.
    """
    spec, prepared = materials.spec, materials.prepared
    environment = Environment.collect()
    rows, record = np.arange(spec.num_rows), None
    if prepared is not None:
        _look_at(prepared.store)
        rows = np.flatnonzero(prepared.record_of_row >= 0)
        if not len(rows):
            raise KerasDiagError(
                f"None of the {spec.num_rows:,} images can be loaded; the first: {prepared.skipped[0]}."
            )
        record = prepared.record_of_row[rows]
    seed = spec.seed if spec.seed is not None else int(np.random.randint(2**31))  # noqa: NPY002  # recorded as dataset.seed
    plan = PipelinePlan(spec, rows, record, seed, materials.steps, 1, request.mode)
    feed = _choose_feed(plan, materials, request, environment)
    plan, pixels = feed.plan, feed.pixels

    def make(kernel: KernelChoice) -> BatchMaker:
        return BatchMaker(plan, pixels, kernel, environment.buffer_pool_bytes)

    maker = make(materials.kernel)
    _check_replay(maker)
    folder, unsaved = _save(plan, prepared, maker)
    certificate = None
    if request.recheck:
        earlier = certificates.load(folder)
        maker, certificate = prove(generator, maker, materials.load, with_kernel=make, earlier=earlier, folder=folder)
        if folder is not None and certificate is not earlier:
            try:
                certificate.save(folder)
            except OSError as error:  # the proof was made; only the next call has to make it again
                unsaved = (*unsaved, f"the certificate could not be written beside the plan: {error}")
    dataset = build_dataset(maker, environment)
    findings = (*find_all(generator, maker, prepared), *unsaved)
    report = _report(maker, prepared, feed.reading, decision, findings)
    report = replace(
        _with_choice(report, materials, feed),
        plan=None if folder is None else str(folder),
        certificate=certificate,
        not_measured=() if certificate else (("certificate", "recheck=False"),),
        steps=_describe_steps(plan, request, decision),
    )
    _tell(report, request.verbose)
    return dress_dataset(
        dataset, generator, report, seed=seed, steps=plan.steps_per_epoch, rows=rows, set_epoch=maker.set_epoch
    )


def _look_at(store: Store) -> None:
    problems = store.verify(sample=CHECKED_RECORDS)
    if problems:
        raise StoreError(
            f"{problems[0]} {len(problems)} of the records looked at are damaged. Remove the store with "
            f'`kerasdiag store clean "{store.directory}"`; autofix then converts anew.'
        )


class _Feed(NamedTuple):
    """Where the images of a plan come from, why, and what that gave when it was tried, in images a second."""

    storage: str
    reading: Reading
    plan: PipelinePlan
    pixels: Pixels
    choice: Choice | None = None
    images_per_s: float | None = None


def _choose_feed(plan: PipelinePlan, materials: Materials, request: Request, environment: Environment) -> _Feed:
    """Take what was chosen; try it where repairs were compared, and take memory where a disk is slower than it should be."""
    choice, feed = materials.choice, _feed(plan, materials.storage, materials, request, environment)
    if choice is None:
        return feed

    def tried(feed: _Feed) -> _Feed:
        with streams_kept():
            rate = rate_of_plan(feed.plan, feed.pixels, materials.kernel, environment)
        return feed._replace(images_per_s=rate.images_per_s)

    feed = tried(feed._replace(choice=choice))
    assert feed.images_per_s is not None  # just measured
    if feed.storage == DISK and choice.memory_helps and not choice.is_enough(feed.images_per_s):
        choice = choice.in_memory(feed.images_per_s)
        for line in lines_of_memory(choice, feed.images_per_s):
            say(line, request.verbose)
        return tried(_feed(plan, MEMORY, materials, request, environment)._replace(choice=choice))
    return feed


def _feed(plan: PipelinePlan, storage: str, materials: Materials, request: Request, environment: Environment) -> _Feed:
    prepared, spec = materials.prepared, materials.spec
    record = plan.record
    if prepared is not None and record is not None:
        if storage == MEMORY:
            pixels = load_into_memory(prepared.store, record, environment.memory.available_bytes, request.verbose)
            return _Feed(storage, IN_MEMORY, plan, pixels)
        reading = choose_reading(prepared.store, spec, environment, request.mode)
        plan = replace(plan, block_rows=reading.block_rows)
        return _Feed(storage, reading, plan, StorePixels(prepared.store, record))
    if materials.load is not None:
        return _Feed(storage, ORIGINAL_FILES, plan, FilePixels(materials.load, spec))
    return _Feed(storage, IN_MEMORY, plan, pixels_of_arrays(spec, plan.rows))


def _check_replay(maker: BatchMaker) -> None:
    function = maker.plan.options.preprocessing_function
    if maker.plan.mode != REPLAY or not function or not isinstance(maker.augmenter.chain, str):
        return
    if not is_repeatable(function, first_images(maker)):
        raise KerasDiagError(
            f"preprocessing_function={getattr(function, '__qualname__', function)} draws random numbers: it moves NumPy's "
            "or Python's global stream, or gives something else when it is called again with the same image. What an "
            'image becomes then depends on all calls before it, so mode="replay" is not possible. Use mode="exact", or '
            "let the numbers follow from the image."
        )


def _save(plan: PipelinePlan, prepared: PreparedStore | None, maker: BatchMaker) -> tuple[Path | None, tuple[str, ...]]:
    """Write the plan beside its store; return its folder, and what to say where that failed."""
    if prepared is None:
        return None, ()
    try:
        return save_plan(plan, prepared.store, maker.targets), ()
    except OSError as error:  # a store that others share may be read only; only `store eject` needs the plan
        return None, (f"the plan could not be written beside the store: {error}",)


def _report(
    maker: BatchMaker,
    prepared: PreparedStore | None,
    reading: Reading,
    decision: Decision,
    findings: tuple[str, ...],
) -> RepairReport:
    slow = maker.augmenter.slow_part
    kernel_reason = f"standardisation runs through NumPy: {slow}" if slow else maker.kernel.reason
    report = RepairReport(
        outcomes.REPAIRED,
        decision.reason,
        decision.verdict,
        decision.evidence,
        kernel=maker.kernel.name,
        kernel_reason=kernel_reason,
        reading=reading.name,
        reading_reason=reading.reason,
        images=len(maker.plan.rows),
        findings=findings,
    )
    if prepared is None:
        return report
    return replace(
        report,
        outcome=outcomes.REPAIRED if prepared.converted else outcomes.REUSED,
        reason=decision.reason if prepared.converted else "all of its images lie in a finished store",
        store=str(prepared.store.directory),
        images=len(np.unique(maker.plan.record)),
        converted=prepared.converted,
        conversion_s=prepared.seconds,
        converted_in_process=prepared.in_process_reason,
        skipped=tuple((image.path, image.reason) for image in prepared.skipped),
    )


def _with_choice(report: RepairReport, materials: Materials, feed: _Feed) -> RepairReport:
    choice, earlier = feed.choice, materials.earlier
    report = replace(report, storage=feed.storage, choice=choice, images_per_s=feed.images_per_s)
    if earlier is not None:
        report = replace(report, outcome=outcomes.REUSED, reason=earlier.as_reason)
    if choice is None or feed.images_per_s is None:
        return report
    gain = choice.gain(feed.images_per_s)
    return replace(report, gain=gain, findings=(*report.findings, *gain_findings(gain, choice.need)))


def _describe_steps(plan: PipelinePlan, request: Request, decision: Decision) -> str:
    if request.steps_per_epoch is not None:
        why = "steps_per_epoch"
    elif decision.planned_steps is not None and request.mode != REPLAY:
        why = "as the last fit on this input planned"
    else:
        why = "len(generator)"
    return f"{plan.steps_per_epoch:,} batches an epoch ({why})"


def _tell(report: RepairReport, verbose: int) -> None:
    where = "" if report.store is None else f" ({report.store})"
    if report.store is None:
        source = "memory" if report.reading == IN_MEMORY.name else "their files"
        again = "reuses the repair of an earlier call: " if report.outcome == outcomes.REUSED else ""
        done = f"{again}{'' if again else 'takes '}{report.images:,} images from {source}"
    elif report.outcome == outcomes.REPAIRED:
        took = "" if report.conversion_s is None else f" in {duration(report.conversion_s)}"
        done = f"converted {report.converted:,} images{took}"
    else:
        done = f"reuses the repair of an earlier call: {report.images:,} images"
    checked = f"; {report.certificate.statement}" if report.certificate else ""
    say(f"autofix {done}{where}; {report.kernel} kernel, reads in {report.reading}{checked}; {report.steps}.", verbose)
    if report.images_per_s is not None:
        then = f", so the training should run {report.gain:.1f}x as fast" if report.gain is not None else ""
        say(f"measured afterwards: this dataset gives {report.images_per_s:,.0f} images/s{then}.", verbose)
    if report.kernel != COMPILED:
        say(f"the augmentation runs through SciPy, at the generator's own speed: {report.kernel_reason}.", verbose)
    elif report.kernel_reason:
        say(f"{report.kernel_reason}.", verbose)
    if report.converted_in_process:
        say(f"converted in this process: {report.converted_in_process}.", verbose)
    for finding in report.findings:
        say(f"{finding}.", verbose)
