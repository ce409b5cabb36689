"""The Keras under test: tf_keras where the environment says so, else the one inside TensorFlow, on JAX or torch too."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

BACKEND = os.environ.get("KERASDIAG_TEST_ENVIRONMENT", "")
BACKEND = BACKEND if BACKEND in ("jax", "torch") else "tensorflow"
if BACKEND != "tensorflow":
    os.environ["KERAS_BACKEND"] = BACKEND

import tensorflow as tf

if os.environ.get("KERASDIAG_TEST_ENVIRONMENT") == "tfkeras":
    import tf_keras as keras

    keras_version = keras.__version__
else:
    import keras as _keras

    keras = tf.keras
    keras_version = _keras.__version__

from packaging.version import Version

KERAS_VERSION = Version(keras_version)
IS_KERAS_2 = Version("3.0") > KERAS_VERSION
TRAINS_WITH_PYTHON_FUNCTION = Version("3.7") > KERAS_VERSION and BACKEND == "tensorflow"
PyDataset = keras.utils.Sequence if IS_KERAS_2 else keras.utils.PyDataset

__all__ = [
    "BACKEND",
    "IS_KERAS_2",
    "KERAS_VERSION",
    "TRAINS_WITH_PYTHON_FUNCTION",
    "PyDataset",
    "fit_with_workers",
    "keras",
    "tf",
]


def fit_with_workers(model, data, workers, **arguments):
    """``fit`` with a number of workers, as each Keras takes it."""
    if IS_KERAS_2:
        return model.fit(data, workers=workers, **arguments)
    data.workers = workers
    return model.fit(data, **arguments)
