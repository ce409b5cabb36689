"""Repairs that may be enough, what the training would become with each, and which one is the smallest that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Optional

WORKERS, NONE, DISK, MEMORY = "workers", "none", "disk", "memory"

# An input that gives just what the training takes makes it wait at each uneven step.
HEADROOM = 1.3
# A larger repair must bring the training more than this beyond a smaller one: less drowns in the noise of a run.
ENOUGH = 0.95
# Below this gain a repair is hardly worth having, and that is said.
WORTH_IT = 1.2


@dataclass(frozen=True)
class Need:
    """What a training asks of its input.

    Attributes:
        images_per_s: Images a second that it could take.
        now_images_per_s: Images a second that it takes now, None where nobody measured.
        is_measured_apart: Whether both follow from input and model alone: no training of them has run.
        shares_cores: Whether the model computes on the cores that make its batches, too.
    """

    images_per_s: float
    now_images_per_s: Optional[float]
    shares_cores: bool
    is_measured_apart: bool = False

    def trains_at(self, rate: float) -> float:
        """Return the images a second of the training, fed by an input of this rate.

        Where model and input share the cores, an image takes its time in both, one after the other.
        """
        if self.shares_cores:
            return 1 / (1 / self.images_per_s + 1 / max(rate, 1e-9))
        # A slow input sets the pace; the nearer it comes to what is asked, the more the uneven steps cost.
        nearness = min(1.0, rate / (HEADROOM * self.images_per_s))
        return min(self.images_per_s, rate / (1 + (HEADROOM - 1) * nearness))


@dataclass(frozen=True)
class Candidate:
    """One repair.

    Attributes:
        repair: ``"workers"``, ``"none"``, ``"disk"`` or ``"memory"``.
        text: What it is, for people.
        workers: Number of workers, for ``"workers"``.
        predicted: Images a second that it gives at most, from what its parts cost; None: not looked at.
        measured: Images a second that it gave, None: not tried.
        slowed: How much of what it gives alone the same thing gave within the training (0-1); what the
            interpreter's lock and the model's threads cost the generator.
        impossible: Why it cannot be, or None.
    """

    repair: str
    text: str
    workers: Optional[int] = None
    predicted: Optional[float] = None
    measured: Optional[float] = None
    slowed: float = 1.0
    impossible: Optional[str] = None

    @property
    def rate(self) -> float | None:
        """Images a second, as far as known."""
        return self.predicted if self.measured is None else self.measured

    def trains_at(self, need: Need) -> float | None:
        """Return the images a second of the training with it, as far as known."""
        if self.rate is None or self.impossible:
            return None
        by_training = self.rate * self.slowed if self.slowed < 1 else float("inf")
        return min(need.trains_at(self.rate), by_training)


@dataclass(frozen=True)
class Choice:
    """A repair, and how it was found.

    Attributes:
        need: What the training asks.
        candidates: All repairs, the smallest first.
        chosen: The one to make.
        reason: Why this one, as a sentence without its full stop.
    """

    need: Need
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    reason: str

    def gain(self, rate: float) -> float | None:
        """Return how many times as fast the training should become, fed by an input of this rate."""
        now = self.need.now_images_per_s
        speed = replace(self.chosen, measured=rate, impossible=None).trains_at(self.need)
        return None if not now or speed is None else speed / now

    def is_enough(self, rate: float) -> bool:
        """Tell whether that feeds the training about as well as was predicted of the chosen repair."""
        predicted = self.chosen.trains_at(self.need)
        return predicted is None or self.need.trains_at(rate) >= ENOUGH * predicted

    def in_memory(self, disk_rate: float) -> Choice:
        """Return the choice of memory in place of a disk that turned out too slow.

        Args:
            disk_rate: Images a second that the repair gives from the disk.
        """
        known = tuple(replace(one, measured=disk_rate) if one.repair == DISK else one for one in self.candidates)
        from_disk = replace(self.chosen, measured=disk_rate).trains_at(self.need)
        chosen = next(one for one in known if one.repair == MEMORY)
        from_memory = chosen.trains_at(self.need)
        reason = f"from the disk the training would reach {from_disk or 0:,.0f} images/s"
        if from_memory is not None:
            reason += f", from memory up to {from_memory:,.0f}"
        return Choice(self.need, known, chosen, reason)

    @property
    def memory_helps(self) -> bool:
        """Whether a store may be read into memory where the disk turns out too slow."""
        return any(one.repair == MEMORY and not one.impossible for one in self.candidates)


def climb(
    candidates: Sequence[Candidate], need: Need, measure: Callable[[Candidate], Candidate]
) -> tuple[list[Candidate], Candidate | None]:
    """Find the smallest repair with which the training is about as fast as with any.

    Only those are measured that would be chosen by what was predicted of them.

    Args:
        candidates: The smallest first.
        need: What the training asks.
        measure: Returns a candidate with what was measured of it, as it is where that can be told only
            when it is made, or as impossible.

    Returns:
        The candidates with what was measured, and the chosen one; None where none is possible.
    """
    known = list(candidates)
    untried = {number for number, one in enumerate(known) if one.trains_at(need) is not None}
    while True:
        speeds = {number: speed for number, one in enumerate(known) if (speed := one.trains_at(need)) is not None}
        if not speeds:
            return known, None
        number = next(number for number, speed in speeds.items() if speed >= ENOUGH * max(speeds.values()))
        if number not in untried:
            return known, known[number]
        untried.remove(number)
        known[number] = measure(known[number])
        _learn(known, known[number])


def _learn(candidates: list[Candidate], tried: Candidate) -> None:
    """More workers give at most as many times more as there are more of them."""
    for number, one in enumerate(candidates):
        if one.workers and tried.workers and one.workers > tried.workers and one.predicted and tried.measured:
            most = tried.measured * one.workers / tried.workers
            candidates[number] = replace(one, predicted=min(one.predicted, most))
