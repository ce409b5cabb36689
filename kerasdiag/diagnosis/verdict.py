"""The eight verdicts, and the truth table from shares of the training time to one of them."""

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
    """What the training time went into, as shares of it (0-1); what was not measured counts as nothing.

    Attributes:
        data_wait: Standing still for the next batch.
        callbacks: Standing still for callbacks.
        launch: The fixed cost of starting steps.
    """

    data_wait: float
    callbacks: float = 0.0
    launch: float = 0.0


def judge(shares: Shares) -> Verdict:
    """Return what limits a training that spends its time so.

    One cause of a fifth or more gives its verdict, several of them are ``mixed``. A wait of 5 to 20 % counts where
    nothing takes more.
    """
    waits = shares.data_wait >= INPUT_BOUND_FRACTION
    calls_back = shares.callbacks >= CALLBACK_BOUND_FRACTION
    launches = shares.launch >= LAUNCH_BOUND_FRACTION
    if waits + calls_back + launches > 1:
        return Verdict.MIXED
    if waits:
        return Verdict.INPUT_BOUND
    if calls_back:
        return Verdict.CALLBACK_BOUND
    if launches:
        return Verdict.LAUNCH_BOUND
    return Verdict.PARTLY_INPUT_BOUND if shares.data_wait >= PARTLY_INPUT_BOUND_FRACTION else Verdict.COMPUTE_BOUND
