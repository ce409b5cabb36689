"""How fast images come: the generator, what people write by hand, and autofix, side by side.

    python tests/benchmarks/pipeline.py DATA_DIR [--rounds 5] [--only NAME ...] [--size 224] [--all]

300x300, the article's augmentations, batches of 32. The rows are links to the images of DATA_DIR,
repeated to 2,048, so reads come from the page cache. One process per contender; in each round every
contender runs one window of batches, alone; the table shows medians over the rounds, the seconds
from the call of autofix (the store is there) to the first batch, and the peak memory of the process.
--all adds modes, storages, fill modes, colours, one core, and what others offer where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

ROWS, BATCH = 2048, 32
SIZE = (int(os.environ.get("BENCHMARK_SIZE", "300")),) * 2
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
        rate = count * BATCH / (time.perf_counter() - started)
        print(f"RATE {rate} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}", flush=True)


def _batches(least, least_s):
    """Let at least so many batches and seconds pass; return how many batches it were."""
    count, started = 0, time.perf_counter()
    while count < least or time.perf_counter() - started < least_s:
        yield
        count += 1
    return count


def stored_dataset(folder, cache, options, kernel="compiled", **arguments):
    from kerasdiag import autofix

    os.environ["KERASDIAG_KERNEL"] = kernel
    arguments = {"cache_dir": cache, "steps_per_epoch": 10**6, **arguments}
    return autofix(make_generator(folder, options), when="always", verbose=0, **arguments)


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
    "autofix, compiled": lambda folder, cache: stored_dataset(folder, cache, ARTICLE),
    "autofix, SciPy": lambda folder, cache: stored_dataset(folder, cache, ARTICLE, kernel="scipy"),
    "autofix, no augmentation": lambda folder, cache: stored_dataset(folder, cache, {"rescale": 1 / 255}),
}


def on_one_core(folder, cache):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return stored_dataset(folder, cache, ARTICLE)


def with_albumentations(folder, cache):
    """The same kinds of augmentation on the same store; borders and order of steps are its own."""
    import albumentations
    from keras_api import tf

    affine = albumentations.Affine(rotate=(-30, 30), shear=(-0.2, 0.2), scale=(0.8, 1.2), p=1, border_mode=1)
    steps = albumentations.Compose([affine, albumentations.HorizontalFlip(), albumentations.ToFloat(255)])

    def augment(image):
        result = tf.numpy_function(lambda x: steps(image=x)["image"], [image], tf.float32)
        return tf.ensure_shape(result, (*SIZE, 3))

    images = records(folder, cache).shuffle(256).map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(BATCH).prefetch(tf.data.AUTOTUNE)


class DaliImages:
    """Batches of a DALI pipeline, as arrays."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __iter__(self):
        while True:
            (batch,) = self.pipeline.run()
            yield batch.as_array()


def with_dali(folder, cache):
    """The same kinds of augmentation on the same store, on the CPU; borders and order of steps are its own."""
    from nvidia.dali import fn, pipeline_def, types

    images = records(folder, cache).shuffle(256).repeat().batch(BATCH).prefetch(2).as_numpy_iterator()
    center = (SIZE[1] / 2, SIZE[0] / 2)

    @pipeline_def(batch_size=BATCH, num_threads=len(os.sched_getaffinity(0)), device_id=None, prefetch_queue_depth=2)
    def augment():
        pixels = fn.external_source(source=lambda: next(images), batch=True, layout="HWC")
        matrix = fn.transforms.rotation(angle=fn.random.uniform(range=(-30, 30)), center=center)
        matrix = fn.transforms.shear(matrix, angles=fn.random.uniform(range=(-0.2, 0.2), shape=2), center=center)
        matrix = fn.transforms.scale(matrix, scale=fn.random.uniform(range=(0.8, 1.2), shape=2), center=center)
        warped = fn.warp_affine(pixels, matrix=matrix, interp_type=types.INTERP_LINEAR)
        flipped = fn.flip(warped, horizontal=fn.random.coin_flip())
        return fn.cast(flipped, dtype=types.FLOAT) / 255.0

    pipeline = augment()
    pipeline.build()
    return DaliImages(pipeline)


