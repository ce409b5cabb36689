"""Run by test_replay_fit in a process of its own: only a fresh one can split its CPU in two."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from keras_api import keras, tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import pandas as pd
from repair.recording import epochs_of, make_numbered, make_recording_model, rows_of
from repair.replays import directly

from kerasdiag import autofix

frame, folder, cache = pd.read_csv(sys.argv[1]), sys.argv[2], sys.argv[3]


def fed(mode, begin_with_epoch_0=False):
    """The rows of each of three epochs."""
    # Even batches: Keras 3 adds up the parts of the first batch, on whatever input, and they must be equal.
    generator = make_numbered(frame, folder, batch_size=6)
    dataset = autofix(generator, when="always", cache_dir=cache, mode=mode, verbose=0)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = make_recording_model()
    callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: dataset.set_epoch(0))
    model.fit(dataset, epochs=3, callbacks=[callback] if begin_with_epoch_0 else [], verbose=0)
    return epochs_of(model.fed)


wanted = [epochs_of(rows_of(epoch))[0] for epoch in directly(make_numbered(frame, folder, batch_size=6), 5)]
print("replay:", *(wanted.index(epoch) for epoch in fed("replay")))
print("replay, set_epoch in on_train_begin:", *(wanted.index(epoch) for epoch in fed("replay", True)))
rows = [row for epoch in fed("exact") for row in epoch]
print("exact, rows that came twice:", len(rows) - len(set(rows)))
