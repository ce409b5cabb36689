"""Run by test_nothing_changed in a process of its own: only a fresh one can split its CPU in two."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from keras_api import tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

from trainings import are_equal, train

from kerasdiag import BottleneckProfiler


def mirrored(callbacks):
    """Train on two replicas."""
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        return train("tf-data", callbacks, dropout=False)


plain = mirrored([])
if not are_equal(plain, mirrored([])):
    sys.exit("two plain runs differ: this case proves nothing")
profiler = BottleneckProfiler(report=None)
measured = mirrored([profiler])
print("equal" if are_equal(plain, measured) else "DIFFERENT", profiler.profile.steps.num_steps, profiler.profile.method)
