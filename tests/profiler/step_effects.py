"""What a step may do besides changing variables, for each backend.

A case makes an effect, which gives the input that a step trains on, and what counts how often it has been felt.
"""

from __future__ import annotations

import itertools
import tempfile

import numpy as np
from keras_api import BACKEND, IS_KERAS_2, keras, tf


class Stepping(keras.Model):
    """Has the effect in its training step."""

    def train_step(self, *arguments):
        *state, (x, y) = arguments
        return super().train_step(*state, (type(self).effect(self, x), y))


class Layer(keras.layers.Layer):
    """Has it in a layer."""

    def call(self, x):
        return type(self).effect(self, x)


def in_step(effect):
    inputs = keras.Input((8,))
    return type("Own", (Stepping,), {"effect": staticmethod(effect)})(inputs, keras.layers.Dense(1)(inputs))


def in_layer(effect):
    inputs = keras.Input((8,))
    layer = type("Own", (Layer,), {"effect": staticmethod(effect)})()
    return keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))


def nothing():
    return 0


def attribute_counter(random=None):
    """Counts in an attribute of whatever has the effect."""
    owners = []

    def effect(owner, x):
        owners[:] = [owner]
        owner.calls = getattr(owner, "calls", 0) + 1
        return x if random is None else x + random(x)

    return effect, lambda: owners[0].calls


def python_call():
    calls = itertools.count()

    def noisy(x):
        next(calls)
        return x + np.random.normal(size=x.shape).astype("float32")

    def effect(_, x):
        return tf.ensure_shape(tf.numpy_function(noisy, [x], tf.float32), x.shape)

    return effect, lambda: repr(calls)


def listed_call(call, *how):
    """Python that draws, counts and keeps, by a method of the model or layer: all of which can be put back."""
    owners, seen = [], []

    class Kept:
        count = 0

        def __init__(self, owner):
            self.owner = owner

        def noisy(self, x):
            type(self).count += 1
            self.owner.calls.append(len(self.owner.calls))
            seen.append(type(self).count)
            return np.asarray(x) + np.random.normal(size=x.shape).astype("float32")

    def effect(owner, x):
        if not owners:
            object.__setattr__(owner, "calls", [])
            owners.append(owner)
        return call(Kept(owner).noisy, x, *how)

    return effect, lambda: repr([owners[0].calls, seen, Kept.count])


def eager_function():
    """A plain function: autograph leaves with it what it has wrapped it in."""
    seen = []

    def add(x):
        seen.append(1)
        return x + 1

    return (lambda _, x: tensorflow_call(add, x, tf.py_function)), lambda: len(seen)


def in_schedule(effect):
    """Has it in what is asked for the learning rate of each step."""

    class Schedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            effect(self, step)
            return 0.01 / self.calls

    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    compile_model = model.compile
    model.compile = lambda _, loss, **how: compile_model(keras.optimizers.SGD(Schedule()), loss, **how)
    return model


def tensorflow_call(function, x, make=tf.numpy_function):
    return tf.ensure_shape(make(function, [x], tf.float32), x.shape)


def jax_call(function, x):
    import jax

    return x + jax.experimental.io_callback(
        function, jax.ShapeDtypeStruct(x.shape, np.float32), jax.lax.stop_gradient(x)
    )


def pure_python_call():
    def effect(_, x):
        return tf.ensure_shape(tf.numpy_function(lambda x: 2 * x, [x], tf.float32, stateful=False), x.shape)

    return effect, nothing


def printing():
    def effect(_, x):
        tf.cond(tf.reduce_sum(x) > 1e9, lambda: tf.print("never"), tf.no_op)
        return x

    return effect, nothing


def summary():
    writer = tf.summary.create_file_writer(tempfile.mkdtemp())

    def effect(_, x):
        with writer.as_default():
            tf.summary.scalar("mean", tf.reduce_mean(x), step=0)
        return x

    return effect, nothing


def table_insert():
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)

    def effect(_, x):
        table.insert(tf.constant("n"), table.lookup(tf.constant("n")) + 1)
        return x

    return effect, lambda: int(table.lookup(tf.constant("n")))


def table_lookup():
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1]), tf.constant([0.5, 2.0]))
    table = tf.lookup.StaticHashTable(pairs, 1.0)
    return (lambda _, x: x * table.lookup(tf.cast(x > 0.5, tf.int32))), nothing


