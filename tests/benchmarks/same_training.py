"""Does a training come out the same from autofix? Final validation accuracy, generator against autofix.

    python tests/benchmarks/same_training.py [--seeds 5] [--fault none|frozen|shuffle]

Fails unless the 95 % interval of the difference of the means (Welch) lies within 3 points of zero. Two
planted faults show that the comparison would notice: augmentation frozen after its first epoch, and
rows in the order of their classes through a shuffle buffer of 100. Each must come out worse by more
than 3 points, so that its interval cannot lie within them, and the frozen one by 10 at least. `--fault`
puts one in the place of autofix, and the run fails.

The photos are made here: ten pentominoes, five squares in shapes that neither turning nor mirroring
makes one another, on blurred noise. Training shows each upright and in the middle; validation shows others
that Keras' own generator has turned, moved and mirrored once. So a model has to learn from the
augmentation how a class looks in other poses, and sees more of them the more often it is drawn anew.
(Poses drawn otherwise, with smooth edges and no repeated border, are another distribution than the one
that is trained on: accuracies then vary by ten points from seed to seed, whatever feeds the training.)
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
os.environ["KERASDIAG_CACHE_DIR"] = tempfile.mkdtemp()

import numpy as np
import pandas as pd
from keras_api import KERAS_VERSION, keras, tf
from PIL import Image
from scipy import stats

from kerasdiag import autofix

LIMIT = 3.0  # points of accuracy
# Points that a planted fault costs at least. Where frozen augmentation costs little, equal accuracies
# say little about the augmentation.
FAULT_COSTS = {"frozen": 10.0, "shuffle": LIMIT}
FAULT_SEEDS = 3  # trainings of each planted fault: they show that it is seen, not how much it costs
SHUFFLED_ROWS = 100

# All but the straight one and the cross, which are the easiest to tell from the others.
CLASSES = {
    "F": (".##", "##.", ".#."),
    "L": ("#.", "#.", "#.", "##"),
    "N": (".#", ".#", "##", "#."),
    "P": ("##", "##", "#."),
    "T": ("###", ".#.", ".#."),
    "U": ("#.#", "###"),
    "V": ("#..", "#..", "###"),
    "W": ("#..", "##.", ".##"),
    "Y": (".#", "##", ".#", ".#"),
    "Z": ("##.", ".#.", ".##"),
}
SIZE, CELL = 32, 5  # pixels
TRAINING_PHOTOS, VALIDATION_PHOTOS = 60, 150  # of each class

POSES = {
    "rotation_range": 40, "width_shift_range": 0.1, "height_shift_range": 0.1, "zoom_range": 0.15, "horizontal_flip": True
}  # fmt: skip
AUGMENTATION = {**POSES, "rescale": 1 / 255}
BATCH, EPOCHS = 16, 30
RATE = 2e-3


def draw_photo(squares, random):
    """One photo of a class: its squares in a light colour before dark blurred noise."""
    left, top = (SIZE - CELL * len(squares[0])) // 2, (SIZE - CELL * len(squares)) // 2
    noise = Image.fromarray(random.integers(60, 131, (4, 4, 3)).astype(np.uint8))
    photo = noise.resize((SIZE, SIZE), Image.BICUBIC)
    colour = tuple(int(value) for value in random.integers(150, 256, 3))
    for row, line in enumerate(squares):
        for column in (place for place, mark in enumerate(line) if mark == "#"):
            x, y = left + CELL * column, top + CELL * row
            photo.paste(colour, (x, y, x + CELL, y + CELL))
    return photo


def make_photos(folder, photos_per_class, seed):
    """Write photos; return one row for each, sorted by class."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    rows = []
    for name, squares in CLASSES.items():
        for number in range(photos_per_class):
            path = folder / f"{name}_{number:03}.jpg"
            draw_photo(squares, random).save(path, quality=95)
            rows.append((str(path), name))
    return pd.DataFrame(rows, columns=["file", "class"])


def make_validation(folder):
    """Images and labels: other photos, each in one pose that Keras' own generator gave it."""
    frame = make_photos(folder, VALIDATION_PHOTOS, seed=2)
    source = keras.preprocessing.image.ImageDataGenerator(**POSES)
    np.random.seed(3)  # the generator draws from NumPy's global numbers
    images = [source.random_transform(np.asarray(Image.open(path), np.float32)) for path in frame["file"]]
    labels = np.eye(len(CLASSES))[np.repeat(np.arange(len(CLASSES)), VALIDATION_PHOTOS)]
    return np.stack(images) / 255, labels


def make_generator(frame, options, **flow):
    source = keras.preprocessing.image.ImageDataGenerator(**options)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how many files it found
        return source.flow_from_dataframe(
            frame, x_col="file", y_col="class", target_size=(SIZE, SIZE), batch_size=BATCH, **flow
        )


def repaired(frame, seed, cache, *, shuffle=True):
    generator = make_generator(frame, AUGMENTATION, seed=seed, shuffle=shuffle)
    return autofix(generator, when="always", cache_dir=cache, verbose=0)


