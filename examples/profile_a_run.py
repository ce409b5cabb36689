"""Does this training wait for its data? Train a small CNN as many scripts do, and ask.

    python examples/profile_a_run.py DATA

DATA is a folder of JPEGs (sub-folders are the classes) or a CSV file with a column of paths and a
column of labels; relative paths begin at the folder of the CSV file, or at --directory. The images
go through ImageDataGenerator.flow_from_dataframe with rotation, shear, zoom and flip, resized to
300x300, in batches of 32.

The lines that matter are marked with (1) and (2).
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from kerasdiag import BottleneckProfiler  # (1)

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}


def import_keras():
    """Keras as TensorFlow brings it; tf_keras where the user has chosen it (TF_USE_LEGACY_KERAS=1)."""
    if os.environ.get("TF_USE_LEGACY_KERAS") == "1":
        import tf_keras

        return tf_keras
    from tensorflow import keras

    return keras


def read_rows(data: Path, x_col: str, y_col: str, rows: int, directory: Path | None = None):
    """Return a DataFrame of paths and labels, repeated to at least ``rows`` rows.

    An epoch of a few steps would be all start: workers begin, caches fill.
    """
    import pandas as pd

    if data.is_dir():
        paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        labels = [path.parent.name for path in paths]
        if len(set(labels)) < 2:  # one flat folder: any label will do to measure speed
            labels = [f"class_{number % 10}" for number in range(len(paths))]
        frame = pd.DataFrame({x_col: [str(path) for path in paths], y_col: labels})
    elif data.is_file():
        frame = pd.read_csv(data, dtype=str)
        if not {x_col, y_col} <= set(frame.columns):
            sys.exit(f"{data} has the columns {', '.join(frame.columns)}. Name two of them: --x-col PATH --y-col LABEL")
        frame = frame[[x_col, y_col]].dropna()
        frame[x_col] = [os.path.join(directory or data.parent, name) for name in frame[x_col]]
    else:
        sys.exit(f"{data}: no such folder or file. Expected a folder of images or a CSV file.")
    if frame.empty:
        sys.exit(f"{data} holds no image. Expected files like *.jpg, in any depth, or one path in each row.")
    if not any(map(os.path.exists, frame[x_col])):
        sys.exit(
            f"{data}: none of its {len(frame)} files exists, for example {frame[x_col].iloc[0]}. --directory names the "
            "folder that the file names are relative to, --x-col their column."
        )
    return pd.concat([frame] * math.ceil(rows / len(frame)), ignore_index=True)


def make_generators(keras, frame, arguments):
    """The training and the validation iterator of one ImageDataGenerator."""
    generator = keras.preprocessing.image.ImageDataGenerator(
        rescale=1.0 / 255,
        rotation_range=30,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        validation_split=0.1,
    )
    return [
        generator.flow_from_dataframe(
            frame,
            x_col=arguments.x_col,
            y_col=arguments.y_col,
            class_mode="categorical",
            target_size=(arguments.size, arguments.size),
            batch_size=arguments.batch_size,
            subset=subset,
            seed=1,
            validate_filenames=False,
        )
        for subset in ("training", "validation")
    ]


def make_model(keras, size: int, classes: int):
    """A CNN that is small enough for a CPU."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((size, size, 3)), layers.AveragePooling2D(4)])
    for filters in (8, 16, 32):
        model.add(layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(classes, activation="softmax"))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def add_data_arguments(parser):
    """Which images, and how many."""
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder of images, or a CSV file")
    parser.add_argument("--x-col", default="path", help="column of the paths (default: path)")
    parser.add_argument("--y-col", default="label", help="column of the labels (default: label)")
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="where relative paths of a CSV file begin (default: its folder)"
    )
    parser.add_argument("--rows", type=int, default=1500, help="repeat the rows to at least so many (default: 1500)")


def parse_arguments(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_arguments(parser)
    parser.add_argument("--size", type=int, default=300, help="height and width in pixels (default: 300)")
    parser.add_argument("--batch-size", type=int, default=32, help="images in a batch (default: 32)")
    parser.add_argument("--epochs", type=int, default=1, help="epochs (default: 1)")
    parser.add_argument("--save", default="run.kdprof.json", help="where the profile goes (default: run.kdprof.json)")
    return parser.parse_args(arguments)


def main(arguments=None) -> int:
    """Train, and let the profiler say what it saw."""
    arguments = parse_arguments(arguments)
    keras = import_keras()
    frame = read_rows(arguments.data, arguments.x_col, arguments.y_col, arguments.rows, arguments.directory)
    training, validation = make_generators(keras, frame, arguments)
    model = make_model(keras, arguments.size, len(training.class_indices))

    profiler = BottleneckProfiler(report=["terminal", arguments.save])
    model.fit(training, validation_data=validation, epochs=arguments.epochs, callbacks=[profiler])  # (2)

    print(f"\nShow this panel again:  kerasdiag report {arguments.save}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
