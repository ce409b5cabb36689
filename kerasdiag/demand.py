"""What a training asks of its input, from its own profile: how many images, how fast, and how long it waited."""

from __future__ import annotations

from dataclasses import dataclass

from kerasdiag.diagnosis import Verdict, diagnose
from kerasdiag.profile import RunProfile


@dataclass(frozen=True)
class Demand:
    """A training by its measured steps.

    Attributes:
        step_s: Mean step period in seconds, wait included.
        wait_s: Mean visible data wait per step in seconds.
        steps_per_epoch: Steps of an epoch, None where nobody said.
        batch_size: Images in a batch, None where the input does not know.
        num_images: Images that the input holds, None where it does not know.
        workers: Threads or processes that prepare batches, None where it has none.
    """

    step_s: float
    wait_s: float
    steps_per_epoch: int | None
    batch_size: int | None
    num_images: int | None
    workers: int | None

    @property
    def images_per_s(self) -> float | None:
        """Images a second that the training takes, waiting included."""
        return None if self.batch_size is None else self.batch_size / self.step_s

    @property
    def wanted_images_per_s(self) -> float | None:
        """Images a second that it would take if it never waited."""
        if self.batch_size is None:
            return None
        return self.batch_size / max(self.step_s - self.wait_s, 1e-3 * self.step_s)  # as speedup_if_fixed: 1000 at most

    @property
    def wait_fraction(self) -> float:
        """Share of the training that was visible data wait."""
        return self.wait_s / self.step_s

    @property
    def epoch_s(self) -> float | None:
        """Length of an epoch in seconds, without validation."""
        return None if self.steps_per_epoch is None else self.step_s * self.steps_per_epoch

    @property
    def images_per_epoch(self) -> int | None:
        """Images that an epoch reads."""
        if self.steps_per_epoch is None or self.batch_size is None:
            return self.num_images
        images = self.steps_per_epoch * self.batch_size
        # The last batch of a pass is mostly smaller.
        is_one_pass = self.num_images is not None and 0 <= images - self.num_images < self.batch_size
        return self.num_images if is_one_pass else images


def demand_of(profile: RunProfile | None) -> Demand | None:
    """Return what a training asks of its input; None where its profile allows no verdict."""
    if profile is None:
        return None
    diagnosis = diagnose(profile)
    if diagnosis.verdict in (Verdict.UNKNOWN, Verdict.NOT_ENOUGH_DATA):
        return None
    if not diagnosis.mean_step_s or diagnosis.mean_wait_s is None:
        return None
    data = profile.training_input
    return Demand(
        step_s=diagnosis.mean_step_s,
        wait_s=diagnosis.mean_wait_s,
        steps_per_epoch=profile.planned_steps_per_epoch or (data.num_batches if data else None),
        batch_size=data.batch_size if data else None,
        num_images=data.n if data else None,
        workers=data.workers if data else None,
    )
