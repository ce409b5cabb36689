"""Does the training become as fast as the ceilings say? Prints the predicted and the true speed-up, and fails above 15 %.

    python tests/benchmarks/ceilings.py

The truth is independent of kerasdiag: the mean step period of the run that was profiled, as a callback stamps it,
over that of the same model on an input that is always ready. Medians of three rounds.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
os.environ["KERASDIAG_CACHE_DIR"] = tempfile.mkdtemp()

from keras_api import BACKEND, KERAS_VERSION, PyDataset, fit_with_workers, keras, tf
from scripted import (
    BATCH,
    IMAGE_SHAPE,
    SleepingPyDataset,
    free_dataset,
    mean_period_s,
    sleeping_dataset,
    sleeping_image_iterator,
)
from sleeping_step import make_sleeping_model

from kerasdiag import BottleneckProfiler

TOLERANCE = 0.15
ROUNDS = 3
STEPS = 40


class BusyPyDataset(PyDataset):
    """Computes for 20 ms in Python, so that its workers take the interpreter from each other and from the step."""

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        end_s = time.perf_counter() + 0.02
        while time.perf_counter() < end_s:
            pass
        return BATCH


@dataclass(frozen=True)
class Case:
    """One row: a slow input and a step.

    Attributes:
        name: What the input is.
        step_s: Seconds that the step sleeps.
        make_data: Makes the input.
        workers: Given to fit, or to the input, where it takes workers.
        shape: Shape of an example.
    """

    name: str
    step_s: float
    make_data: Callable[[], Any]
    workers: int | None = None
    shape: tuple[int, ...] = (8,)


CASES = (
    Case("tf.data, 50 ms", 0.03, lambda: sleeping_dataset(0.05, STEPS)),
    Case("tf.data, 10 ms", 0.03, lambda: sleeping_dataset(0.01, STEPS)),
    Case("PyDataset, 50 ms, 1 worker", 0.03, lambda: SleepingPyDataset(0.05, STEPS), workers=1),
    Case("PyDataset, 20 ms busy, 4 workers", 0.008, BusyPyDataset, workers=4),
    Case("ImageDataGenerator, 60 ms, 2 workers", 0.02, lambda: sleeping_image_iterator(0.06, STEPS), 2, IMAGE_SHAPE),
)


def period_s(model: Any, data: Any, workers: int | None, callbacks: tuple[Any, ...] = ()) -> float:
    """Seconds of a step of one fit."""
    del model.stamps[:]
    arguments = {"verbose": 0, "callbacks": [*callbacks, *model.own_callbacks]}
    if workers is None:
        model.fit(data, **arguments)
    else:
        fit_with_workers(model, data, workers, **arguments)
    return mean_period_s(model.stamps)


def show(case: Case) -> bool:
    """Measure a row and print it; return whether the prediction held."""
    rounds = []
    for _ in range(ROUNDS):
        model = make_sleeping_model(case.step_s, case.shape)
        profiler = BottleneckProfiler(report=None, ceilings=True)
        before_s = period_s(model, case.make_data(), case.workers, (profiler,))
        after_s = period_s(model, free_dataset(STEPS, case.shape), None)
        predicted = profiler.diagnosis.speedup_if_fixed
        if predicted is None:
            reasons = profiler.profile.ceilings.not_measured if profiler.profile.ceilings else "no ceilings"
            print(f"{case.name:38} no prediction: {reasons}  WRONG")
            return False
        rounds.append((before_s / after_s, predicted, profiler.diagnosis.accelerator_utilization))
    true, predicted, used = (statistics.median(values) for values in zip(*rounds))
    error = predicted / true - 1
    holds = abs(error) <= TOLERANCE
    verdict = "" if holds else "  WRONG"
    print(f"{case.name:38} {true:6.2f} {predicted:10.2f} {error:+8.1%} {used:6.2f}{verdict}", flush=True)
    return holds


def main():
    print(f"TensorFlow {tf.__version__}, Keras {KERAS_VERSION} ({keras.__name__}) on {BACKEND}")
    print(f"{'input':38} {'true':>6} {'predicted':>10} {'error':>8} {'AU':>6}")
    held = [show(case) for case in CASES]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
