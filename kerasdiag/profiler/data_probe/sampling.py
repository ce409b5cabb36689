"""Which steps are measured where measuring costs too much: blocks of neighbours, one in ten or fewer.

Blocks, for a loader with several workers delivers in bursts: single steps at a fixed distance could meet only the first
batch of each burst.
"""

from __future__ import annotations

import math

MOST_COST_FRACTION = 0.01  # of the step
# Until here every step is measured, which costs a fraction of a second: a verdict needs them.
FULLY_MEASURED_STEPS = 200
BLOCK_STEPS = 32
# A measured step may cost more than the step itself, where each of a long execution has to be started alone.
ONE_BLOCK_IN, ONE_BLOCK_IN_AT_LEAST = 10, 40


class Sampling:
    """Decides before each execution whether it is measured.

    Args:
        allowed: Whether measured and other steps may take turns without changing the training.
    """

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self.is_on = False
        self._one_block_in = ONE_BLOCK_IN
        self._position = 0  # steps since sampling began

    def consider(self, steps: int, cost_s: float, step_s: float) -> None:
        """Begin to sample if measuring a step costs more than 1 % of it, so rarely that 1 % is left, or 1 block in 40.

        Args:
            steps: Steps measured so far.
            cost_s: What measuring adds to a step.
            step_s: Mean period of a step.
        """
        if self._allowed and not self.is_on and steps >= FULLY_MEASURED_STEPS:
            most_s = MOST_COST_FRACTION * step_s
            self.is_on = cost_s > most_s
            if self.is_on:
                needed = cost_s / max(most_s, cost_s / ONE_BLOCK_IN_AT_LEAST)
                self._one_block_in = max(ONE_BLOCK_IN, math.ceil(needed))

    def wants(self, steps: int) -> bool:
        """Whether the next execution, of so many steps, is measured."""
        if not self.is_on:
            return True
        block, _ = divmod(self._position, max(BLOCK_STEPS, steps))
        self._position += steps
        return block % self._one_block_in == self._one_block_in - 1
