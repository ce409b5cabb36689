"""Run by test_fit in a process of its own: only a fresh one can split its CPU in two."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from keras_api import tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

import pandas as pd
from repair.generators import make_generator
from repair.test_fit import EMPTIES_EPOCHS, Counter, make_model

from kerasdiag import autofix

frame, folder, cache = pd.read_csv(sys.argv[1]), sys.argv[2], sys.argv[3]
# Even batches: Keras 3 adds up the parts of the first batch, on whatever input, and they must be equal.
for name, steps, validation_steps in (("plain", None, None), ("with steps", 2, 1)):
    training, validation = (
        autofix(
            make_generator(frame, folder, options={"validation_split": 0.25}, subset=subset, batch_size=size),
            when="always",
            cache_dir=cache,
            steps_per_epoch=count,
            verbose=0,
        )
        for subset, size, count in (("training", 6, steps), ("validation", 4, validation_steps))
    )
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = make_model()
    counter = Counter()
    arguments = {} if EMPTIES_EPOCHS else {"steps_per_epoch": steps, "validation_steps": validation_steps}
    model.fit(training, epochs=3, validation_data=validation, callbacks=[counter], verbose=0, **arguments)
    print(name, counter.trained, counter.validated)
