"""autofix: from a live generator to a verified, finite tf.data.Dataset, or the generator itself."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any  # generators and datasets are foreign objects

from kerasdiag.ceilings.apart import measure_apart
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.switches import DISABLE_VARIABLE, is_disabled
from kerasdiag.errors import KerasDiagError
from kerasdiag.input_identity import TF_DATA, InputIdentity, identify_input
from kerasdiag.repair import repair_report as outcomes
from kerasdiag.repair.attributes import dress_generator
from kerasdiag.repair.build import Materials, build
from kerasdiag.repair.choice.candidate import DISK, MEMORY, NONE, Candidate, Choice
from kerasdiag.repair.choice.choose import Subject, choose_repair, need_of
from kerasdiag.repair.choice.remember import Memory, SmallRepair
from kerasdiag.repair.choice.table import lines
from kerasdiag.repair.conversion.bad_images import check_any_exists
from kerasdiag.repair.conversion.prepare import PreparedStore, find_finished, prepare_store
from kerasdiag.repair.decision import ALWAYS, Decision, decide, is_model
from kerasdiag.repair.kernels.choose import choose_kernel
from kerasdiag.repair.load import loader_of_generator
from kerasdiag.repair.pipeline.pixels import fits_into_memory
from kerasdiag.repair.pixel_store.sources import Sources, find_sources
from kerasdiag.repair.plans.plan import REPLAY
from kerasdiag.repair.plans.supported import check_supported, unsupported
from kerasdiag.repair.progress import say
from kerasdiag.repair.read_generator import read_spec
from kerasdiag.repair.repair_report import RepairReport
from kerasdiag.repair.request import Request
from kerasdiag.repair.unchanged import give_workers, keep_dataset, keep_generator
from kerasdiag.spec import GeneratorSpec


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
    """Give a training that waits for its data an input that it need not wait for; images and labels stay the same.

    The line to add to a training script, after the generator and before ``fit``::

        train_data = autofix(train_generator, profiler)

    Where the evidence says that the training waits for its data, a few seconds of measuring find the
    smallest repair that is enough: more workers for the generator; a ``tf.data.Dataset`` with the same
    images, labels, split and augmentation, computed by a compiled kernel, over the original files; or
    over a store of the converted images in the cache directory (grayscale of more than 8 bits as 16 or
    32 bits, whatever its values need), on the disk or in memory. It is remembered for the next runs.
    Otherwise the generator itself comes back, and one line on stderr says why.

    Args:
        generator: What ``flow_from_dataframe``, ``flow_from_directory`` or ``flow`` of an
            ImageDataGenerator returned. It is not changed: its counters and order stay where they are;
            only its ``workers`` may be set, on Keras 3. A ``tf.data.Dataset`` comes back as it is, with
            what the evidence says about it.
        evidence: What knows whether this input is the bottleneck: a ``BottleneckProfiler``, a
            ``RunProfile``, a ``Diagnosis``, the path of a saved profile; a model that is built and compiled:
            both are then measured apart, in some seconds, and left as they were; or None, or a profiler
            before its first fit: what an earlier run saved about this generator.
        when: ``"bottleneck"``: repair what the evidence calls input-bound, or what was repaired
            before; ``"always"``: repair.
        cache_dir: Where the store goes; default: ``KERASDIAG_CACHE_DIR``, else the platform's
            cache directory. A store above 20 GB is made only in a directory chosen by you.
        mode: ``"exact"``: for the same draws the generator's own pixels, bit for bit; the draws
            are keyed by seed, pass and row. ``"replay"``: exact, and the draws and the order are
            those that iterating the seeded generator directly would give from its present state;
            iteration n over the dataset is epoch n.
        steps_per_epoch: Batches of one iteration over the dataset; give it the value that you give
            ``fit``. Default: what ``fit`` planned according to the evidence, else ``len(generator)``.
        storage: ``"disk"``: the images as the loader makes them, in a store; ``"memory"``: the same,
            read into memory once; ``"none"``: no store, the files are decoded anew in each pass and
            only the augmentation is compiled. ``"auto"``: the smallest repair that is enough, by the
            evidence; ``"disk"`` where that tells no rates, as with ``when="always"``. Images that are
            an array stay where they are.
        bad_images: ``"raise"``: one error lists all images that cannot be loaded; ``"skip"``: leave
            their rows out and say so.
        on_error: ``"raise"``, or ``"keep"``: return the generator with one line.
        recheck: False trusts a store without looking whether the image files changed.
        verbose: 0 says nothing on stderr.

    Returns:
        A finite dataset of float32 ``[batch, height, width, channels]`` images with the labels
        and weights of the generator, or the generator (``repair_report.outcome`` is ``"kept"``, or
        ``"workers"`` where more of them are enough: Keras 2 takes their number in ``fit``, and the line
        to type is printed). Both carry ``num_classes``,
        ``steps_per_epoch``, ``set_epoch`` and ``repair_report``; the dataset also what scripts
        read from the generator (``class_indices``, ``classes``, ``samples`` ...).

    Raises:
        UnsupportedOptionError: The generator does something that a repair would change.
        ParityError: Rows came out otherwise than from the generator.
        BadImagesError: Images cannot be loaded.
        StoreError: The store cannot be made: no space, no permission.
        ValueError: An argument has a value that does not exist or is not built yet.
        TypeError: An argument is of another type.
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
    identity = identify_input(generator)
    if identity.kind == TF_DATA:
        return keep_dataset(generator, identity, request)
    spec = read_spec(generator)
    if not spec.num_rows:
        raise KerasDiagError(
            "This generator has no images: its DataFrame is empty, or no file in it was found. Look at x_col, directory "
            "and the 'Found 0 validated image filenames' that Keras printed."
        )
    environment = Environment.collect()
    sources = None if spec.arrays is not None else find_sources(spec.filepaths, spec.directory)
    finished = None if sources is None or request.storage == "none" else _find_finished(sources, spec, request)
    decision = decide(identity, _evidence(generator, identity, request, sources, finished), request.when)
    steps = _steps(spec, request, decision)
    reasons = unsupported(spec, request.mode)
    memory = Memory(identity, spec, request, environment.cores)
    earlier = memory.repair(decision, has_store=finished is not None)
    if not decision.repair and ((finished is None and earlier is None) or reasons):
        return keep_generator(generator, decision, request, steps)
    check_supported(spec, request.mode)
    if spec.arrays is not None and request.storage not in ("auto", "memory"):
        raise ValueError(
            f"autofix: the images of this generator are an array in memory, so storage={request.storage!r} has no meaning. "
            "Leave storage out."
        )
    if earlier is not None and earlier.workers:
        reason = earlier.as_reason
        return give_workers(
            generator, spec, decision, request, steps, workers=earlier.workers, reason=reason, choice=None
        )
    subject = Subject(
        generator,
        spec,
        request,
        decision,
        environment,
        choose_kernel(),
        None if sources is None else loader_of_generator(generator, spec),
        sources,
    )
    return _repair(subject, steps, finished, memory, earlier)


