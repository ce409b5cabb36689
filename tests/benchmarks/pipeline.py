"""How fast images come: the generator, what people write by hand, and autofix, side by side.

    python tests/benchmarks/pipeline.py DATA_DIR [--rounds 5] [--only NAME ...]

300x300, the article's augmentations, batches of 32. The rows are links to the images of DATA_DIR,
repeated to 2,048, so reads come from the page cache. One process per contender; in each round every
contender runs one window of batches, alone; the table shows medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

ROWS, SIZE, BATCH = 2048, (300, 300), 32
ARTICLE = {"rotation_range": 30, "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True, "rescale": 1 / 255}
WORKERS = (1, 2, 4, 16)
# Batches that lie ready when a window begins are not timed (10 in Keras' queue, fewer in the others),
# nor are the first seconds: what lay idle while others ran must come back into memory and caches.
SKIPPED, SKIPPED_S = 14, 3.0
WINDOW, WINDOW_S = 60, 3.0


def make_frame(folder):
    import pandas as pd

    names = sorted(os.listdir(folder))
    return pd.DataFrame({"file": names, "class": [f"class {number % 10}" for number in range(len(names))]})


def make_generator(folder, options):
    from keras_api import keras

    source = keras.preprocessing.image.ImageDataGenerator(**options)
    return source.flow_from_dataframe(
        make_frame(folder), str(folder), x_col="file", y_col="class", target_size=SIZE, batch_size=BATCH, seed=1
    )


def run_generator(folder, workers):
    """Keras' own feeding: fit of a model that computes nothing."""
    from keras_api import fit_with_workers, keras, tf

    class Nothing(keras.Model):
        def train_step(self, data):
            return {"loss": tf.reduce_sum(data[1])}

    model = Nothing()
    model.compile("sgd")

    class Windows(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.send(None)

    steps = count_windows()
    next(steps)
    fit_with_workers(model, make_generator(folder, ARTICLE), workers, epochs=10**6, callbacks=[Windows()], verbose=0)


def run_dataset(dataset):
    steps = count_windows()
    next(steps)
    while True:
        for _ in dataset:
            steps.send(None)


def count_windows():
    """A coroutine that is sent a value after each batch; it waits for a line, skips, times, answers."""
    print("READY", flush=True)
    while True:
        if not sys.stdin.readline():
            os._exit(0)
        yield from _batches(SKIPPED, SKIPPED_S)
        started = time.perf_counter()
        count = yield from _batches(WINDOW, WINDOW_S)
        print(f"RATE {count * BATCH / (time.perf_counter() - started)}", flush=True)


def _batches(least, least_s):
    """Let at least so many batches and seconds pass; return how many batches it were."""
    count, started = 0, time.perf_counter()
    while count < least or time.perf_counter() - started < least_s:
        yield
        count += 1
    return count


def stored_dataset(folder, cache, options, **environment):
    from kerasdiag import autofix

    os.environ.update(environment)
    return autofix(make_generator(folder, options), when="always", cache_dir=cache, steps_per_epoch=10**6, verbose=0)


def records(folder, cache):
    """TFRecordDataset + parse, as the guides write it."""
    from keras_api import tf

    store = stored_dataset(folder, cache, {}).repair_report.store
    files = tf.data.Dataset.list_files(f"{store}/shards/*.tfrecord", seed=1).repeat()

    def parse(record):
        example = tf.io.parse_single_example(record, {"image": tf.io.FixedLenFeature([], tf.string)})
        return tf.reshape(tf.io.decode_raw(example["image"], tf.uint8), (*SIZE, 3))

    read = files.interleave(tf.data.TFRecordDataset, num_parallel_calls=tf.data.AUTOTUNE)
    return read.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def bare_read(folder, cache):
    from keras_api import tf

    return (
        records(folder, cache)
        .batch(BATCH)
        .map(lambda x: tf.cast(x, tf.float32) * (1 / 255), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def by_hand(folder, cache):
    """Rotation, shear, zoom and flip as one projective transform of the batch."""
    import math

    from keras_api import tf

    def augment(images):
        count = tf.shape(images)[0]
        angle = tf.random.uniform([count], -math.pi / 6, math.pi / 6)
        shear = tf.random.uniform([count], -0.2, 0.2) * math.pi / 180
        zoom_y, zoom_x = tf.unstack(tf.random.uniform([2, count], 0.8, 1.2))
        flip = tf.where(tf.random.uniform([count]) < 0.5, -1.0, 1.0)
        a, b = tf.cos(angle) * zoom_x * flip, (-tf.cos(angle) * tf.sin(shear) - tf.sin(angle) * tf.cos(shear)) * zoom_y
        c, d = tf.sin(angle) * zoom_x * flip, (-tf.sin(angle) * tf.sin(shear) + tf.cos(angle) * tf.cos(shear)) * zoom_y
        x, y = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
        zero = tf.zeros([count])
        transforms = tf.stack([a, b, x - a * x - b * y, c, d, y - c * x - d * y, zero, zero], axis=1)
        warped = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(images, tf.float32), transforms=transforms, output_shape=SIZE, interpolation="BILINEAR",
            fill_mode="NEAREST", fill_value=0.0,
        )  # fmt: skip
        return warped * (1 / 255)

    batches = records(folder, cache).shuffle(256).batch(BATCH)
    return batches.map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def keras_layers(folder, cache):
    """Keras' Random* layers in a map; there is no shear layer in all versions, so it is left out."""
    from keras_api import keras, tf

    layers = keras.layers
    stages = [
        layers.RandomRotation(30 / 360, fill_mode="nearest"),
        layers.RandomZoom((-0.2, 0.2), (-0.2, 0.2), fill_mode="nearest"),
        layers.RandomFlip("horizontal"),
    ]

    def augment(images):
        images = tf.cast(images, tf.float32) * (1 / 255)
        for stage in stages:
            images = stage(images, training=True)
        return images

    batches = records(folder, cache).shuffle(256).batch(BATCH)
    return batches.map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


CONTENDERS = {
    **{f"generator, workers={workers}": None for workers in WORKERS},
    "TFRecord + ImageProjectiveTransformV3": by_hand,
    "TFRecord + Keras Random* layers": keras_layers,
    "TFRecord, bare read + cast + rescale": bare_read,
    "autofix, compiled": lambda folder, cache: stored_dataset(folder, cache, ARTICLE, KERASDIAG_KERNEL="compiled"),
    "autofix, SciPy": lambda folder, cache: stored_dataset(folder, cache, ARTICLE, KERASDIAG_KERNEL="scipy"),
    "autofix, no augmentation": lambda folder, cache: stored_dataset(folder, cache, {"rescale": 1 / 255}),
}


def run_contender(name, folder, cache):
    sys.stdout, real = sys.stderr, sys.stdout  # Keras prints what it found
    if name.startswith("generator"):
        sys.stdout = real
        run_generator(folder, int(name.rpartition("=")[2]))
    dataset = CONTENDERS[name](folder, cache)
    sys.stdout = real
    run_dataset(dataset)


def start(name, folder, cache):
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), "--contender", name, "--cache", str(cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    answer(process, "READY")
    return process


def answer(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return line.split()[1:]
    raise SystemExit(f"a contender ended:\n{process.stderr.read()[-3000:]}")


def measure(names, folder, cache, rounds):
    rates = {name: [] for name in names}
    processes = {name: start(name, folder, cache) for name in names}
    for number in range(rounds + 1):
        for name, process in processes.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            rate = float(answer(process, "RATE")[0])
            if number:  # the first round compiles, traces and fills caches
                rates[name].append(rate)
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    for process in processes.values():
        process.kill()
    return {name: statistics.median(values) for name, values in rates.items()}


def print_table(rates):
    from importlib import metadata

    generators = {name: rate for name, rate in rates.items() if name.startswith("generator")}
    best = max(generators.values(), default=None)
    try:
        version = metadata.version("tensorflow-cpu")
    except metadata.PackageNotFoundError:
        version = metadata.version("tensorflow")
    print(f"TensorFlow {version}, {os.cpu_count()} cores, {SIZE[0]}x{SIZE[1]}, batches of {BATCH}; images/s, medians")
    for name, rate in rates.items():
        print(f"  {name:40}{rate:9,.0f}" + (f"{rate / best:8.2f}x the generator at its best" if best else ""))
    target = 15 if version.startswith("2.10.") else 20
    wanted = [("autofix, compiled", best, target), ("autofix, SciPy", best, 1)]
    wanted += [("autofix, no augmentation", rates.get("TFRecord, bare read + cast + rescale"), 3)]
    missed = False
    for name, base, factor in wanted:
        if base and name in rates:
            met = rates[name] / base >= factor
            missed |= not met
            print(f"  {name}: {rates[name] / base:.2f}x, target {factor}x: {'met' if met else 'MISSED'}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory of images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders whose name contains one of these")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        run_contender(arguments.contender, arguments.data, arguments.cache)
    images = sorted(path for path in arguments.data.iterdir() if path.is_file())
    names = [name for name in CONTENDERS if not arguments.only or any(part in name for part in arguments.only)]
    with tempfile.TemporaryDirectory() as folder:
        links, cache = Path(folder, "images"), Path(folder, "cache")
        links.mkdir()
        for number in range(ROWS):
            source = images[number % len(images)].resolve()
            (links / f"{number:05}{source.suffix}").symlink_to(source)
        if any(not name.startswith("generator") for name in names):  # convert once, before anything is timed
            start("autofix, no augmentation", links, cache).kill()
        missed = print_table(measure(names, links, cache, arguments.rounds))
    sys.exit(missed)


if __name__ == "__main__":
    main()
