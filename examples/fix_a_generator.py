"""A training from ImageDataGenerator.flow_from_dataframe, before and after one line.

    python examples/fix_a_generator.py DATA                    run it twice: measured, then repaired
    python examples/fix_a_generator.py DATA --without          as it was before
    python examples/fix_a_generator.py DATA --weights imagenet

DATA is a folder of JPEGs (sub-folders are the classes) or a CSV file with a column of paths and a
column of labels; relative paths begin at the folder of the CSV file, or at --directory. EfficientNetB3
with a head of its own is trained on 300x300 images with rotation, shear, zoom and flip; validation
images come from the same ImageDataGenerator.

What kerasdiag adds is marked with (1) to (4). The first run measures whether the training waits for
its images; if so, the second one converts them once and trains from them, and so does every later one.

--tiny trains EfficientNetB0 on 32x32 for a few steps: it shows that the script runs, not that it is fast.
On a CPU even a tiny EfficientNet is compute-bound, so nothing would be repaired; --tiny therefore passes
when="always".
"""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from profile_a_run import add_data_arguments, import_keras, read_rows

from kerasdiag import BottleneckProfiler, autofix  # (1)


def make_generators(keras, frame, arguments):
    """Training and validation iterator of one ImageDataGenerator."""
    datagen = keras.preprocessing.image.ImageDataGenerator(
        # No rescale=1./255: this EfficientNet begins with a Rescaling layer of its own and expects 0 to 255.
        # With it the network would see images that are all but black.
        rotation_range=30,
        shear_range=0.2,
        zoom_range=0.2,
        horizontal_flip=True,
        validation_split=0.1,
    )

    def flow(subset):
        return datagen.flow_from_dataframe(
            dataframe=frame,
            directory=None,
            x_col=arguments.x_col,
            y_col=arguments.y_col,
            class_mode="categorical",
            target_size=(arguments.size, arguments.size),
            batch_size=arguments.batch_size,
            subset=subset,
            validate_filenames=False,  # looking at every file first takes minutes for large data sets
        )

    return flow("training"), flow("validation")


def make_model(keras, classes, arguments):
    """EfficientNet without its top, and a head for our classes."""
    network = keras.applications.EfficientNetB0 if arguments.tiny else keras.applications.EfficientNetB3
    weights = None if arguments.weights == "none" else arguments.weights
    base = network(include_top=False, weights=weights, input_shape=(arguments.size, arguments.size, 3))
    features = keras.layers.GlobalAveragePooling2D()(base.output)
    predictions = keras.layers.Dense(classes, activation="softmax", name="predictions")(features)
    model = keras.Model(inputs=base.input, outputs=predictions)
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def train(model, train_data, val_data, **arguments):
    """Keras 2 as the script was written: fit_generator with 16 workers. Keras 3 has only fit."""
    arguments.update(validation_data=val_data, verbose=1)
    if not hasattr(model, "fit_generator"):
        for data in (train_data, val_data):
            if hasattr(data, "workers"):
                data.workers = 16  # Keras 3: the number of workers belongs to the generator
        return model.fit(train_data, **arguments)
    if hasattr(train_data, "element_spec"):  # a dataset brings its own threads
        return model.fit(train_data, **arguments)
    return model.fit_generator(train_data, workers=16, **arguments)


def parse_arguments(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_arguments(parser)
    parser.add_argument("--size", type=int, help="height and width in pixels (default: 300)")
    parser.add_argument("--batch-size", type=int, help="images in a batch (default: 32)")
    parser.add_argument("--epochs", type=int, default=2, help="epochs (default: 2)")
    parser.add_argument("--weights", choices=("none", "imagenet"), default="none", help="(default: none)")
    parser.add_argument("--without", action="store_true", help="train as before: no profiler, no autofix")
    parser.add_argument("--tiny", action="store_true", help="a small network on small images, for a quick try")
    parsed = parser.parse_args(arguments)
    parsed.size = parsed.size or (32 if parsed.tiny else 300)
    parsed.batch_size = parsed.batch_size or (4 if parsed.tiny else 32)
    return parsed


def main(arguments=None) -> int:
    """Train, before or after."""
    arguments = parse_arguments(arguments)
    keras = import_keras()
    frame = read_rows(arguments.data, arguments.x_col, arguments.y_col, arguments.rows, arguments.directory)
    train_generator, val_generator = make_generators(keras, frame, arguments)
    steps = train_generator.samples // arguments.batch_size
    val_steps = val_generator.samples // arguments.batch_size
    model = make_model(keras, len(train_generator.class_indices), arguments)
    callbacks = []

    if not arguments.without:
        profiler = BottleneckProfiler()  # (2)
        when = "always" if arguments.tiny else "bottleneck"
        train_generator = autofix(train_generator, profiler, steps_per_epoch=steps, when=when)  # (3)
        val_generator = autofix(val_generator, profiler, steps_per_epoch=val_steps, when=when)
        callbacks.append(profiler)  # (4)

    train(
        model,
        train_generator,
        val_generator,
        steps_per_epoch=steps,
        validation_steps=val_steps,
        epochs=arguments.epochs,
        callbacks=callbacks,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