def iterator():
    numbers = iter(tf.data.Dataset.range(10**6))
    return (lambda _, x: x + tf.cast(next(numbers), tf.float32) % 3), lambda: int(next(numbers))


def queue():
    waiting = tf.queue.FIFOQueue(10**4, tf.float32)

    def effect(_, x):
        waiting.enqueue(tf.reduce_mean(x))
        return x

    return effect, lambda: int(waiting.size())


def untracked_variable():
    steps = tf.Variable(0)

    def effect(_, x):
        steps.assign_add(1)
        return x

    return effect, lambda: int(steps)


def own_generator():
    noise = tf.random.Generator.from_seed(1)
    return (lambda _, x: x + noise.normal(tf.shape(x))), lambda: noise.state.numpy().tolist()


def truncated_noise():
    return (lambda _, x: x + tf.random.truncated_normal(tf.shape(x))), nothing


def unseeded_noise():
    """Keras then draws a seed from a generator that belongs to no model."""
    return (lambda _, x: x + keras.random.normal(keras.ops.shape(x))), nothing


def jax_callback(name):
    calls = itertools.count()

    def look(x):
        next(calls)
        return x

    def effect(_, x):
        import jax

        if name == "print":
            jax.debug.callback(look, x)
            return x
        callback = {"io": jax.experimental.io_callback, "pure": jax.pure_callback}[name]
        return callback(look, jax.ShapeDtypeStruct(x.shape, x.dtype), jax.lax.stop_gradient(x))

    return effect, nothing if name == "pure" else lambda: repr(calls)


def torch_noise():
    import torch

    return (lambda _, x: x + torch.rand_like(x)), nothing


def numpy_noise():
    return (lambda _, x: x * float(np.random.random())), nothing


def torch_buffers():
    """What torch knows of a module, and Keras does not; one of them is another tensor after each step."""
    import torch

    class Norm(torch.nn.BatchNorm1d):
        def forward(self, x):
            x = super().forward(x)
            self.running_mean = self.running_mean + 1
            return x

    module = Norm(8)
    return module, lambda: repr([one.tolist() for one in module._buffers.values()])


def in_module(module):
    layer = keras.layers.TorchModuleWrapper(module, output_shape=(None, 8))
    inputs = keras.Input((8,))
    return keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))


# Name of the case, where its effect is, what makes it, and for those that are refused a part of the reason.
REFUSED = {
    "tensorflow": [
        ("python", in_step, python_call, "calls Python (PyFunc: calls is of type itertools.count"),
        ("print", in_step, printing, "prints (PrintV2)"),
        ("summary", in_step, summary, "writes summaries"),
        ("table", in_layer, table_insert, "changes a lookup table"),
        ("iterator", in_step, iterator, "draws from an iterator"),
        ("queue", in_step, queue, "moves a queue"),
    ],
    "jax": [
        ("io_callback", in_layer, lambda: jax_callback("io"), "calls Python"),
        ("debug", in_step, lambda: jax_callback("print"), "calls Python"),
    ],
    "torch": [("train_step", in_step, attribute_counter, "train_step of its own")],
}[BACKEND]
KEPT = {
    "tensorflow": [
        ("pure python", in_step, pure_python_call),
        ("python", in_step, lambda: listed_call(tensorflow_call)),
        ("eager python", in_layer, lambda: listed_call(tensorflow_call, tf.py_function)),
        ("eager function", in_layer, eager_function),
        ("table", in_layer, table_lookup),
        ("variable", in_step, untracked_variable),
        ("generator", in_step, own_generator),
        ("truncated", in_step, truncated_noise),
        ("traced once more", in_step, lambda: attribute_counter(lambda x: tf.random.normal(tf.shape(x)))),
        *([] if IS_KERAS_2 else [("global seed", in_layer, unseeded_noise)]),
    ],
    "jax": [
        ("pure_callback", in_step, lambda: jax_callback("pure")),
        ("io_callback", in_layer, lambda: listed_call(jax_call)),
    ],
    "torch": [
        ("counter", in_layer, attribute_counter),
        ("schedule", in_schedule, attribute_counter),
        ("global seed", in_layer, unseeded_noise),
        ("torch noise", in_layer, torch_noise),
        ("numpy noise", in_layer, numpy_noise),
        ("buffers", in_module, torch_buffers),
    ],
}[BACKEND]
