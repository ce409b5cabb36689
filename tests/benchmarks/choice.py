"""Does autofix choose well: what it says each repair would make of a training, and what the training became.

    python tests/benchmarks/choice.py DATA_DIR [--size 224] [--steps 10 40 160] [--seconds 8]

Trains on the images of DATA_DIR (repeated to 2,048 rows) with the article's augmentations, once with a model that
computes elsewhere, as on a GPU (its step sleeps so many milliseconds), and once with a small network on the same
cores. Each repair is then really made, and the images a second of the last epochs are set beside what the table of
autofix said. The chosen repair should lie within 5 % of the best; larger ones cost more and bring nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

BATCH = 32
ARTICLE = {"rotation_range": 30, "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True, "rescale": 1 / 255}
ROWS = 2048


def make_generator(folder, size):
    import pandas as pd
    from keras_api import keras

    names = sorted(os.listdir(folder))
    frame = pd.DataFrame({"file": names, "target": [float(number % 2) for number in range(len(names))]})
    return keras.preprocessing.image.ImageDataGenerator(**ARTICLE).flow_from_dataframe(
        frame, str(folder), x_col="file", y_col="target", class_mode="raw", target_size=(size, size), batch_size=BATCH
    )


def make_model(size, step_s):
    """A step that sleeps, or None: a network that the cores compute."""
    from keras_api import keras
    from scripted import ScriptedModel, script

    inputs = keras.Input((size, size, 3))
    layers = keras.layers
    if step_s is None:
        features = layers.Conv2D(16, 3, strides=2, activation="relu")(inputs)
        features = layers.Conv2D(32, 3, strides=2, activation="relu")(features)
        model = keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling2D()(features)))
    else:
        pooled = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(16)(inputs))
        model = script(ScriptedModel(inputs, layers.Dense(1)(pooled)), step_s)
    model.compile("sgd", "mse", jit_compile=False)
    return model


def train(model, data, seconds, workers=1):
    """Return the profiler after about so many seconds, and the images a second of the second half."""
    import time

    from keras_api import fit_with_workers

    from kerasdiag import BottleneckProfiler

    def fit(steps):
        profiler = BottleneckProfiler(report=None)
        began_s = time.perf_counter()
        keep = {"steps_per_epoch": steps, "verbose": 0, "callbacks": [profiler]}
        fit_with_workers(model, data, workers, **keep) if workers else model.fit(data, **keep)
        return profiler, time.perf_counter() - began_s

    most = len(data)
    warm, _ = fit(min(most, 12))
    step_s = sum(warm.profile.steps.period_s[-4:]) / 4
    profiler, _ = fit(max(30, min(most, int(seconds / step_s))))
    periods = profiler.profile.steps.measured.period_s
    half = periods[len(periods) // 2 :]
    return profiler, BATCH * len(half) / sum(half)


def compare(links, size, step_s, seconds):
    """Print one table; return whether the chosen repair is within 5 % of the best."""
    from kerasdiag import autofix, compat

    model = make_model(size, step_s)
    profiler, now = train(model, make_generator(links, size), seconds)
    name = "a network on the same cores" if step_s is None else f"a step of {step_s * 1e3:.0f} ms elsewhere"
    print(f"\n{size}x{size}, {name}: {now:,.0f} images/s, {profiler.diagnosis.data_wait_fraction:.0%} of it waiting")
    with mock.patch.object(compat, "computes_on_accelerator", return_value=step_s is not None):
        report = autofix(make_generator(links, size), profiler, verbose=0).repair_report
    if report.choice is None:
        print(f"  {report.outcome}: {report.reason}")
        return True
    need = report.choice.need
    print(f"  {'repair':<34}{'said':>8}{'became':>8}")
    became = {}
    for one in report.choice.candidates:
        if one.impossible:
            continue
        if one.workers:
            _, became[one.text] = train(model, make_generator(links, size), seconds, one.workers)
        else:
            data = autofix(make_generator(links, size), when="always", storage=one.repair, verbose=0)
            _, became[one.text] = train(model, data, seconds, workers=0)
        mark = "  <- chosen" if one == report.choice.chosen else ""
        print(f"  {one.text[:33]:<34}{one.trains_at(need):>8,.0f}{became[one.text]:>8,.0f}{mark}", flush=True)
    chosen, best = became[report.choice.chosen.text], max(became.values())
    print(f"  chosen: {chosen / best:.0%} of the best, {chosen / now:.2f}x of before (said: {report.gain:.2f}x)")
    return chosen >= 0.9 * best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory of images")
    parser.add_argument("--size", type=int, default=224, help="height and width in pixels")
    parser.add_argument(
        "--steps", type=float, nargs="*", default=[10, 40, 90, 130], metavar="MS", help="steps elsewhere"
    )
    parser.add_argument("--seconds", type=float, default=8, help="length of a training")
    arguments = parser.parse_args()
    images = sorted(path for path in arguments.data.iterdir() if path.is_file())
    good = True
    for step_s in [None, *(step / 1e3 for step in arguments.steps)]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KERASDIAG_CACHE_DIR"] = str(Path(folder, "cache"))
            links = Path(folder, "images")
            links.mkdir()
            for number in range(ROWS):
                source = images[number % len(images)].resolve()
                (links / f"{number:05}{source.suffix}").symlink_to(source)
            good &= compare(links, arguments.size, step_s, arguments.seconds)
    sys.exit(not good)


if __name__ == "__main__":
    main()
