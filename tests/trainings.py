"""Small seeded trainings whose every number can be compared between runs."""

from __future__ import annotations

import numpy as np
from keras_api import PyDataset, keras, tf

EXAMPLES = 70  # a smaller last batch of 6 at batch size 8
BATCH_SIZE = 8
STEPS = 9


def make_arrays(examples=EXAMPLES):
    """Seeded features and labels."""
    random = np.random.default_rng(1)
    return random.standard_normal((examples, 8)).astype("float32"), random.integers(0, 3, examples).astype("int64")


def make_model(dropout=True, **compile_arguments):
    """A model with a random and a stateful layer, the same each time."""
    keras.utils.set_random_seed(11)
    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.BatchNormalization()]
    layers += [keras.layers.Dropout(0.5)] if dropout else []
    inputs = keras.Input((8,))
    outputs = inputs
    for layer in [*layers, keras.layers.Dense(3)]:
        outputs = layer(outputs)
    model = keras.Model(inputs, outputs)
    arguments = {"jit_compile": False, **compile_arguments}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], **arguments)
    return model


class Batches(PyDataset):
    """The arrays as an indexed loader."""

    def __init__(self, examples=EXAMPLES):
        super().__init__()
        self.x, self.y = make_arrays(examples)

    def __len__(self):
        return -(-len(self.x) // BATCH_SIZE)

    def __getitem__(self, index):
        part = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        return self.x[part], self.y[part]


def python_generator(examples=EXAMPLES, epochs=2):
    """The arrays as an iterator of batches."""
    data = Batches(examples)
    for _ in range(epochs):
        for index in range(len(data)):
            yield data[index]


def dataset(known_length=True):
    """The arrays as tf.data."""
    data = tf.data.Dataset.from_tensor_slices(make_arrays()).batch(BATCH_SIZE)
    return data if known_length else data.filter(lambda x, y: True)


def image_iterator(augment=True, **flow):
    """An ImageDataGenerator over arrays, seeded, with the article's augmentations."""
    options = {"rotation_range": 30, "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True} if augment else {}
    generator = keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255, **options)
    random = np.random.default_rng(2)
    pixels = random.integers(0, 255, (EXAMPLES, 8, 8, 3)).astype("uint8")
    return generator.flow(pixels, make_arrays()[1], batch_size=BATCH_SIZE, seed=5, **flow)


def fit_arguments(kind):
    """What to pass to ``fit`` for each kind of input."""
    if kind == "arrays":
        x, y = make_arrays()
        return {"x": x, "y": y, "batch_size": BATCH_SIZE, "shuffle": False}
    if kind == "py-dataset":
        return {"x": Batches(), "shuffle": False}
    if kind == "tf-data":
        return {"x": dataset()}
    if kind == "tf-data of unknown length":
        return {"x": dataset(known_length=False)}
    if kind == "python-generator":
        return {"x": python_generator(), "steps_per_epoch": STEPS}
    raise ValueError(kind)


def outcome(model, history):
    """Everything that two equal trainings have in common, as one flat list of arrays."""
    iterations = model.optimizer.iterations
    iterations = iterations.numpy() if hasattr(iterations, "numpy") else iterations
    losses = [np.asarray(values) for _, values in sorted(history.history.items())]
    return [*losses, *model.get_weights(), np.asarray(int(iterations))]


def train(kind="arrays", callbacks=(), epochs=2, dropout=True, **compile_arguments):
    """Train from scratch; return the outcome."""
    model = make_model(dropout, **compile_arguments)
    history = model.fit(**fit_arguments(kind), epochs=epochs, verbose=0, callbacks=list(callbacks))
    return outcome(model, history)


def are_equal(one, other):
    """Bit-equal, shapes included."""
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other))
