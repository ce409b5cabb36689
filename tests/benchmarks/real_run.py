"""Is the wait of a real run the real one? The example's run against the same model on cached batches.

    python tests/benchmarks/real_run.py DATA

The truth is independent of kerasdiag: 1 - C'/T, T being the mean step period of the profiled run by
the clock of a callback, C' that of the same model on batches of the same generator kept in memory.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "examples"), os.path.join(HERE, "..")]
os.environ["KERASDIAG_CACHE_DIR"] = tempfile.mkdtemp()
if os.environ.get("KERASDIAG_TEST_ENVIRONMENT") == "tfkeras":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"

import profile_a_run as example
import tensorflow as tf

from kerasdiag import BottleneckProfiler, RunProfile
from kerasdiag.cli import main as kerasdiag_command
from kerasdiag.report.terminal import render

TOLERANCE = 0.05
WARM_UP = 5


def stamping_callback(keras):
    """A callback that stamps the clock after each step."""

    class Stamps(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.times = []

        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

        def mean_period_s(self):
            return (self.times[-1] - self.times[WARM_UP]) / (len(self.times) - 1 - WARM_UP)

    return Stamps()


def cached_period_s(keras, model, batches, steps):
    """Mean step period on batches that are kept in memory."""
    elements = [tf.data.Dataset.from_tensors(batch) for batch in batches]
    cached = elements[0]
    for element in elements[1:]:
        cached = cached.concatenate(element)
    cached = cached.cache().repeat().take(steps + WARM_UP).prefetch(4)
    stamps = stamping_callback(keras)
    model.fit(cached, verbose=0, callbacks=[stamps])
    return stamps.mean_period_s()


def main():
    path = os.path.join(tempfile.mkdtemp(), "run.kdprof.json")
    arguments = example.parse_arguments([*sys.argv[1:], "--save", path])
    keras = example.import_keras()
    frame = example.read_rows(arguments.data, arguments.x_col, arguments.y_col, arguments.rows, arguments.directory)
    training, validation = example.make_generators(keras, frame, arguments)
    model = example.make_model(keras, arguments.size, len(training.class_indices))
    batches = [training[index] for index in range(8)]
    training.on_epoch_end()

    before = cached_period_s(keras, model, batches, 60)
    profiler, stamps = BottleneckProfiler(report=path), stamping_callback(keras)
    model.fit(training, validation_data=validation, verbose=0, callbacks=[profiler, stamps])
    period = stamps.mean_period_s()
    after = cached_period_s(keras, model, batches, 60)

    truth = 1 - (before + after) / 2 / period
    measured = profiler.diagnosis.data_wait_fraction
    print(render(profiler.diagnosis))
    print(
        f"step on cached batches {before * 1e3:.1f} ms before, {after * 1e3:.1f} ms after; with the generator {period * 1e3:.1f} ms"
    )
    print(f"data wait by the cached run {truth:.3f}, measured {measured:.3f}, difference {measured - truth:+.3f}")
    assert RunProfile.load(path) == profiler.profile
    assert kerasdiag_command(["report", path, "-o", path + ".txt"]) == 0
    with open(path + ".txt", encoding="utf-8") as file:
        assert file.read() == render(profiler.diagnosis), "the saved file gives another panel"
    return 0 if abs(measured - truth) <= TOLERANCE and profiler.diagnosis.verdict == "input-bound" else 1


if __name__ == "__main__":
    sys.exit(main())