def _evidence(
    generator: Any, identity: InputIdentity, request: Request, sources: Sources | None, finished: PreparedStore | None
) -> Any:
    """The evidence itself; a model is measured, where that can change what is done."""
    if not is_model(request.evidence):
        return request.evidence
    if finished is not None or request.when == ALWAYS:
        return None
    say("autofix measures this input and this model apart, which takes some seconds.", request.verbose)
    try:
        return measure_apart(generator, identity, request.evidence)
    except FileNotFoundError:
        if sources is not None:
            check_any_exists(sources)
        raise


def _repair(
    subject: Subject, steps: int, finished: PreparedStore | None, memory: Memory, earlier: SmallRepair | None
) -> Any:
    request, spec, decision = subject.request, subject.spec, subject.decision
    if finished is None and earlier is None:
        say(f"autofix repairs this input: {decision.reason}.", request.verbose)
    if finished is None and subject.sources is not None:
        check_any_exists(subject.sources)
    is_open = request.chooses and finished is None and earlier is None
    choice = _compare(subject) if is_open else None
    chosen = None if choice is None else choice.chosen
    if chosen is not None and choice is not None and chosen.workers:
        memory.keep(chosen, choice.reason, request.verbose)
        return give_workers(
            subject.generator, spec, decision, request, steps,
            workers=chosen.workers, reason=choice.reason, choice=choice,
        )  # fmt: skip
    storage = _storage(subject, chosen, earlier)
    prepared = finished
    if subject.sources is not None and subject.load is not None and prepared is None and storage != NONE:
        prepared = prepare_store(
            subject.sources,
            spec.of_files,
            stores_dir=_place_to_write(request),
            chosen_dir=request.chosen_dir,
            generator_load=subject.load,
            bad_images=request.bad_images,
            recheck=request.recheck,
            verbose=request.verbose,
        )
    if prepared is not None:
        # 16-bit grayscale makes a wider store than the spec asks for.
        spec = replace(spec, loader=prepared.store.loader)
    materials = Materials(spec, prepared, subject.kernel, subject.load, steps, storage, choice, earlier)
    dataset = build(subject.generator, request, decision, materials)
    made = dataset.repair_report.choice  # a disk that turned out too slow makes it another one
    if made is not None and made.chosen.repair != DISK:
        memory.keep(made.chosen, made.reason, request.verbose)
    return dataset


def _compare(subject: Subject) -> Choice | None:
    need = need_of(subject.decision, subject.generator)
    if need is None:
        return None
    verbose = subject.request.verbose
    say("autofix compares repairs, which takes some seconds.", verbose)
    choice = choose_repair(subject, need)
    for line in lines(choice):
        say(line, verbose)
    return choice


def _storage(subject: Subject, chosen: Candidate | None, earlier: SmallRepair | None) -> str:
    if subject.sources is None:
        return MEMORY
    if subject.request.storage != "auto":
        return subject.request.storage
    if chosen is not None:
        return chosen.repair
    if earlier is None:
        return DISK
    num_bytes = subject.spec.of_files.image_bytes * len(subject.sources.names)
    is_too_much = not fits_into_memory(num_bytes, subject.environment.memory.available_bytes)
    return DISK if earlier.repair == MEMORY and is_too_much else earlier.repair


def _steps(spec: GeneratorSpec, request: Request, decision: Decision) -> int:
    if request.mode != REPLAY:
        return request.steps_per_epoch or decision.planned_steps or spec.batches_per_pass
    steps = request.steps_per_epoch or spec.batches_per_pass
    if steps < spec.batches_per_pass:
        raise ValueError(
            f'autofix: mode="replay" gives the generator\'s own epochs, of {spec.batches_per_pass} batches. Received: '
            f"steps_per_epoch={steps}, which would leave the rest of each epoch out."
        )
    return steps


def _find_finished(sources: Sources, spec: GeneratorSpec, request: Request) -> PreparedStore | None:
    for stores_dir in request.stores_dirs:
        found = find_finished(
            sources, spec.of_files, stores_dir=stores_dir, recheck=request.recheck, bad_images=request.bad_images
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


def _length(generator: Any) -> int:
    try:
        return len(generator)
    except Exception:  # user code: a Sequence may raise anything
        return 0
