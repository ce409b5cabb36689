"""What fit feeds from a generator, as it is, and what it feeds from its replay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from keras_api import IS_KERAS_2, KERAS_VERSION, keras
from packaging.version import Version
from repair.generators import write_images
from repair.recording import make_numbered, make_recording_model, rows_of
from repair.replays import BATCHES, Data, directly, iterate, replay

pytestmark = pytest.mark.keras

EPOCHS = 3
# Keras 3.3 to 3.6 peek as Keras 3.15 does, but do not end the epoch that they began.
ENDS_THE_PEEK = Version("3.7") <= KERAS_VERSION
# Keras 3.3 looks at nothing under MirroredStrategy, Keras 3.6 and 3.15 begin an iteration.
PEEKS_WHEN_MIRRORED = Version("3.6") <= KERAS_VERSION


def peek(generator):
    """Do to a generator what fit does before it trains."""
    generator[0]
    if not IS_KERAS_2:
        generator[1]
    if ENDS_THE_PEEK:
        generator.on_epoch_end()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    return Data(write_images(place / "files"), place / "files", (), place / "cache")


@pytest.fixture
def make(data):
    """A new generator over the same rows, always in the same state of NumPy's global stream."""

    def call(**arguments):
        keras.utils.set_random_seed(3)
        return make_numbered(data.frame, data.folder, **arguments)

    return call


def fed_by_fit(generator, **arguments):
    """Rows in the order in which fit fed them; without steps_per_epoch, which empties epochs of Keras 3.3 to 3.6."""
    model = make_recording_model()
    model.fit(generator, epochs=EPOCHS, verbose=0, **arguments)
    return model.fed


def replayed_after(generator, data):
    """Rows of the replay of a generator from its present state."""
    dataset = replay(generator, data)
    return [row for _ in range(EPOCHS) for row in rows_of(iterate(dataset))]


@pytest.mark.parametrize("rows_shuffled", [True, False])
def test_fit_without_shuffling_of_batches_feeds_the_replay_of_a_peeked_generator(make, data, rows_shuffled):
    """With one worker, steps = len and without validation: batch for batch, from after the peeks of this Keras."""
    fed = fed_by_fit(make(shuffle=rows_shuffled), shuffle=False)
    peeked, fresh = make(shuffle=rows_shuffled), make(shuffle=rows_shuffled)
    peek(peeked)
    assert len(fed) == EPOCHS * 24
    assert fed == replayed_after(peeked, data)
    assert fed != replayed_after(fresh, data)


def test_fit_by_default_shuffles_the_batches_too(make, data):
    """So what it feeds by default is nothing that iterating gives, and no replay equals it."""
    fed = fed_by_fit(make())
    peeked = make()
    peek(peeked)
    assert fed != replayed_after(peeked, data)
    assert fed != replayed_after(make(), data)


def test_seeded_validation_data_moves_the_orders_on_keras_2(make, data):
    """There the validation seeds NumPy's stream between two epochs, and the next order is drawn from that."""
    validation = make(shuffle=False, seed=8)
    fed = fed_by_fit(make(), shuffle=False, validation_data=validation)
    peeked = make()
    peek(peeked)
    wanted = replayed_after(peeked, data)
    assert fed[:24] == wanted[:24]
    assert (fed == wanted) == (not IS_KERAS_2)


@pytest.mark.parametrize("arguments", [{}, {"shuffle": False}], ids=["default", "shuffle=False"])
def test_fit_on_the_replay_feeds_the_generators_own_epochs(make, data, arguments):
    """No peek, no shuffling of batches: training epoch n is epoch n, whatever the validation data; a second fit goes on."""
    dataset = replay(make(), data)
    validation = replay(make(shuffle=False, seed=8), data)
    model = make_recording_model()
    model.fit(dataset, epochs=2, validation_data=validation, verbose=0, **arguments)
    model.fit(dataset, epochs=1, verbose=0, **arguments)
    assert len(dataset) == BATCHES
    assert model.fed == [row for epoch in directly(make(), 3) for row in rows_of(epoch)]


def test_a_resumed_fit(make, data):
    """set_epoch(n) and initial_epoch=n feed what the whole training would have fed from there."""
    dataset = replay(make(), data)
    dataset.set_epoch(2)
    model = make_recording_model()
    model.fit(dataset, initial_epoch=2, epochs=4, verbose=0)
    assert model.fed == [row for epoch in directly(make(), 4)[2:] for row in rows_of(epoch)]


@pytest.mark.thorough
def test_mirrored_strategy(make, data, tmp_path):
    """Keras 3.6 and newer peek one iteration there, so training begins with epoch 1; set_epoch in on_train_begin begins with 0."""
    data.frame.to_csv(tmp_path / "frame.csv", index=False)
    script = Path(__file__).with_name("mirrored_feed.py")
    result = subprocess.run(
        [sys.executable, script, tmp_path / "frame.csv", data.folder, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    told = dict(line.split(": ") for line in result.stdout.splitlines() if ": " in line)
    assert told["replay"] == ("1 2 3" if PEEKS_WHEN_MIRRORED else "0 1 2")
    assert told["replay, set_epoch in on_train_begin"] == "0 1 2"
    assert told["exact, rows that came twice"] == "0"
