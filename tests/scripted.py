"""Trainings whose truth is known without kerasdiag: a step that sleeps and stamps the clock, loaders that sleep."""

from __future__ import annotations

import time

import numpy as np
from keras_api import PyDataset, keras, tf

BATCH = (np.zeros((4, 8), "float32"), np.zeros((4, 1), "float32"))
SIGNATURE = (tf.TensorSpec((None, 8), tf.float32), tf.TensorSpec((None, 1), tf.float32))


class ScriptedModel(keras.Model):
    """A tiny model whose training step sleeps ``step_s`` and keeps the times at which it began and ended."""

    step_s = 0.0

    def train_step(self, data):
        began = tf.numpy_function(self._begin, [], tf.float32)
        with tf.control_dependencies([began]):
            logs = super().train_step(data)
        with tf.control_dependencies(tf.nest.flatten(logs)):
            slept = tf.numpy_function(self._sleep, [], tf.float32)
        slept.set_shape([])
        with tf.control_dependencies([slept]):
            return tf.nest.map_structure(tf.identity, logs)

    def _begin(self):
        self.begins.append(time.perf_counter())
        return np.float32(0)

    def _sleep(self):
        if self.step_s:
            time.sleep(self.step_s)
        self.stamps.append(time.perf_counter())
        return np.float32(0)


def make_scripted_model(step_s, **compile_arguments):
    """A compiled ScriptedModel; XLA cannot compile its sleep."""
    inputs = keras.Input((8,))
    model = ScriptedModel(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse", jit_compile=False, **compile_arguments)
    return script(model, step_s)


def script(model, step_s):
    """Set what a ScriptedModel does; Keras would track a list that is set as an attribute."""
    object.__setattr__(model, "step_s", step_s)
    object.__setattr__(model, "begins", [])
    object.__setattr__(model, "stamps", [])
    return model


def free_dataset(steps):
    """A pipeline that never makes anybody wait."""
    return tf.data.Dataset.from_tensors(BATCH).repeat(steps).prefetch(4)


def sleeping_generator(load_s, steps):
    """A Python generator that takes ``load_s`` per batch."""
    for _ in range(steps):
        if load_s:
            time.sleep(load_s)
        yield BATCH


def sleeping_dataset(load_s, steps, prefetch=0):
    """tf.data over ``sleeping_generator``, with exactly the prefetch asked for."""
    dataset = tf.data.Dataset.from_generator(lambda: sleeping_generator(load_s, steps), output_signature=SIGNATURE)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    if prefetch:
        dataset = dataset.prefetch(prefetch)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False  # newer tf.data adds a prefetch
    return dataset.with_options(options)


class SleepingPyDataset(PyDataset):
    """An indexed loader that takes ``load_s`` per batch; with workers the batches come in bursts."""

    def __init__(self, load_s, steps):
        super().__init__()
        self.load_s = load_s
        self.steps = steps

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        time.sleep(self.load_s)
        return BATCH


def mean_period_s(stamps, warm_up=5):
    """Mean time between the stamps of the steps after warm-up."""
    if len(stamps) < warm_up + 2:
        raise ValueError(f"{len(stamps)} stamps are too few")
    return (stamps[-1] - stamps[warm_up]) / (len(stamps) - 1 - warm_up)


def scripted_wait_fraction(model, warm_up=5):
    """Share of the time in which the model was not in its step, by its own stamps; Keras itself takes about 1 ms."""
    period_s = mean_period_s(model.stamps, warm_up)
    busy = [end - begin for begin, end in zip(model.begins, model.stamps)][warm_up:]
    return max(0.0, 1 - (sum(busy) / len(busy) + 0.001) / period_s)
