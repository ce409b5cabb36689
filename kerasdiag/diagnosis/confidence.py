"""How sure a verdict is. GPU utilization has no part in the verdict itself: it only makes it more or less sure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from kerasdiag.diagnosis.gpu_share import is_shared
from kerasdiag.diagnosis.verdict import Verdict
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR, PY_DATASET
from kerasdiag.profile import RunProfile

# utilization.gpu is the share of time in which any kernel ran: low only where the GPU was idle indeed, while high says
# little (one small kernel after the other is 100 %).
IDLE_GPU_PERCENT = 70.0
BUSY_GPU_PERCENT = 90.0


class Level(str, Enum):
    """How sure."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Confidence:
    """How sure a verdict is.

    Attributes:
        level: How sure.
        reasons: What makes it so, in words.
    """

    level: Level
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return it ready for JSON."""
        return {"level": str(self.level), "reasons": list(self.reasons)}


def confidence_in(
    verdict: Verdict, *, is_clear: bool | None, utilization_percent: float | None, profile: RunProfile
) -> Confidence:
    """Return how sure a verdict is.

    Args:
        verdict: The verdict.
        is_clear: Whether both ends of each interval give it; None where there is no interval.
        utilization_percent: Mean ``utilization.gpu`` over the measured steps (0-100), or None.
        profile: What was judged.
    """
    if verdict in (Verdict.UNKNOWN, Verdict.NOT_ENOUGH_DATA):
        return Confidence(Level.LOW, ("there is no verdict",))
    steps = 1
    reasons = []
    if is_clear is None:
        reasons.append("there is no interval that would tell how far off the number may be")
    elif is_clear:
        reasons.append("both ends of the interval give this verdict")
        steps += 1
    else:
        reasons.append("the interval reaches over a threshold")
    agrees = _gpu_agrees(verdict, utilization_percent)
    if utilization_percent is not None and utilization_percent >= IDLE_GPU_PERCENT and is_shared(profile):
        # Who kept it busy is not known; an idle one was idle, whoever has access to it.
        reasons.append(f"GPU utilization of {utilization_percent:.0f} % says nothing, for others computed on it, too")
    elif agrees is not None:
        does = "agrees" if agrees else "disagrees"
        reasons.append(f"GPU utilization of {utilization_percent:.0f} % {does}")
        steps += 1 if agrees else -1
    if _workers_share_cores(profile):
        reasons.append(
            "its workers share cores and interpreter with the training, so the wait may be more than was seen"
        )
        steps -= 1
    # A GPU that is idle or busy agrees with the verdict on the other side of the threshold, too.
    most = 2 if is_clear else 1
    return Confidence(tuple(Level)[min(most, max(0, steps))], tuple(reasons))


def _gpu_agrees(verdict: Verdict, utilization_percent: float | None) -> bool | None:
    """Whether the GPU was as busy as the verdict lets one expect; None where that says nothing."""
    if utilization_percent is None:
        return None
    if verdict is Verdict.COMPUTE_BOUND:
        return utilization_percent >= IDLE_GPU_PERCENT
    if verdict is Verdict.PARTLY_INPUT_BOUND:
        return None
    if utilization_percent < IDLE_GPU_PERCENT:
        return True
    return False if utilization_percent >= BUSY_GPU_PERCENT else None


def _workers_share_cores(profile: RunProfile) -> bool:
    """Threads that compute in Python slow the step itself, and that counts as step, not as wait."""
    data = profile.training_input
    if data is None or data.kind not in (IMAGE_DATA_GENERATOR, PY_DATASET):
        return False
    workers = data.workers or 0
    return workers > 1 and not data.use_multiprocessing and workers >= (profile.cores or 1)
