"""autofix: from a live generator to a verified, finite tf.data.Dataset, or the generator itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # generators and datasets are foreign objects

import numpy as np

from kerasdiag import compat
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.switches import DISABLE_VARIABLE, is_disabled
from kerasdiag.errors import KerasDiagError, StoreError
from kerasdiag.input_identity import identify_input
from kerasdiag.repair import repair_report as outcomes
from kerasdiag.repair.attributes import dress_dataset, dress_generator
from kerasdiag.repair.conversion.prepare import PreparedStore, find_finished, prepare_store
from kerasdiag.repair.decision import Decision, decide
from kerasdiag.repair.kernels.choose import COMPILED, KernelChoice, choose_kernel
from kerasdiag.repair.ops import rescale
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pipeline.dataset import build_dataset
from kerasdiag.repair.pipeline.reading_order import choose_reading
from kerasdiag.repair.pixel_store.sources import Sources, find_sources
from kerasdiag.repair.plans.plan import PipelinePlan, check_supported, unsupported
from kerasdiag.repair.plans.plan_files import save_plan
from kerasdiag.repair.progress import duration, say
from kerasdiag.repair.read_generator import read_spec
from kerasdiag.repair.repair_report import RepairReport
from kerasdiag.repair.request import Request
from kerasdiag.repair.self_check import CHECKED_ROWS, check_pixels
from kerasdiag.spec import GeneratorSpec

# Records whose checksums are compared when a store is opened.
CHECKED_RECORDS = 64


@dataclass(frozen=True, eq=False)
class _Materials:
    """What a dataset is made of, when all of it is there."""

    spec: GeneratorSpec
    prepared: PreparedStore
    kernel: KernelChoice
    load: Callable[[str], Any]
    steps: int


def autofix(
    generator: Any,
    evidence: Any = None,
    *,
    when: str = "bottleneck",
    cache_dir: str | os.PathLike[str] | None = None,
    mode: str = "exact",
    steps_per_epoch: int | None = None,
    storage: str = "auto",
    bad_images: str = "raise",
    on_error: str = "raise",
    recheck: bool = True,
    verbose: int = 1,
) -> Any:
    """Replace a generator by a cached ``tf.data.Dataset`` with the same images, labels, split and augmentation.

    The line to add to a training script, after the generator and before ``fit``::

        train_data = autofix(train_generator, profiler)

    Where the evidence says that the training waits for its data, the images are converted once to
    a store in the cache directory and read from there; grayscale of more than 8 bits as 16 or 32
    bits, whatever its values need. Otherwise the generator itself comes back,
    and one line on stderr says why.

    Args:
        generator: What ``ImageDataGenerator.flow_from_dataframe`` (or ``flow_from_directory``)
            returned. It is not changed, and no batch is taken from it.
        evidence: What knows whether this input is the bottleneck: a ``BottleneckProfiler``, a
            ``RunProfile``, a ``Diagnosis``, the path of a saved profile; or None, or a profiler
            before its first fit: what an earlier run saved about this generator.
        when: ``"bottleneck"``: repair what the evidence calls input-bound, or what was repaired
            before; ``"always"``: repair.
        cache_dir: Where the store goes; default: ``KERASDIAG_CACHE_DIR``, else the platform's
            cache directory. A store above 20 GB is made only in a directory chosen by you.
        mode: ``"exact"``: for the same draws the generator's own pixels, bit for bit; the draws
            are keyed by seed, pass and row.
        steps_per_epoch: Batches of one iteration over the dataset; give it the value that you give
            ``fit``. Default: what ``fit`` planned according to the evidence, else ``len(generator)``.
        storage: ``"auto"`` or ``"disk"``.
        bad_images: ``"raise"``: one error lists all images that cannot be loaded; ``"skip"``: leave
            their rows out and say so.
        on_error: ``"raise"``, or ``"keep"``: return the generator with one line.
        recheck: False trusts a store without looking whether the image files changed.
        verbose: 0 says nothing on stderr.

    Returns:
        A finite dataset of float32 ``[batch, height, width, channels]`` images with the labels
        and weights of the generator, or the generator. Both carry ``num_classes``,
        ``steps_per_epoch``, ``set_epoch`` and ``repair_report``; the dataset also what scripts
        read from the generator (``class_indices``, ``classes``, ``samples`` ...).

    Raises:
        UnsupportedOptionError: The generator does something that a repair would change.
        BadImagesError: Images cannot be loaded.
        StoreError: The store cannot be made: no space, no permission.
        ValueError: An argument has a value that does not exist or is not built yet.
    """
    if is_disabled():
        report = RepairReport(outcomes.DISABLED, f"{DISABLE_VARIABLE} is set")
        return dress_generator(generator, report, steps_per_epoch or _length(generator))
    request = Request(
        evidence,
        when,
        cache_dir,
        mode,
        steps_per_epoch,
        storage,
        bad_images,
        on_error,
        recheck=recheck,
        verbose=verbose,
    )
    try:
        return _autofix(generator, request)
    except Exception as error:
        if on_error != "keep":
            raise
        reason = f"{type(error).__name__}: {error}"
        say(f"autofix kept the generator: {reason}", verbose)
        report = RepairReport(outcomes.KEPT, reason)
        return dress_generator(generator, report, request.steps_per_epoch or _length(generator))


def _autofix(generator: Any, request: Request) -> Any:
    spec = read_spec(generator)
    decision = decide(identify_input(generator), request.evidence, request.when)
    steps = request.steps_per_epoch or decision.planned_steps or spec.batches_per_pass
    if not spec.num_rows:
        raise KerasDiagError(
            "This generator has no images: its DataFrame is empty, or no file in it was found. Look at x_col, directory "
            "and the 'Found 0 validated image filenames' that Keras printed."
        )
    sources = find_sources(spec.filepaths, spec.directory)
    finished = _find_finished(sources, spec, request)
    if not decision.repair and (finished is None or unsupported(spec)):
        say(f"autofix kept the generator: {decision.reason}.", request.verbose)
        report = RepairReport(outcomes.KEPT, decision.reason, decision.verdict, decision.evidence)
        return dress_generator(generator, report, steps)
    check_supported(spec)
    factor = spec.augmentation.rescale if spec.augmentation else None
    kernel = choose_kernel(single_precision=rescale.is_single_precision(factor))
    load = loader_of_generator(generator, spec)
    if finished is None:
        say(f"autofix repairs this input: {decision.reason}.", request.verbose)
    prepared = finished or prepare_store(
        sources,
        spec.loader,
        stores_dir=_place_to_write(request),
        chosen_dir=request.chosen_dir,
        generator_load=load,
        bad_images=request.bad_images,
        recheck=request.recheck,
        verbose=request.verbose,
    )
    spec = replace(spec, loader=prepared.store.loader)  # 16-bit grayscale makes a wider store than the spec asks for
    return _build(generator, request, decision, _Materials(spec, prepared, kernel, load, steps))


def _find_finished(sources: Sources, spec: GeneratorSpec, request: Request) -> PreparedStore | None:
    for stores_dir in request.stores_dirs:
        found = find_finished(
            sources, spec.loader, stores_dir=stores_dir, recheck=request.recheck, bad_images=request.bad_images
        )
        if found is not None:
            return found
    return None


def _place_to_write(request: Request) -> Path:
    *read_only, place = request.stores_dirs
    if read_only:
        say(
            f"{read_only[0].parent} cannot be written, so the store goes to {place.parent}, which may not outlive this "
            "session. Choose a place with autofix(..., cache_dir=...) or KERASDIAG_CACHE_DIR.",
            request.verbose,
        )
    return place


def _build(generator: Any, request: Request, decision: Decision, materials: _Materials) -> Any:
    spec, prepared = materials.spec, materials.prepared
    environment = Environment.collect()
    problems = prepared.store.verify(sample=CHECKED_RECORDS)
    if problems:
        raise StoreError(
            f"{problems[0]} {len(problems)} of the records looked at are damaged. Remove the store with "
            f'`kerasdiag store clean "{prepared.store.directory}"`; autofix then converts anew.'
        )
    rows = np.flatnonzero(prepared.record_of_row >= 0)
    if not len(rows):
        raise KerasDiagError(f"None of the {spec.num_rows:,} images can be loaded; the first: {prepared.skipped[0]}.")
    seed = spec.seed if spec.seed is not None else int(np.random.randint(2**31))  # noqa: NPY002  # recorded as dataset.seed
    reading = choose_reading(prepared.store, spec, environment)
    plan = PipelinePlan(spec, rows, prepared.record_of_row[rows], seed, materials.steps, reading.block_rows)
    maker = BatchMaker(plan, prepared.store, materials.kernel, environment.buffer_pool_bytes)
    checked = 0
    if request.recheck:
        maker = check_pixels(generator, maker, prepared.store, materials.load, environment.buffer_pool_bytes)
        checked = min(CHECKED_ROWS, len(rows))
    dataset = build_dataset(maker, environment)
    findings = [*_skipped_finding(prepared, spec, rows), *_keras_finding(generator, plan.steps_per_epoch)]
    report = RepairReport(
        outcomes.REPAIRED if prepared.converted else outcomes.REUSED,
        decision.reason if prepared.converted else "all of its images lie in a finished store",
        decision.verdict,
        decision.evidence,
        store=str(prepared.store.directory),
        kernel=maker.kernel.name,
        kernel_reason=maker.kernel.reason,
        reading=reading.name,
        reading_reason=reading.reason,
        images=len(np.unique(plan.record)),
        converted=prepared.converted,
        conversion_s=prepared.seconds,
        converted_in_process=prepared.in_process_reason,
        skipped=tuple((image.path, image.reason) for image in prepared.skipped),
        findings=tuple(findings),
        checked_rows=checked,
        steps=_describe_steps(plan, request, decision),
    )
    try:
        folder = save_plan(plan, prepared.store, maker.targets)
        report = replace(report, plan=None if folder is None else str(folder))
    except OSError as error:  # a store that others share may be read only; only `store eject` needs the plan
        report = replace(
            report, findings=(*report.findings, f"the plan could not be written beside the store: {error}")
        )
    _tell(report, request.verbose)
    return dress_dataset(
        dataset, generator, report, seed=seed, steps=plan.steps_per_epoch, rows=rows, set_epoch=maker.set_epoch
    )


def _describe_steps(plan: PipelinePlan, request: Request, decision: Decision) -> str:
    if request.steps_per_epoch is not None:
        why = "steps_per_epoch"
    elif decision.planned_steps is not None:
        why = "as the last fit on this input planned"
    else:
        why = "len(generator)"
    return f"{plan.steps_per_epoch:,} batches an epoch ({why})"


def _tell(report: RepairReport, verbose: int) -> None:
    if report.outcome == outcomes.REPAIRED:
        took = "" if report.conversion_s is None else f" in {duration(report.conversion_s)}"
        done = f"converted {report.converted:,} images{took}"
    else:
        done = f"reuses the repair of an earlier call: {report.images:,} images"
    checked = f"; {report.checked_rows} rows compared with the generator: equal" if report.checked_rows else ""
    say(
        f"autofix {done} ({report.store}); {report.kernel} kernel, reads in {report.reading}{checked}; {report.steps}.",
        verbose,
    )
    if report.kernel != COMPILED:
        say(f"the augmentation runs through SciPy, at the generator's own speed: {report.kernel_reason}.", verbose)
    if report.converted_in_process:
        say(f"converted in this process: {report.converted_in_process}.", verbose)
    for finding in report.findings:
        say(f"{finding}.", verbose)


def _skipped_finding(prepared: PreparedStore, spec: GeneratorSpec, rows: Any) -> list[str]:
    missing = spec.num_rows - len(rows)
    if not missing:
        return []
    text = f"{missing:,} of {spec.num_rows:,} rows are left out because their images cannot be loaded"
    if spec.classes is not None and spec.class_indices and all(np.ndim(label) == 0 for label in spec.classes):
        classes = np.asarray(spec.classes)
        count = len(spec.class_indices)
        lost = np.bincount(classes, minlength=count) - np.bincount(classes[rows], minlength=count)
        of_class = [f"{name} {lost[index]:,}" for name, index in spec.class_indices.items() if lost[index]]
        shown = ", ".join(of_class[:10]) + (", ..." if len(of_class) > 10 else "")
        text += f"; rows lost by class: {shown}"
    first = prepared.skipped[0]
    text += f"; the first: {first.path} ({first.reason})"
    if spec.seed is not None:
        text += "; a generator that is zipped with this one (masks) must leave out the same rows"
    if -(-len(rows) // spec.batch_size) < spec.batches_per_pass:
        # Fewer steps would end a fit(steps_per_epoch=len(generator)) after its first epoch on Keras 2.
        text += "; an epoch keeps its number of steps, so its last batches repeat images"
    return [text]


def _keras_finding(generator: Any, steps: int) -> list[str]:
    version = compat.empties_every_second_epoch(generator)
    if version is None:
        return []
    text = (
        f"Keras {version} trains every second epoch on no batch if steps_per_epoch is passed to fit, whatever the input, "
        f"and fails likewise with validation_steps. Drop both: this dataset ends by itself after {steps} batches"
    )
    return [text]


def loader_of_generator(generator: Any, spec: GeneratorSpec) -> Callable[[str], Any]:
    """Return the generator's own loader: path to an array (height, width[, channels])."""
    load = compat.generator_loader(generator)
    if load is None:
        raise KerasDiagError(
            f"The loader of {type(generator).__module__}.{type(generator).__qualname__} was not found; this Keras is not "
            "one that autofix knows (keras-preprocessing 1.1, Keras 2.10 to 3.15)."
        )
    loader = spec.loader
    options: dict[str, Any] = {
        "color_mode": loader.color_mode,
        "target_size": loader.target_size,
        "interpolation": loader.interpolation,
    }
    if loader.keep_aspect_ratio:  # older loaders do not know the argument
        options["keep_aspect_ratio"] = True

    def load_as_array(path: str) -> Any:
        with load(path, **options) as image:
            return np.asarray(image)

    return load_as_array


def _length(generator: Any) -> int:
    try:
        return len(generator)
    except Exception:  # user code: a Sequence may raise anything
        return 0
