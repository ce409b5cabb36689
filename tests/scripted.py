"""Trainings whose truth is known without kerasdiag: a step that sleeps and stamps the clock, loaders that sleep."""

from __future__ import annotations

import time

import numpy as np
from keras_api import BACKEND, PyDataset, keras, tf

BATCH = (np.zeros((4, 8), "float32"), np.zeros((4, 1), "float32"))
IMAGE_SHAPE = (4, 2, 1)
SIGNATURE = (tf.TensorSpec((None, 8), tf.float32), tf.TensorSpec((None, 1), tf.float32))


class ScriptedModel(keras.Model):
    """A tiny model whose training step sleeps ``step_s`` and keeps the times at which it began and ended."""

    step_s = 0.0

    def train_step(self, *arguments):
        return SCRIPTED_STEPS[BACKEND](self, super().train_step, *arguments)

    def begin_step(self, *_):
        self.begins.append(time.perf_counter())
        return np.float32(0)

    def end_step(self, *_):
        if self.step_s:
            time.sleep(self.step_s)
        self.stamps.append(time.perf_counter())
        return np.float32(0)


def tensorflow_step(model, step, data):
    """The sleep is an operation of the graph, after all others."""
    began = tf.numpy_function(model.begin_step, [], tf.float32)
    with tf.control_dependencies([began]):
        logs = step(data)
    with tf.control_dependencies(tf.nest.flatten(logs)):
        slept = tf.numpy_function(model.end_step, [], tf.float32)
    slept.set_shape([])
    with tf.control_dependencies([slept]):
        return tf.nest.map_structure(tf.identity, logs)


def jax_step(model, step, state, data):
    """The sleep is a callback of the compiled step, and its losses depend on it."""
    import jax

    scalar = jax.ShapeDtypeStruct((), np.float32)
    began = jax.experimental.io_callback(model.begin_step, scalar, state[0][0])
    logs, state = step(state, data)
    slept = jax.experimental.io_callback(model.end_step, scalar, began, *logs.values())
    return {name: value + slept for name, value in logs.items()}, state


def torch_step(model, step, data):
    """torch runs line by line."""
    model.begin_step()
    logs = step(data)
    model.end_step()
    return logs


SCRIPTED_STEPS = {"tensorflow": tensorflow_step, "jax": jax_step, "torch": torch_step}


def make_scripted_model(step_s, shape=(8,), **compile_arguments):
    """A compiled ScriptedModel; XLA cannot compile the sleep of TensorFlow's."""
    inputs = keras.Input(shape)
    outputs = inputs if len(shape) == 1 else keras.layers.Flatten()(inputs)
    model = ScriptedModel(inputs, keras.layers.Dense(1)(outputs))
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax", **compile_arguments)
    return script(model, step_s)


class Stamper(keras.callbacks.Callback):
    """Keeps the time after each step, where the step itself cannot."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stamps.append(time.perf_counter())


def make_busy_model():
    """A model whose step, compiled by XLA, computes for 10 to 60 ms; a callback stamps its steps.

    It computes in one thread and in the cache: what streams weights through memory by all cores takes up to a third
    longer after each wait than in a row, and then a free input says nothing of the step behind a slow one.
    """
    inputs = keras.Input((8,))
    outputs = keras.layers.SimpleRNN(32)(keras.layers.RepeatVector(2000)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile("sgd", "mse", jit_compile=True)
    return script(model, 0.0, [Stamper()])


def script(model, step_s, own_callbacks=()):
    """Set what a scripted model does; Keras would track a list that is set as an attribute."""
    for name, value in (("step_s", step_s), ("begins", []), ("stamps", []), ("own_callbacks", list(own_callbacks))):
        object.__setattr__(model, name, value)
    return model


def free_dataset(steps, shape=(8,)):
    """A pipeline that never makes anybody wait."""
    batch = (np.zeros((4, *shape), "float32"), BATCH[1])
    return tf.data.Dataset.from_tensors(batch).repeat(steps).prefetch(4)


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


def sleeping_image_iterator(load_s, steps):
    """What ImageDataGenerator gives, with a preprocessing function that makes a batch take ``load_s``."""

    def slow(image):
        time.sleep(load_s / 4)
        return image

    generator = keras.preprocessing.image.ImageDataGenerator(preprocessing_function=slow)
    return generator.flow(np.zeros((4 * steps, *IMAGE_SHAPE)), np.zeros((4 * steps, 1)), batch_size=4)


def mean_period_s(stamps, warm_up=5, epochs=1):
    """Mean time between the stamps of the steps after warm-up, without what lies between epochs."""
    per_epoch = len(stamps) // epochs
    if per_epoch < 2 or len(stamps) < warm_up + 2:
        raise ValueError(f"{len(stamps)} stamps are too few")
    periods = [after - before for before, after in zip(stamps, stamps[1:])]
    counted = [period for step, period in enumerate(periods, 1) if step > warm_up and step % per_epoch]
    return sum(counted) / len(counted)


def scripted_wait_fraction(model, warm_up=5, apart_s=0.0):
    """Share of the time in which the model was not in its step, by its own stamps; Keras itself takes about 1 ms.

    ``apart_s`` are seconds after the warm-up in which the training stood still for something else than data.
    """
    period_s = mean_period_s(model.stamps, warm_up) - apart_s / (len(model.stamps) - 1 - warm_up)
    busy = [end - begin for begin, end in zip(model.begins, model.stamps)][warm_up:]
    return max(0.0, 1 - (sum(busy) / len(busy) + 0.001) / period_s)
