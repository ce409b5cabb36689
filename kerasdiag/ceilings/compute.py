"""How fast a model trains when its batch is always there: a batch that is kept, without the input."""

from __future__ import annotations

import statistics
import time
from typing import Any  # models and batches are foreign objects

from kerasdiag import compat

BUDGET_S = 2.0
_LEAST_STEPS, _MOST_STEPS, _ROUNDS = 2, 100, 3


def measure_step(
    model: Any, access: compat.StepAccess, train_function: Any, batch: Any, budget_s: float = BUDGET_S
) -> tuple[float, int]:
    """Return the seconds of a step, losses read, and how many steps they come from. Everything is put back afterwards.

    Args:
        model: A model that is built and compiled.
        access: Row for its Keras.
        train_function: What Keras would call.
        batch: The batch, as the training gets it.
        budget_s: Seconds that it may take, compiling not counted.

    Raises:
        Exception: What a step raises.
    """
    with compat.cached_step(model, access, train_function, batch) as run:
        run(_LEAST_STEPS)  # compiles, if nobody has
        begin_s = time.perf_counter()
        run(_LEAST_STEPS)
        step_s = (time.perf_counter() - begin_s) / _LEAST_STEPS
        count = int(min(_MOST_STEPS, max(_LEAST_STEPS, budget_s / _ROUNDS / max(step_s, 1e-6))))
        rounds = []
        for _ in range(_ROUNDS):
            begin_s = time.perf_counter()
            run(count)
            rounds.append((time.perf_counter() - begin_s) / count)
    return statistics.median(rounds), _ROUNDS * count
