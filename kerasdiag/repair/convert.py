"""autofix: from a live generator to a verified, finite tf.data.Dataset, or the generator itself."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any  # generators and datasets are foreign objects

from kerasdiag.environment.switches import DISABLE_VARIABLE, is_disabled
from kerasdiag.errors import KerasDiagError
from kerasdiag.input_identity import identify_input
from kerasdiag.repair import repair_report as outcomes
from kerasdiag.repair.attributes import dress_generator
from kerasdiag.repair.build import Materials, build
from kerasdiag.repair.conversion.prepare import PreparedStore, find_finished, prepare_store
from kerasdiag.repair.decision import Decision, decide
from kerasdiag.repair.kernels.choose import choose_kernel
from kerasdiag.repair.load import loader_of_generator
from kerasdiag.repair.pixel_store.sources import Sources, find_sources
from kerasdiag.repair.plans.plan import REPLAY
from kerasdiag.repair.plans.supported import check_supported, unsupported
from kerasdiag.repair.progress import say
from kerasdiag.repair.read_generator import read_spec
from kerasdiag.repair.repair_report import RepairReport
from kerasdiag.repair.request import Request
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
    """Replace a generator by a cached ``tf.data.Dataset`` with the same images, labels, split and augmentation.

    The line to add to a training script, after the generator and before ``fit``::

        train_data = autofix(train_generator, profiler)

    Where the evidence says that the training waits for its data, the images are converted once to
    a store in the cache directory and read from there; grayscale of more than 8 bits as 16 or 32
    bits, whatever its values need. Otherwise the generator itself comes back,
    and one line on stderr says why.

    Args:
        generator: What ``flow_from_dataframe``, ``flow_from_directory`` or ``flow`` of an
            ImageDataGenerator returned. It is not changed: its counters and order stay where they are.
        evidence: What knows whether this input is the bottleneck: a ``BottleneckProfiler``, a
            ``RunProfile``, a ``Diagnosis``, the path of a saved profile; or None, or a profiler
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
            only the augmentation is compiled. ``"auto"`` is ``"disk"``; images that are an array
            stay where they are.
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
        ParityError: Rows came out otherwise than from the generator.
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
    if not spec.num_rows:
        raise KerasDiagError(
            "This generator has no images: its DataFrame is empty, or no file in it was found. Look at x_col, directory "
            "and the 'Found 0 validated image filenames' that Keras printed."
        )
    steps = _steps(spec, request, decision)
    reasons = unsupported(spec, request.mode)
    sources = None if spec.arrays is not None else find_sources(spec.filepaths, spec.directory)
    finished = None if sources is None or request.storage == "none" else _find_finished(sources, spec, request)
    if not decision.repair and (finished is None or reasons):
        say(f"autofix kept the generator: {decision.reason}.", request.verbose)
        report = RepairReport(outcomes.KEPT, decision.reason, decision.verdict, decision.evidence)
        return dress_generator(generator, report, steps)
    check_supported(spec, request.mode)
    if spec.arrays is not None and request.storage not in ("auto", "memory"):
        raise ValueError(
            f"autofix: the images of this generator are an array in memory, so storage={request.storage!r} has no meaning. "
            "Leave storage out."
        )
    kernel = choose_kernel()
    load = None if sources is None else loader_of_generator(generator, spec)
    if finished is None:
        say(f"autofix repairs this input: {decision.reason}.", request.verbose)
    prepared = finished
    if sources is not None and load is not None and prepared is None and request.storage != "none":
        prepared = prepare_store(
            sources,
            spec.of_files,
            stores_dir=_place_to_write(request),
            chosen_dir=request.chosen_dir,
            generator_load=load,
            bad_images=request.bad_images,
            recheck=request.recheck,
            verbose=request.verbose,
        )
    if prepared is not None:
        spec = replace(
            spec, loader=prepared.store.loader
        )  # 16-bit grayscale makes a wider store than the spec asks for
    return build(generator, request, decision, Materials(spec, prepared, kernel, load, steps))


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
