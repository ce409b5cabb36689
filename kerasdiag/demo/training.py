"""The trainings of the demo: the article's generator, a small CNN, and a profiled fit."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Sequence
from statistics import median
from typing import Any  # Keras' and pandas' objects

from kerasdiag import compat
from kerasdiag.diagnosis import MIN_MEASURED_STEPS, Diagnosis, diagnose
from kerasdiag.profile import RunProfile
from kerasdiag.profiler.callback import BottleneckProfiler

# The article's: rotation, shear, zoom and flip cost an ImageDataGenerator most of its time.
AUGMENTATION = {
    "rescale": 1.0 / 255,
    "rotation_range": 30,
    "shear_range": 0.2,
    "zoom_range": 0.2,
    "horizontal_flip": True,
}
WORKERS = (2, 4, 16)
DEFAULT_WORKERS = 1
_WARM_UP = 5  # as the profiler has it
_QUEUE = 10  # max_queue_size of Keras


def steady_from(workers: int) -> int:
    """Return the first step that is fed at the generator's own speed.

    While Keras traces the model, the workers fill the queue: the steps after it find their batch ready.
    """
    return _WARM_UP + _QUEUE + workers


def steps_for(workers: int) -> int:
    """Return how many steps a fit needs so that enough of them are steady."""
    return steady_from(workers) + MIN_MEASURED_STEPS + 1


def make_generator(keras: Any, rows: Sequence[tuple[str, str]], size: int, batch_size: int) -> Any:
    """Return ``flow_from_dataframe`` over the rows, listed again and again until they fill the longest fit.

    Args:
        keras: The Keras module.
        rows: Path and class.
        size: Height and width in pixels.
        batch_size: Images in a batch.
    """
    import pandas as pd

    needed = steps_for(max(WORKERS)) * batch_size
    frame = pd.DataFrame(rows, columns=["path", "label"])
    frame = pd.concat([frame] * -(-needed // len(frame)), ignore_index=True)
    with contextlib.redirect_stdout(io.StringIO()):  # "Found 1632 validated image filenames ..."
        return keras.preprocessing.image.ImageDataGenerator(**AUGMENTATION).flow_from_dataframe(
            frame,
            x_col="path",
            y_col="label",
            class_mode="categorical",
            target_size=(size, size),
            batch_size=batch_size,
            seed=1,
            validate_filenames=False,
        )


def make_model(keras: Any, size: int, classes: int, filters: int) -> Any:
    """Return a compiled CNN whose step costs more the more filters it has; with 0 it has next to none."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((size, size, 3)), layers.AveragePooling2D(3)])
    if filters:
        for factor, strides in ((1, 2), (2, 2), (2, 1)):
            model.add(layers.Conv2D(factor * filters, 3, strides=strides, padding="same", activation="relu"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(classes, activation="softmax"))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def train_on_generator(model: Any, generator: Any, workers: int, *, shown: bool = False) -> Diagnosis:
    """Train for as many steps as are needed at this number of workers.

    Args:
        model: A compiled model.
        generator: What ``make_generator`` returned.
        workers: Threads that prepare batches.
        shown: Whether Keras' progress bar is printed.

    Returns:
        The diagnosis of the steady steps.
    """
    arguments = compat.use_workers(generator, workers)
    profiler = _fit(model, generator, shown=shown, steps_per_epoch=steps_for(workers), **arguments)
    return diagnose(_steady(profiler.profile, steady_from(workers)))


def train_on_dataset(model: Any, dataset: Any, *, epochs: int = 1, shown: bool = False) -> Diagnosis:
    """Train on a finite dataset and return the diagnosis."""
    return _fit(model, dataset, shown=shown, epochs=epochs).diagnosis


def cached_step_s(model: Any, batch: Any) -> float:
    """Return the median step of the model on one batch that lies in memory, in seconds.

    The median, for a pause of the machine must not make the model look larger than it is.
    """
    import tensorflow as tf

    steps = _WARM_UP + MIN_MEASURED_STEPS
    dataset = tf.data.Dataset.from_tensors(batch).cache().repeat(steps).prefetch(2)
    measured = train_on_dataset(model, dataset).profile.steps.measured
    return median(period - wait for period, wait in zip(measured.period_s, measured.wait_s))


def _fit(model: Any, data: Any, *, shown: bool, **arguments: Any) -> BottleneckProfiler:
    profiler = BottleneckProfiler(report=None)  # the story prints the panel, of the steady steps
    # verbose=1 even where nobody sees it: on a GPU some versions of Keras run behind the program otherwise,
    # and then no wait can be told.
    with warnings.catch_warnings(), contextlib.nullcontext() if shown else contextlib.redirect_stdout(io.StringIO()):
        # Keras 3 says so of every dataset, whatever it was given.
        warnings.filterwarnings("ignore", message=".*`shuffle=True` was passed.*")
        model.fit(data, verbose=1, callbacks=[profiler], **arguments)
    return profiler


def _steady(profile: RunProfile, first: int) -> RunProfile:
    steps = profile.steps
    warm_up = tuple(max(flag, int(row < first)) for row, flag in enumerate(steps.warm_up))
    return dataclasses.replace(profile, steps=dataclasses.replace(steps, warm_up=warm_up))
