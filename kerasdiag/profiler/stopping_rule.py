"""When a profiled training has told enough: the same clear verdict for a while, or its time is over."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from enum import Enum

from kerasdiag.diagnosis import MIN_MEASURED_STEPS, Diagnosis, Verdict, diagnose
from kerasdiag.profile import RunProfile
from kerasdiag.step_times import StepTimes

STABLE_STEPS = 20  # as many as the first verdict takes: a verdict that turned would have had time to
TIME_LIMIT_S = 60.0  # a verdict that is still open after a minute is near a threshold, or the steps are very slow


class Ending(Enum):
    """Why a training may end."""

    STABLE = "stable"
    TIME_OVER = "time-over"


class StableVerdict:
    """Counts for how many steps in a row the verdict has been the same, and clear."""

    def __init__(self) -> None:
        self._verdict: Verdict | None = None
        self._steps = 0

    def add(self, diagnosis: Diagnosis) -> bool:
        """Take the diagnosis after one more measured step; tell whether the verdict is stable now."""
        if not diagnosis.is_clear:
            self._verdict, self._steps = None, 0
        elif diagnosis.verdict is self._verdict:
            self._steps += 1
        else:
            self._verdict, self._steps = diagnosis.verdict, 1
        return self.is_stable

    @property
    def is_stable(self) -> bool:
        """Whether the verdict was the same, and clear, for the last ``STABLE_STEPS`` steps."""
        return self._steps >= STABLE_STEPS

    @property
    def steps_to_go(self) -> int:
        """How many steps it takes at least until the verdict is stable."""
        return max(0, STABLE_STEPS - self._steps)


class StoppingRule:
    """Decides after each step whether the training has told enough.

    A step is judged only when the verdict may have become stable, together with those before it.
    A look after each step would give the loader time to catch up, and so change what it measures.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._first_step_s: float | None = None
        self.begin_fit()

    def begin_fit(self) -> None:
        """Forget the verdict of the fit before, but not when its first step was."""
        self._stable = StableVerdict()
        self._judged_rows = 0
        self._next_look = MIN_MEASURED_STEPS + STABLE_STEPS - 1

    def after_step(self, measured_steps: int, read_profile: Callable[[], RunProfile]) -> Ending | None:
        """Return why the training may end here, or None.

        Args:
            measured_steps: Steps of this fit after warm-up.
            read_profile: Returns what was measured so far; called only when needed.
        """
        now_s = self._clock()
        if self._first_step_s is None:
            self._first_step_s = now_s
        if measured_steps >= self._next_look:
            self._judge(read_profile())
            self._next_look = measured_steps + self._stable.steps_to_go
        if self._stable.is_stable:
            return Ending.STABLE
        return Ending.TIME_OVER if now_s - self._first_step_s >= TIME_LIMIT_S else None

    def _judge(self, profile: RunProfile) -> None:
        for steps in _beginnings(profile.steps, self._judged_rows):
            self._stable.add(diagnose(dataclasses.replace(profile, steps=steps)))
        self._judged_rows = len(profile.steps)


def _beginnings(steps: StepTimes, judged_rows: int) -> Iterator[StepTimes]:
    """Yield the steps up to each measured row that is new, as a look after that row would have found them."""
    for row in range(judged_rows, len(steps)):
        if not steps.warm_up[row]:
            yield steps.rows(range(row + 1))