def frozen(frame, seed, cache):
    """Planted fault: every epoch gets the images of the first, in another order."""
    dataset = repaired(frame, seed, cache)
    images = dataset.cache().unbatch().shuffle(len(frame)).batch(BATCH)
    return images.apply(tf.data.experimental.assert_cardinality(len(dataset)))


def barely_shuffled(frame, seed, cache):
    """Planted fault: rows in the order of their classes through a small buffer; draws are new in each epoch."""
    dataset = repaired(frame, seed, cache, shuffle=False)
    images = dataset.unbatch().shuffle(SHUFFLED_ROWS).batch(BATCH)
    return images.apply(tf.data.experimental.assert_cardinality(len(dataset)))


CONTENDERS = {
    "generator": lambda frame, seed, _: make_generator(frame, AUGMENTATION, seed=seed, shuffle=True),
    "autofix": repaired,
    "frozen": frozen,
    "shuffle": barely_shuffled,
}


def make_model(steps):
    layers = keras.layers
    inputs = keras.Input((SIZE, SIZE, 3))
    # Values about zero: without, some seeds learn nothing for many epochs and the means say little.
    outputs = layers.Rescaling(4.0, -1.8)(inputs)
    relu = {"activation": "relu", "kernel_initializer": "he_uniform"}
    for filters in (16, 32, 64):
        outputs = layers.Conv2D(filters, 3, padding="same", **relu)(outputs)
        outputs = layers.MaxPooling2D()(outputs)
    outputs = layers.Flatten()(outputs)
    outputs = layers.Dense(64, **relu)(outputs)
    model = keras.Model(inputs, layers.Dense(len(CLASSES), activation="softmax")(outputs))
    # A rate that ends at zero: the last epochs no longer move the model, so its accuracy hangs less on chance.
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    return model


def train(contender, seed, frame, validation, cache):
    """Train from scratch; return the final validation accuracy in percent."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = make_model(EPOCHS * -(-len(frame) // BATCH))
    model.fit(CONTENDERS[contender](frame, seed, cache), epochs=EPOCHS, verbose=0)
    return model.evaluate(*validation, verbose=0, return_dict=True)["accuracy"] * 100


def difference(ours, base):
    """Return the difference of the means and its 95 % interval, by Welch.

    Both start a seed from the same weights, so their errors can only go together; the interval of two
    independent samples is then at worst too wide.
    """
    ours_error, base_error = (statistics.variance(values) / len(values) for values in (ours, base))
    total = ours_error + base_error
    mean = statistics.fmean(ours) - statistics.fmean(base)
    if total == 0:
        return mean, mean, mean
    freedom = total**2 / (ours_error**2 / (len(ours) - 1) + base_error**2 / (len(base) - 1))
    half = float(stats.t.ppf(0.975, freedom)) * total**0.5
    return mean, mean - half, mean + half


def judge(accuracies, other):
    """Print the table; return what is wrong, if anything."""
    problems = []
    print(f"  {'':10}{'mean':>6} {'spread':>6}  each seed")
    for name, values in accuracies.items():
        each = " ".join(f"{value:5.1f}" for value in values)
        print(f"  {name:10}{statistics.fmean(values):6.1f} {statistics.stdev(values):6.1f}  {each}")
    for name, values in accuracies.items():
        if name == "generator":
            continue
        mean, low, high = difference(values, accuracies["generator"])
        print(f"  {name} - generator: {mean:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}")
        if name == other and not -LIMIT <= low <= high <= LIMIT:
            problems.append(f"{name} is not the same: its interval does not lie within {LIMIT:g} points")
        if name != other and mean > -FAULT_COSTS[name]:
            problems.append(f"the planted fault {name} costs less than {FAULT_COSTS[name]:g} points")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each contender (default: 5)")
    parser.add_argument("--fault", choices=("none", "frozen", "shuffle"), default="none")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("an interval needs at least two seeds")
    other = "autofix" if arguments.fault == "none" else arguments.fault
    names = CONTENDERS if other == "autofix" else ("generator", other)
    started = time.perf_counter()
    accuracies = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        frame = make_photos(Path(folder, "training"), TRAINING_PHOTOS, seed=1)
        validation = make_validation(Path(folder, "validation"))
        for seed in range(arguments.seeds):
            for name in names:
                if name not in ("generator", other) and seed >= FAULT_SEEDS:
                    continue
                accuracies[name].append(train(name, seed, frame, validation, Path(folder, "cache")))
                taken = time.perf_counter() - started
                print(f"seed {seed}, {name}: {accuracies[name][-1]:.1f} % ({taken:.0f} s)", file=sys.stderr, flush=True)
    print(f"TensorFlow {tf.__version__}, Keras {KERAS_VERSION} ({keras.__name__})")
    print(
        f"{len(frame):,} training photos, {len(validation[0]):,} for validation, {EPOCHS} epochs; final validation accuracy in percent"
    )
    problems = judge(accuracies, other)
    for problem in problems:
        print(f"  FAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
