"""Both ceilings, as a part of a profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional  # Python 3.9 evaluates these annotations, see profile_json

CEILINGS_METHOD = "ceilings"  # ``RunProfile.method`` of what follows from both ceilings alone, without a fit


@dataclass(frozen=True)
class Ceilings:
    """What input and model reach when nothing holds them up.

    Attributes:
        input_s: Seconds that the input alone takes for a batch, by as many workers as the training has; None where it was
            not measured.
        step_s: Seconds that a step alone takes, on a batch that is kept, until its losses are read; None where it was
            not measured.
        loop_s: Seconds that Keras' own loop takes for a step, besides waiting, step and callbacks.
        steps: Steps that ``step_s`` comes from.
        not_measured: ``"input"``, ``"step"`` -> why it was not measured.
    """

    input_s: Optional[float] = None
    step_s: Optional[float] = None
    loop_s: float = 0.0
    steps: int = 0
    not_measured: Mapping[str, str] = field(default_factory=dict)

    @property
    def free_step_s(self) -> float | None:
        """Seconds of a step in a training that never waits, callbacks not counted."""
        return None if self.step_s is None else self.step_s + self.loop_s