MORE = {
    "autofix, replay": lambda folder, cache: stored_dataset(folder, cache, ARTICLE, mode="replay"),
    "autofix, storage=memory": lambda folder, cache: stored_dataset(folder, cache, ARTICLE, storage="memory"),
    "autofix, storage=none": lambda folder, cache: stored_dataset(folder, cache, ARTICLE, storage="none"),
    **{
        f"autofix, fill_mode={mode}": lambda folder, cache, mode=mode: stored_dataset(
            folder, cache, {**ARTICLE, "fill_mode": mode}
        )
        for mode in ("constant", "reflect", "wrap")
    },
    "autofix, order 0": lambda folder, cache: stored_dataset(folder, cache, {**ARTICLE, "interpolation_order": 0}),
    "autofix, brightness and channel shift": lambda folder, cache: stored_dataset(
        folder, cache, {**ARTICLE, "brightness_range": (0.7, 1.3), "channel_shift_range": 20}
    ),
    "autofix, compiled, one core": on_one_core,
    "albumentations": with_albumentations,
    "DALI": with_dali,
}
# Contenders that need what the project does not: skipped with a word where it is missing.
OPTIONAL = {"albumentations": "albumentations", "DALI": "nvidia.dali"}


def run_contender(name, folder, cache):
    sys.stdout, real = sys.stderr, sys.stdout  # Keras prints what it found
    if name.startswith("generator"):
        sys.stdout = real
        run_generator(folder, int(name.rpartition("=")[2]))
    import keras_api  # noqa: F401  # a script has imported TensorFlow long before

    started = time.perf_counter()
    dataset = {**CONTENDERS, **MORE}[name](folder, cache)
    next(iter(dataset))
    sys.stdout = real
    print(f"FIRST {time.perf_counter() - started}", flush=True)
    run_dataset(dataset)


def start(name, folder, cache):
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), "--contender", name, "--cache", str(cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not name.startswith("generator"):
        process.first_s = float(answer(process, "FIRST")[0])
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
            rate, process.peak_gb = map(float, answer(process, "RATE"))
            if number:  # the first round compiles, traces and fills caches
                rates[name].append(rate)
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    for process in processes.values():
        process.kill()
    for name, process in processes.items():
        first = f"first batch {process.first_s:.1f} s, " if hasattr(process, "first_s") else ""
        print(f"  {name:40}{first}peak memory {process.peak_gb:.1f} GB")
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
    one = rates.get("autofix, compiled, one core")
    if one and "autofix, compiled" in rates:
        print(f"  autofix, compiled, from one core to {os.cpu_count()}: {rates['autofix, compiled'] / one:.2f}x")
    missed = False
    for name, base, factor in wanted:
        if base and name in rates:
            met = rates[name] / base >= factor
            missed |= not met
            print(f"  {name}: {rates[name] / base:.2f}x, target {factor}x: {'met' if met else 'MISSED'}")
    return missed


def _is_installed(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory of images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders whose name contains one of these")
    parser.add_argument("--size", type=int, default=300, help="height and width in pixels")
    parser.add_argument("--all", action="store_true", help="modes, storages, fill modes and other tools, too")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        run_contender(arguments.contender, arguments.data, arguments.cache)
    images = sorted(path for path in arguments.data.iterdir() if path.is_file())
    os.environ["BENCHMARK_SIZE"] = str(arguments.size)
    global SIZE  # noqa: PLW0603  # of the table's heading; the contenders read the environment
    SIZE = (arguments.size, arguments.size)
    known = {**CONTENDERS, **(MORE if arguments.all else {})}
    names = [name for name in known if not arguments.only or any(part in name for part in arguments.only)]
    for name in [name for name in names if name in OPTIONAL]:
        if not _is_installed(OPTIONAL[name]):
            print(f"  {name}: skipped, {OPTIONAL[name]} is not installed")
            names.remove(name)
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
