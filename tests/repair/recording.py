"""A model that writes down what fit feeds it, row by row, and a data set of known rows for it."""

from __future__ import annotations

import zlib

import numpy as np
from keras_api import IS_KERAS_2, keras, tf
from repair.generators import ARTICLE, make_generator

ROWS = 24


def make_numbered(frame, folder, options=ARTICLE, **arguments):
    """A generator whose target is the number of the row, times one half."""
    defaults = {"class_mode": "raw", "y_col": "target", "weight_col": "weight", "batch_size": 7}
    return make_generator(frame, folder, options=options, **{**defaults, **arguments})


def checksums(images, targets, weights):
    """(row, checksum of image and weight) for each row of a batch; as float32, which is what Keras feeds."""
    images, weights = (np.ascontiguousarray(array, "float32") for array in (images, weights))
    rows = np.rint(np.asarray(targets, "float64").reshape(-1) * 2).astype(int).tolist()
    return [(row, zlib.crc32(image.tobytes() + weight.tobytes())) for row, image, weight in zip(rows, images, weights)]


def rows_of(batches):
    """The checksums of all rows of some batches."""
    return [row for batch in batches for row in checksums(*batch)]


def no_row_came_twice(fed):
    """Whether no image was fed that had been fed before."""
    return len(set(fed)) == len(fed)


def epochs_of(fed):
    """The rows that were fed, cut into passes over the data, without their order."""
    return [sorted(fed[start : start + ROWS]) for start in range(0, len(fed), ROWS)]


class RecordingModel(keras.Model):
    """One dense layer, and ``fed``: the checksums of the rows of each training step, in their order."""

    def __init__(self):
        super().__init__()
        self.fed = []
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(self.pool(inputs))

    def train_step(self, data):
        # A function of NumPy is called in each step, where code of Python runs once, when Keras traces the step.
        tf.numpy_function(self._note, tf.nest.flatten(data), tf.int64)
        return super().train_step(data)

    def _note(self, images, targets, weights):
        self.fed += checksums(images, targets, weights)
        return np.int64(0)


def make_recording_model():
    """A compiled one; not jitted, because XLA calls no function of NumPy."""
    model = RecordingModel()
    model.compile("sgd", "mse", **({} if IS_KERAS_2 else {"jit_compile": False}))
    return model
