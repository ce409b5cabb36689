"""A model whose step sleeps in a function that may be called any number of times, so that it can be measured alone."""

from __future__ import annotations

import time

import numpy as np
from keras_api import BACKEND, keras, tf
from scripted import Stamper, script


class Sleeping(keras.layers.Layer):
    """Passes its input on after ``seconds``."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def sleep(self, *_):
        time.sleep(self.seconds)
        return np.float32(0)

    def call(self, x):
        return SLEEPS[BACKEND](self, x)


def tensorflow_sleep(layer, x):
    slept = tf.numpy_function(layer.sleep, [x], tf.float32, stateful=False)
    slept.set_shape([])
    return x + tf.stop_gradient(slept)


def jax_sleep(layer, x):
    import jax

    return x + jax.pure_callback(layer.sleep, jax.ShapeDtypeStruct((), np.float32), jax.lax.stop_gradient(x))


def torch_sleep(layer, x):
    return x + layer.sleep()


SLEEPS = {"tensorflow": tensorflow_sleep, "jax": jax_sleep, "torch": torch_sleep}


def make_sleeping_model(step_s, shape=(8,), **compile_arguments):
    """A compiled model whose step sleeps ``step_s``; its ``own_callbacks`` stamp its steps."""
    inputs = keras.Input(shape)
    outputs = Sleeping(step_s)(inputs)
    outputs = outputs if len(shape) == 1 else keras.layers.Flatten()(outputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax", **compile_arguments)
    return script(model, step_s, [Stamper()])
