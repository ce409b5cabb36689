"""What the demo measured, and whether the story holds: values and pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from kerasdiag.diagnosis import Diagnosis, Verdict

# What the demo promises; it ends with exit code 1 when a machine shows something else.
LEAST_WAIT_BEFORE = 0.60
MOST_WAIT_AFTER = 0.05
LEAST_SPEEDUP = 3.0
# The model's share of the generator's time: a smaller one would flatter the repair.
LEAST_SHARE, MOST_SHARE = 0.15, 0.25


@dataclass(frozen=True)
class Run:
    """One training of the demo.

    Attributes:
        name: What fed it.
        diagnosis: What the profiler said about its steady steps.
        batch_size: Images in a batch.
    """

    name: str
    diagnosis: Diagnosis
    batch_size: int

    @property
    def step_s(self) -> float:
        """Mean period of a step in seconds, wait included."""
        return self.diagnosis.mean_step_s or 0.0

    @property
    def wait_fraction(self) -> float:
        """Share of the time that waited for data, 0 to 1."""
        return self.diagnosis.data_wait_fraction or 0.0

    @property
    def images_per_s(self) -> float:
        """Images trained on in a second."""
        return self.batch_size / self.step_s if self.step_s else 0.0


@dataclass(frozen=True)
class Outcome:
    """The whole demo.

    Attributes:
        before: The generator as most scripts use it: ``workers`` left alone.
        best: The generator at its best ``workers``.
        after: The repaired input; None where nothing had to be repaired.
        cached_step_s: Step of the model on a batch that lies in memory, in seconds.
        generator_batch_s: What the generator at its best needs for a batch, in seconds.
        conversion_s: Seconds the conversion took, or None.
        converted: Images converted.
        kernel: What augments after the repair, or None.
        kernel_reason: Why it is not the compiled kernel, or None.
    """

    before: Run
    best: Run
    after: Run | None
    cached_step_s: float
    generator_batch_s: float
    conversion_s: float | None = None
    converted: int = 0
    kernel: str | None = None
    kernel_reason: str | None = None

    @property
    def speedup(self) -> float | None:
        """Whole step of the generator at its best over that of the repaired input."""
        return self.best.step_s / self.after.step_s if self.after and self.after.step_s else None

    @property
    def break_even_epochs(self) -> float | None:
        """Epochs after which the conversion has paid for itself, against the generator at its best.

        Counted for each image, so it holds for a data set of any size.
        """
        if self.after is None or self.conversion_s is None or not self.converted:
            return None
        saved_s = (self.best.step_s - self.after.step_s) / self.best.batch_size
        return self.conversion_s / self.converted / saved_s if saved_s > 0 else None

    @property
    def model_share(self) -> float | None:
        """What the model's step on a batch in memory takes of the generator's time for a batch, 0 to 1."""
        return self.cached_step_s / self.generator_batch_s if self.generator_batch_s else None

    @property
    def needs_no_repair(self) -> bool:
        """Whether the verdict says that the input is not what holds the training up; ``unknown`` does not say so."""
        return self.after is None and self.before.diagnosis.verdict in (
            Verdict.COMPUTE_BOUND,
            Verdict.PARTLY_INPUT_BOUND,  # autofix does not repair for less than a fifth of the time
        )

    @property
    def failures(self) -> tuple[str, ...]:
        """What this machine did not show, one sentence each."""
        failures = []
        share = self.model_share
        if share is None or not LEAST_SHARE <= share <= MOST_SHARE:
            failures.append(
                f"No model fits this machine: its step takes {share or 0.0:.0%} of what the generator needs for a batch; "
                f"expected: {LEAST_SHARE:.0%} to {MOST_SHARE:.0%}."
            )
        if self.before.diagnosis.verdict != Verdict.INPUT_BOUND or self.before.wait_fraction < LEAST_WAIT_BEFORE:
            failures.append(
                f"Before the repair the verdict was {self.before.diagnosis.verdict} with {_percent(self.before)} data "
                f"wait; expected: input-bound with at least {LEAST_WAIT_BEFORE:.0%}."
            )
        if self.after is None:
            failures.append("Nothing was repaired.")
            return tuple(failures)
        if self.after.wait_fraction >= MOST_WAIT_AFTER:
            failures.append(
                f"After the repair {_percent(self.after)} of the time waited for data; expected: less than "
                f"{MOST_WAIT_AFTER:.0%}."
            )
        if (self.speedup or 0.0) < LEAST_SPEEDUP:
            failures.append(
                f"The whole step became {self.speedup or 0.0:.1f} times faster than with the generator at its best; "
                f"expected: at least {LEAST_SPEEDUP:.0f} times."
            )
        if failures and self.kernel_reason:
            failures.append(f"The augmentation ran through SciPy: {self.kernel_reason}.")
        return tuple(failures)


def _percent(run: Run) -> str:
    return f"{run.wait_fraction * 100:.1f} %"
