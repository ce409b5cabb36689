"""How fast a model trains when its batch is always there: a batch that is kept, without the input."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any  # models and batches are foreign objects

from kerasdiag import compat

BUDGET_S = 2.0
_MOST_STEPS, _ROUNDS = 100, 3


def measure_step(
    model: Any, access: compat.StepAccess, train_function: Any, batch: Any, budget_s: float = BUDGET_S
) -> tuple[float, int]:
    """Return the seconds of a step, losses read, and how many steps they come from. Everything is put back afterwards.

    Args:
        model: A model that is built and compiled.
        access: Row for its Keras.
        train_function: What Keras would call.
        batch: The batch, as the training gets it.
        budget_s: Seconds after which no more steps are begun, compiling not counted.

    Raises:
        UnrepeatableStepError: A step may change what cannot be put back.
        Exception: What a step raises.
    """
    with compat.cached_step(model, access, train_function, batch) as run:
        return time_steps(run, budget_s)


def time_steps(
    run: Callable[[int], int], budget_s: float = BUDGET_S, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, int]:
    """Return the seconds of a step, and how many steps they come from.

    A step that takes the whole budget is made twice, and the second one is the measurement.

    Args:
        run: Makes so many steps, and returns how many it has made.
        budget_s: Seconds after which no more steps are begun, the very first one not counted.
        clock: Seconds, monotonic.
    """
    run(1)  # compiles, if nobody has
    begin_s = clock()
    timed = [_time(run, 1, clock)]
    left_s, step_s = budget_s - (clock() - begin_s), timed[0][0]
    count = int(min(_MOST_STEPS, max(1, left_s / _ROUNDS / max(step_s, 1e-6))))
    while len(timed) <= _ROUNDS and clock() - begin_s < budget_s:
        timed.append(_time(run, count, clock))
    # The first one may have been slower for no good reason; it counts where time was too short for all rounds.
    counted = timed[1:] if len(timed) > _ROUNDS else timed
    return statistics.median(step_s for step_s, _ in counted), sum(steps for _, steps in counted)


def _time(run: Callable[[int], int], count: int, clock: Callable[[], float]) -> tuple[float, int]:
    """Seconds of one of some steps, and their number."""
    begin_s = clock()
    steps = run(count)
    return (clock() - begin_s) / steps, steps
