"""The eight verdicts, and the truth table from shares of the time to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# XProf's input pipeline analyzer calls a step "moderately" and "highly" input-bound at these
# shares, and users compare the two tools.
PARTLY_INPUT_BOUND_FRACTION = 0.05
INPUT_BOUND_FRACTION = 0.20
# The same fifth: what takes less is not the first thing to mend.
CALLBACK_BOUND_FRACTION = 0.20
LAUNCH_BOUND_FRACTION = 0.20
# Below this one slow step can turn the verdict.
MIN_MEASURED_STEPS = 20


class Verdict(str, Enum):
    """What limits the training."""

    INPUT_BOUND = "input-bound"
    PARTLY_INPUT_BOUND = "partly-input-bound"
    COMPUTE_BOUND = "compute-bound"
    LAUNCH_BOUND = "launch-bound"
    CALLBACK_BOUND = "callback-bound"
    MIXED = "mixed"
    NOT_ENOUGH_DATA = "not-enough-data"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Shares:
    """What the time went into, as shares of it (0-1); what was not measured counts as nothing.

    Attributes:
        data_wait: Standing still for the next batch, of the time of the steps.
        callbacks: Standing still for callbacks, between epochs too, of the whole training time.
        launch: The fixed cost of starting steps, of their time.
        steps: What part of the training time the steps took.
    """

    data_wait: float
    callbacks: float = 0.0
    launch: float = 0.0
    steps: float = 1.0


def judge(shares: Shares) -> Verdict:
    """Return what limits a training that spends its time so.

    One cause of a fifth or more gives its verdict, several of them are ``mixed``. A wait of 5 to 20 % counts where
    nothing takes more.
    """
    causes, _ = causes_of(shares)
    if causes:
        return Verdict.MIXED if len(causes) > 1 else causes[0]
    return Verdict.PARTLY_INPUT_BOUND if shares.data_wait >= PARTLY_INPUT_BOUND_FRACTION else Verdict.COMPUTE_BOUND


def causes_of(shares: Shares) -> tuple[list[Verdict], float]:
    """Return the verdicts of what takes a fifth or more, and as what part of the time the steps are counted for that.

    One cause is judged by the time of the steps, which counts as all then. Which of several matters shows on one base
    only, the training: it may spend little of its time in its steps. Where none of them is a fifth of that, all count.
    """
    causes = _with_a_fifth(shares, 1.0)
    of_training = _with_a_fifth(shares, shares.steps) if len(causes) > 1 else []
    return (of_training, shares.steps) if of_training else (causes, 1.0)


def _with_a_fifth(shares: Shares, steps: float) -> list[Verdict]:
    found = (
        (Verdict.INPUT_BOUND, shares.data_wait * steps >= INPUT_BOUND_FRACTION),
        (Verdict.CALLBACK_BOUND, shares.callbacks >= CALLBACK_BOUND_FRACTION),
        (Verdict.LAUNCH_BOUND, shares.launch * steps >= LAUNCH_BOUND_FRACTION),
    )
    return [verdict for verdict, takes_a_fifth in found if takes_a_fifth]
