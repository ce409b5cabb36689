"""For each rule a small training script with its fault, as people write them; and where the fault stands."""

from __future__ import annotations

from typing import NamedTuple

HEAD = "import tensorflow as tf\nfrom tensorflow import keras\n"
GENERATOR = HEAD + (
    "from tensorflow.keras.preprocessing.image import ImageDataGenerator as IDG\n"
    "BATCH = 32\n"
    "model = keras.Sequential([keras.layers.Flatten()])\n"
    "train = IDG(rotation_range=20).flow_from_directory('photos', target_size=(224, 224), batch_size=BATCH)\n"
)
PIPELINE = HEAD + (
    "model = keras.Sequential([keras.layers.Flatten()])\n"
    "def load(path, label):\n"
    "    image = tf.io.decode_jpeg(tf.io.read_file(path))\n"
    "    return tf.image.resize(image, (224, 224)), label\n"
    "def augment(image, label):\n"
    "    return tf.image.random_flip_left_right(image), label\n"
    "ds = tf.data.Dataset.from_tensor_slices((paths, labels))\n"
)
PARALLEL = "num_parallel_calls=tf.data.AUTOTUNE"
# A model that divides by 255 itself, and a pipeline of decoded images before it.
EFFICIENT = HEAD + (
    "def decode(path):\n"
    "    return tf.io.decode_jpeg(tf.io.read_file(path))\n"
    "paths = tf.data.Dataset.list_files('*.jpg')\n"
    "model = keras.applications.EfficientNetB0()\n"
)


class Case(NamedTuple):
    """A script, where the finding stands (line, column), how severe it is, and the corrected lines."""

    source: str
    place: tuple[int, int]
    severity: str
    code: tuple[str, ...] = ()
    keras: str = "3.15.1"
    tensorflow: str = "2.21.0"


EXAMPLES = {
    "KD700": Case("import keras\nprint 'epoch'\n", (2, 1), "warn"),
    "KD701": Case(GENERATOR + "model.fit(train, workers=4)\n", (7, 7), "error", ("train.workers = 4", "model.fit(train)")),
    "KD703": Case(
        GENERATOR + "model.fit(train, workers=4, use_multiprocessing=True)\n",
        (7, 29), "error", ("model.fit(train, workers=4)",), "2.15.0", "2.15.1",
    ),
    "KD704": Case(
        GENERATOR + "model.fit(train)\n",
        (7, 7), "info",
        (
            "from kerasdiag import BottleneckProfiler, autofix",
            "profiler = BottleneckProfiler()",
            "train = autofix(train, profiler)",
            "model.fit(train, callbacks=[profiler])",
        ),
    ),
    "KD705": Case(
        PIPELINE + "ds = ds.map(load).batch(32)\n", (10, 9), "warn", (f"ds = ds.map(load, {PARALLEL}).batch(32)",)
    ),
    "KD706": Case(
        PIPELINE + "ds = ds.map(load, num_parallel_calls=4).batch(32)\nmodel.fit(ds)\n",
        (11, 7), "warn", ("ds = ds.prefetch(tf.data.AUTOTUNE)",), "2.10.0", "2.10.0",
    ),
    "KD707": Case(PIPELINE + f"ds = ds.map(augment, {PARALLEL}).cache().batch(32)\n", (10, 59), "error"),
    "KD708": Case(PIPELINE + f"ds = ds.map(load, {PARALLEL}).shuffle(50_000).batch(32)\n", (10, 56), "warn"),
    "KD709": Case(
        PIPELINE + f"ds = ds.map(lambda p, l: tf.py_function(f, [p], [tf.float32]), {PARALLEL})\n", (10, 29), "warn"
    ),
    "KD710": Case(
        PIPELINE + "ds = ds.map(load, num_parallel_calls=16)\n", (10, 19), "info", (f"ds = ds.map(load, {PARALLEL})",)
    ),
    "KD711": Case(
        GENERATOR + "model.compile('sgd', 'mse', run_eagerly=True)\n", (7, 29), "warn", ("model.compile('sgd', 'mse')",)
    ),
    "KD712": Case(
        HEAD + "import glob\nds = tf.data.TFRecordDataset(sorted(glob.glob('*.tfrecord')))\n",
        (4, 14), "info",
        ("ds = tf.data.TFRecordDataset(sorted(glob.glob('*.tfrecord')), num_parallel_reads=tf.data.AUTOTUNE)",),
    ),
    "KD713": Case(
        GENERATOR + "val = IDG().flow_from_directory('v', save_to_dir='seen')\nmodel.fit(val)\n",
        (7, 38), "warn", ("val = IDG().flow_from_directory('v')",),
    ),
    "KD714": Case(
        GENERATOR + "board = keras.callbacks.TensorBoard('logs', update_freq='batch')\n",
        (7, 45), "warn", ("board = keras.callbacks.TensorBoard('logs')",),
    ),
    "KD715": Case(
        GENERATOR + "train = IDG(rescale=1.0 / 255).flow_from_directory('photos')\n"
        "model = keras.applications.EfficientNetB0(include_top=False)\nmodel.fit(train)\n",
        (7, 13), "error", ("train = IDG().flow_from_directory('photos')",),
    ),
    "KD716": Case(
        GENERATOR + "model.fit(train, steps_per_epoch=train.samples // BATCH, epochs=9)\n",
        (7, 18), "warn", ("model.fit(train, epochs=9)",),
    ),
}  # fmt: skip
