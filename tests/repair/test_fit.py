"""Every epoch trains and validates fully, in every way that scripts call fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from keras_api import KERAS_VERSION, keras
from packaging.version import Version
from repair.generators import ARTICLE, make_generator

from kerasdiag import autofix

pytestmark = pytest.mark.keras

# There steps_per_epoch empties every second epoch whatever the input, Keras' own generator included.
EMPTIES_EPOCHS = Version("3.0") <= KERAS_VERSION < Version("3.7")
FLOOR, CEILING = 2, 3  # 18 training rows in batches of 7


class Counter(keras.callbacks.Callback):
    """Counts the steps of each epoch and of each validation."""

    def __init__(self):
        super().__init__()
        self.trained, self.validated = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.trained.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.trained[-1] += 1

    def on_test_begin(self, logs=None):
        self.validated.append(0)

    def on_test_batch_end(self, batch, logs=None):
        self.validated[-1] += 1


@pytest.fixture
def datasets(images, tmp_path):
    """Training and validation dataset of one ImageDataGenerator."""

    def make(steps=None, validation_steps=None, **arguments):
        options = {**ARTICLE, "validation_split": 0.25}
        for subset, count, size in (("training", steps, 7), ("validation", validation_steps, 4)):
            generator = make_generator(*images, options=options, subset=subset, batch_size=size, **arguments)
            yield autofix(generator, when="always", cache_dir=tmp_path, steps_per_epoch=count, verbose=0)

    return make


def make_model(loss="categorical_crossentropy", units=3):
    model = keras.Sequential(
        [
            keras.layers.Conv2D(2, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(units, activation="softmax"),
        ]
    )
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def test_plain_fit(datasets):
    """fit(ds, epochs=3): all rows in each epoch."""
    training, validation = datasets()
    counter = Counter()
    history = make_model().fit(training, epochs=3, validation_data=validation, callbacks=[counter], verbose=0)
    assert counter.trained == [CEILING] * 3
    assert counter.validated == [2] * 3
    assert len(history.history["val_loss"]) == 3


@pytest.mark.parametrize("validation_steps", [1, 2])
@pytest.mark.parametrize("steps", [FLOOR, CEILING])
def test_fit_with_steps(datasets, steps, validation_steps):
    """fit(ds, steps_per_epoch=..., validation_steps=...), floor and ceiling, each dataset made with that number."""
    training, validation = datasets(steps, validation_steps)
    assert (len(training), len(validation)) == (steps, validation_steps)
    if EMPTIES_EPOCHS:
        arguments = {}  # what the finding says: drop both
        assert "Drop both" in training.repair_report.findings[0]
    else:
        arguments = {"steps_per_epoch": steps, "validation_steps": validation_steps}
        assert not training.repair_report.findings
    counter = Counter()
    make_model().fit(training, epochs=3, validation_data=validation, callbacks=[counter], verbose=0, **arguments)
    assert counter.trained == [steps] * 3
    assert counter.validated == [validation_steps] * 3


def test_validation_with_fewer_steps_than_it_has(datasets):
    """A dataset that is longer than validation_steps begins afresh each time."""
    if EMPTIES_EPOCHS:
        return  # validation_steps fails there whatever the input, see EMPTIES_EPOCHS
    training, validation = datasets()
    counter = Counter()
    make_model().fit(training, epochs=3, validation_data=validation, validation_steps=1, callbacks=[counter], verbose=0)
    assert counter.validated == [1] * 3


def test_a_second_fit_goes_on(datasets):
    """Draws go on where the first fit stopped; the same number of steps again."""
    training, _ = datasets()
    model, counter = make_model(), Counter()
    model.fit(training, epochs=2, callbacks=[counter], verbose=0)
    model.fit(training, epochs=2, callbacks=[counter], verbose=0)
    assert counter.trained == [CEILING] * 4


def test_evaluate_and_predict(datasets):
    """A dataset serves both, and predict gives one row for each of its rows."""
    training, validation = datasets()
    model = make_model()
    model.evaluate(validation, verbose=0)
    assert model.predict(training, verbose=0).shape == (18, 3)


@pytest.mark.parametrize(
    ("class_mode", "loss"), [("categorical", "categorical_crossentropy"), ("sparse", "sparse_categorical_crossentropy")]
)
def test_class_weight(datasets, class_mode, loss):
    """Weights of 0 and 1 for the classes change the loss as they do with the generator."""
    training, _ = datasets(class_mode=class_mode)
    only_first = make_model(loss).fit(training, class_weight={0: 1.0, 1: 0.0, 2: 0.0}, verbose=0).history["loss"][0]
    nothing = make_model(loss).fit(training, class_weight={0: 0.0, 1: 0.0, 2: 0.0}, verbose=0).history["loss"][0]
    assert nothing == 0 < only_first


def test_losses_are_those_of_the_generator(images, tmp_path):
    """Without anything random, the training is the same number for number."""
    losses = []
    for repair in (False, True):
        data = make_generator(*images, options={"rescale": 1 / 255}, shuffle=False, weight_col="weight")
        if repair:
            data = autofix(data, when="always", cache_dir=tmp_path, verbose=0)
        keras.utils.set_random_seed(1)
        history = make_model().fit(data, epochs=3, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


@pytest.mark.thorough
def test_mirrored_strategy_on_two_cpus(images, tmp_path):
    """Both ways of calling fit on two replicas; in a process of its own, because only a fresh one can split its CPU."""
    frame, folder = images
    frame.to_csv(tmp_path / "frame.csv", index=False)
    result = subprocess.run(
        [sys.executable, Path(__file__).with_name("mirrored_fit.py"), tmp_path / "frame.csv", folder, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "plain [3, 3, 3] [2, 2, 2]" in result.stdout
    assert "with steps [2, 2, 2] [1, 1, 1]" in result.stdout
