"""The candidates for one generator: what each would give at most, which of them are tried, and which one it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Optional  # generators are foreign objects

import numpy as np
from numpy.typing import NDArray

from kerasdiag import compat
from kerasdiag.ceilings import Rate, rate_of_generator
from kerasdiag.demand import demand_of
from kerasdiag.environment.facts import Environment
from kerasdiag.errors import StoreError
from kerasdiag.random_streams import streams_kept
from kerasdiag.repair.choice.candidate import DISK, MEMORY, NONE, WORKERS, WORTH_IT, Candidate, Choice, Need, climb
from kerasdiag.repair.choice.rates import Sample, load_sample, rate_of_plan
from kerasdiag.repair.conversion.estimate import bytes_to_write, check_fits
from kerasdiag.repair.decision import Decision, is_measured_apart
from kerasdiag.repair.kernels.choose import KernelChoice
from kerasdiag.repair.pipeline.pixels import FilePixels, Pixels, fits_into_memory, pixels_of_arrays
from kerasdiag.repair.pixel_store.sources import Sources
from kerasdiag.repair.plans.plan import REPLAY, PipelinePlan
from kerasdiag.repair.progress import duration, size
from kerasdiag.repair.request import Request
from kerasdiag.spec import GeneratorSpec
from kerasdiag.user_code import reach_of_generator

WORKER_COUNTS = (2, 4, 8, 16)
# A validation step is the forward pass alone: about a third of a training step, whose backward pass takes two.
VALIDATION_FASTER = 3.0
PATIENCE_S = 10.0
BAD_IMAGES = "an image that cannot be loaded would end the training"


@dataclass(frozen=True, eq=False)
class Subject:
    """What is to be repaired, and with what.

    Attributes:
        generator: The generator; it stays as it is.
        spec: What it is.
        request: The arguments of ``autofix``.
        decision: What the evidence says about it.
        environment: The machine.
        kernel: What would do the pixel work.
        load: Its loader; None where its images are an array.
        sources: Its files; None where its images are an array.
    """

    generator: Any
    spec: GeneratorSpec
    request: Request
    decision: Decision
    environment: Environment
    kernel: KernelChoice
    load: Optional[Callable[[str], Any]]
    sources: Optional[Sources]


def need_of(decision: Decision, generator: Any) -> Need | None:
    """Return what a training asks of this input, or None where the evidence does not tell.

    Args:
        decision: With its evidence.
        generator: Of the Keras whose devices are looked at.
    """
    demand = demand_of(decision.profile)
    if demand is None or demand.wanted_images_per_s is None:
        return None
    shares_cores = not compat.computes_on_accelerator(generator)
    if decision.is_training:
        apart = is_measured_apart(decision.profile)
        return Need(demand.wanted_images_per_s, demand.images_per_s, shares_cores, apart)
    return Need(VALIDATION_FASTER * demand.wanted_images_per_s, None, shares_cores)


def choose_repair(subject: Subject, need: Need) -> Choice:
    """Measure for a few seconds and return the smallest repair that is enough.

    Neither the generator nor any global stream of random numbers is moved, nor what its ``preprocessing_function`` changes,
    as far as that can be put back. The function is called in any case: comparing repairs means running it.
    """
    reach = reach_of_generator(subject.generator)
    with streams_kept() if isinstance(reach, str) else reach.kept():
        return _Ladder(subject, need).choose()


@dataclass(frozen=True, eq=False)
class _Ladder:
    subject: Subject
    need: Need

    def choose(self) -> Choice:
        began_s = time.perf_counter()
        candidates, chosen = climb(self._candidates(), self.need, self._measure)
        # What is out of the question by its prediction is measured for the reader, as long as that takes seconds only.
        for number, one in enumerate(candidates):
            if one.measured is None and not one.impossible and time.perf_counter() - began_s < PATIENCE_S:
                candidates[number] = self._measure(one)
        chosen = next((one for one in candidates if chosen is not None and one.text == chosen.text), None)
        disk = next((one for one in candidates if one.repair == DISK), None)
        if disk is not None and chosen is None:
            return Choice(self.need, tuple(candidates), disk, "nothing could be measured")
        assert chosen is not None  # arrays can always be warped where they are
        if disk is not None and disk.impossible and not self._is_worth_it(chosen):
            # The error that making it ends with says how to make room.
            return Choice(self.need, tuple(candidates), disk, "nothing smaller helps")
        return Choice(self.need, tuple(candidates), chosen, self._reason(candidates, chosen))

    def _is_worth_it(self, candidate: Candidate) -> bool:
        speed, now = candidate.trains_at(self.need), self.need.now_images_per_s
        return speed is not None and (now is None or speed >= WORTH_IT * now)

    def _reason(self, candidates: list[Candidate], chosen: Candidate) -> str:
        speeds = {one.text: speed for one in candidates if (speed := one.trains_at(self.need)) is not None}
        mine = speeds.pop(chosen.text)
        if not speeds:
            return "the only one that is possible"
        smaller = [speeds[one.text] for one in candidates[: candidates.index(chosen)] if one.text in speeds]
        if smaller:
            return f"with anything smaller the training would reach {max(smaller):,.0f} images/s, with this {mine:,.0f}"
        return "the smallest one, and none makes the training 5 % faster than it does"

    # --- What there is ---

    def _candidates(self) -> list[Candidate]:
        if self.subject.spec.arrays is not None:
            text = f"{self.subject.kernel.name}, over the array"
            return [*self._workers(), Candidate(MEMORY, text, predicted=self._kernel_rate)]
        disk = self._disk()
        return [*self._workers(), self._none(), disk, self._memory(disk)]

    def _workers(self) -> list[Candidate]:
        cores, objection = self.subject.environment.cores, self._objection_to_workers()
        counts = [count for count in WORKER_COUNTS if count <= max(2, 2 * cores) and count != self._present_workers]
        if not counts:  # one core, and two workers already
            return []
        if objection is None:
            try:
                base = self._try_workers(self._present_workers)
            except Exception as error:  # an image that cannot be loaded, or a function of the user's own
                objection = _say_error(error)
        if objection is not None:
            return [Candidate(WORKERS, "more workers", counts[0], impossible=objection)]
        now = self.need.now_images_per_s
        slowed = 1.0 if now is None else min(1.0, now / base.images_per_s)
        return [
            Candidate(
                WORKERS,
                f"workers={count}",
                count,
                predicted=base.at_most(self._present_workers, count, cores),
                slowed=slowed,
            )
            for count in counts
        ]

    def _objection_to_workers(self) -> str | None:
        request, profile = self.subject.request, self.subject.decision.profile
        if request.mode == REPLAY:
            return 'mode="replay" is the order of one worker'
        if request.bad_images == "skip":
            return BAD_IMAGES
        data = profile.training_input if profile is not None else None
        return "its workers are processes already" if data is not None and data.use_multiprocessing else None

    def _none(self) -> Candidate:
        skips = self.subject.request.bad_images == "skip"
        predicted = None if self._sample is None else self._from_files(self._sample)
        text = f"{self.subject.kernel.name}, over the original files"
        return Candidate(NONE, text, predicted=predicted, impossible=BAD_IMAGES if skips else None)

    def _disk(self) -> Candidate:
        spec, sources, request = self.subject.spec, self.subject.sources, self.subject.request
        assert sources is not None  # arrays need no store
        count, text, impossible = len(sources.names), "", None
        num_bytes = bytes_to_write(spec.of_files, sources.names)
        if self._sample is not None:
            took_s = self._sample.wall_s * count / self.subject.environment.cores
            text = f" ({size(num_bytes)}, about {duration(took_s)} to make)"
        try:
            check_fits(request.stores_dirs[-1], count, num_bytes, held_bytes=0, chosen=request.chosen_dir)
        except StoreError as error:
            impossible = str(error).partition(" Nothing was written.")[0]
        return Candidate(DISK, f"store on disk{text}", predicted=self._kernel_rate, impossible=impossible)

    def _memory(self, disk: Candidate) -> Candidate:
        spec, sources, memory = self.subject.spec, self.subject.sources, self.subject.environment.memory
        num_bytes = spec.of_files.image_bytes * len(sources.names) if sources is not None else 0
        impossible = disk.impossible
        if impossible is None and not fits_into_memory(num_bytes, memory.available_bytes):
            impossible = f"{size(num_bytes)} of images, and {size(memory.available_bytes)} of memory left for all"
        return Candidate(MEMORY, "that store, in memory", predicted=self._kernel_rate, impossible=impossible)

    # --- What it gives ---

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.random.default_rng(0).permutation(self.subject.spec.num_rows)

    @property
    def _present_workers(self) -> int:
        decision = self.subject.decision
        data = decision.profile.training_input if decision.profile is not None and decision.is_training else None
        return max(1, (data.workers if data is not None else None) or 1)

    @cached_property
    def _sample(self) -> Sample | None:
        spec, load = self.subject.spec, self.subject.load
        return None if load is None else load_sample(FilePixels(load, spec), spec.image_shape, self._order)

    @cached_property
    def _kernel_rate(self) -> float | None:
        """All cores at the images, with no file to decode."""
        spec = self.subject.spec
        if spec.arrays is not None:
            return self._rate_of(pixels_of_arrays(spec, np.arange(spec.num_rows)))
        return None if self._sample is None else self._rate_of(self._sample.pixels(spec.num_rows))

    def _from_files(self, sample: Sample) -> float:
        """Decoding and warping on all cores, by the time that one image takes in each."""
        cores, threads = self.subject.environment.cores, self.subject.environment.reader_threads
        kernel_s = cores / (self._kernel_rate or 1e-9)
        return min(threads / (sample.wall_s + kernel_s), cores / (sample.cpu_s + kernel_s))

    def _measure(self, candidate: Candidate) -> Candidate:
        try:
            if candidate.workers:
                return replace(candidate, measured=self._try_workers(candidate.workers).images_per_s)
            if candidate.repair == NONE and self.subject.load is not None:
                return replace(candidate, measured=self._rate_of(FilePixels(self.subject.load, self.subject.spec)))
        except Exception as error:
            return replace(candidate, impossible=_say_error(error))
        return candidate

    def _try_workers(self, workers: int) -> Rate:
        # Only the first look at a file asks a disk: each measurement gets rows of its own, as long as there are any.
        return rate_of_generator(self.subject.generator, workers, np.roll(self._order, -64 * workers))

    def _rate_of(self, pixels: Pixels) -> float:
        subject = self.subject
        plan = PipelinePlan(subject.spec, np.arange(subject.spec.num_rows), None, 0, 1, 1, subject.request.mode)
        return rate_of_plan(plan, pixels, subject.kernel, subject.environment).images_per_s


def _say_error(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
