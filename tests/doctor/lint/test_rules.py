"""Where the rules fire and where they are silent: aliases, other libraries, the other Keras, the other order."""

from __future__ import annotations

import sys

import pytest
from builders import make_data, make_environment, make_packages, make_profile, make_scripts
from doctor.lint.scripts import EFFICIENT, EXAMPLES, GENERATOR, HEAD, PARALLEL, PIPELINE

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.lint.rules import RULES
from kerasdiag.doctor.selection import find_check

KERAS_2 = make_packages(tensorflow="2.10.0", keras="2.10.0")
NO_KERAS = make_packages(numpy="2.0")
FIT = "model.fit(train"
SEQUENCE = HEAD + (
    "import numpy as np\n"
    "class Rows(keras.utils.Sequence):\n"
    "    def __getitem__(self, row):\n"
    "        return self.draw(row)\n"
    "    def draw(self, row):\n"
    "        return {}\n"
    "model = keras.Sequential([])\n"
    "data = Rows()\n"
    "model.fit(data, use_multiprocessing=True)\n"
)


def look(code, source, **facts):
    """Findings of one check in one script."""
    return find_check(CHECKS, code).examine(make_environment(scripts=make_scripts(source), **facts)).findings


FIRES = [
    ("KD701", HEAD + "def go(model, data):\n    model.fit(data, max_queue_size=20)\n"),
    ("KD701", "import keras\nm = keras.Model(i, o)\nm.evaluate(x, use_multiprocessing=False)\n"),
    ("KD701", "from keras.models import Sequential as S\nm = S()\nm.fit_generator(g, 10)\n"),
    ("KD701", HEAD + "from nets import build\nmodel = build()\nmodel.predict(x, workers=2)\n"),
    ("KD701", HEAD + "class Net(keras.Model):\n    def go(self):\n        self.fit(x, workers=2)\n"),
    ("KD702", GENERATOR + FIT + ")\n"),
    ("KD702", GENERATOR + "other = IDG().flow_from_directory('v')\nother.workers = 4\n" + FIT + ")\n"),
    ("KD703", GENERATOR + "train.use_multiprocessing = True\n"),
    ("KD704", "from keras.preprocessing.image import *\nmodel = build()\nmodel.fit(ImageDataGenerator().flow_from_directory('a'))\n"),
    ("KD704", HEAD + "gen = keras.preprocessing.image.ImageDataGenerator()\nit = gen.flow_from_dataframe(frame)\nmodel.fit_generator(generator=it)\n"),
    ("KD704", HEAD + "def data(gen):\n    return gen.flow_from_directory('a')\nm = keras.Model()\nm.fit(x=data(make()))\n"),
    ("KD705", PIPELINE + "ds = ds.shuffle(9)\nds = ds.batch(8)\nds = ds.map(augment)\n"),
    ("KD705", PIPELINE + "def prepare(ds, training):\n    if training:\n        ds = ds.shuffle(9)\n    return ds.map(load)\nprepare(ds, True)\n"),
    ("KD705", "from tensorflow import data as d, io\nds = d.Dataset.list_files('*.png').map(lambda f: io.read_file(f))\n"),
    ("KD705", HEAD + "ds = tf.data.Dataset.list_files('a*').interleave(lambda f: tf.data.TFRecordDataset(f))\n"),
    ("KD707", PIPELINE + "ds = ds.map(lambda x, y: (tf.image.random_crop(x, s), y)).batch(2).cache('file')\n"),
    ("KD707", PIPELINE + "aug = keras.Sequential([keras.layers.RandomFlip()])\nds = ds.map(lambda x, y: (aug(x), y)).cache()\n"),
    ("KD707", PIPELINE + "ds = ds.repeat().cache()\n"),
    ("KD707", PIPELINE + "ds = ds.shuffle(100).cache().batch(3)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "ds = ds.batch(32).shuffle(10)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "ds = ds.shuffle(32).batch(32)\nmodel.fit(ds)\n"),
    ("KD709", PIPELINE + "def f(p, l):\n    return tf.numpy_function(g, [p], tf.float32), l\nds = ds.map(f)\n"),
    ("KD709", HEAD + "ds = tf.data.Dataset.from_generator(g, tf.float32).batch(3)\nmodel.fit(ds)\n"),
    ("KD710", PIPELINE + "ds.map(load, num_parallel_calls=9)\n"),
    ("KD711", "import tensorflow as tf\ntf.config.run_functions_eagerly(True)\n"),
    ("KD711", "import tensorflow as tf\ntf.config.experimental.enable_op_determinism()\n"),
    ("KD712", HEAD + "tf.data.TFRecordDataset(['a', 'b'])\n"),
    ("KD714", HEAD + "class C(keras.callbacks.Callback):\n    def on_train_batch_end(self, batch, logs=None):\n        self.model.evaluate(x)\n"),
    ("KD714", PIPELINE + "for epoch in range(9):\n    x = next(iter(ds))\n"),
    ("KD715", PIPELINE + "net = keras.applications.MobileNetV3Small()\nds = ds.map(lambda x, y: (x / 255., y))\nnet.fit(ds)\n"),
    ("KD715", PIPELINE + "net = keras.applications.ConvNeXtTiny()\nr = keras.layers.Rescaling(1 / 255)\nds = ds.map(lambda x, y: (r(x), y))\nnet.fit(ds)\n"),
    ("KD716", GENERATOR + "steps = train.n // train.batch_size\nmodel.fit(train, steps_per_epoch=steps, epochs=9)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=int(2000 / BATCH), epochs=epochs)\n"),
    # Names, functions and objects of the script.
    ("KD701", "import keras.api._v2.keras as keras\nm = keras.Sequential()\nm.fit(x, workers=2)\n"),
    ("KD701", HEAD + "def a():\n    def b():\n        def c():\n            keras.Model().fit(x, workers=2)\n"),
    ("KD701", HEAD + "class Net(keras.Model):\n    def fit(self, x, workers=1):\n        return super().fit(x, workers=workers)\n"),
    ("KD701", HEAD + "class T:\n    def __init__(self):\n        self.m = keras.Model()\n    def run(self):\n        self.m.fit(x, workers=2)\nT().run()\n"),
    ("KD701", "import os\nos.environ['TF_USE_LEGACY_KERAS'] = '0'\n" + EXAMPLES["KD701"].source),
    ("KD701", "# TF_USE_LEGACY_KERAS is not needed\n" + EXAMPLES["KD701"].source),
    ("KD701", "import os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\nimport keras\nkeras.Model().fit(x, workers=4)\n"),
    ("KD701", GENERATOR + "from lib import Trainer\nTrainer().fit(train, workers=4)\n"),
    ("KD702", GENERATOR + "for it in (train, IDG().flow_from_directory('v')):\n    it.shuffle = True\n" + FIT + ")\n"),
    ("KD704", HEAD + "gen = keras.preprocessing.image.ImageDataGenerator()\nclass T:\n    def __init__(self):\n        self.data = gen.flow_from_directory('a')\n    def run(self):\n        keras.Model().fit(self.data)\nT().run()\n"),
    ("KD705", HEAD + "from functools import partial\ndef load(path, size):\n    return tf.image.resize(path, size)\nds = tf.data.Dataset.list_files('*').map(partial(load, size=(9, 9)))\n"),
    ("KD705", "import tensorflow.compat.v2 as tf2\nds = tf2.data.Dataset.list_files('*.png').map(lambda f: tf2.io.read_file(f))\n"),
    ("KD705", PIPELINE + "aug = keras.Sequential([keras.layers.RandomFlip()])\nds.map(lambda x, y: (aug(x, training=True), y))\n"),
    ("KD705", PIPELINE + "class P:\n    @staticmethod\n    def finish(ds, n):\n        return ds.map(load)\n    def go(self):\n        return self.finish(ds, 3)\nP().go()\n"),
    ("KD705", PIPELINE + "class P:\n    @classmethod\n    def finish(cls, ds):\n        return ds.map(load)\nP.finish(ds)\n"),
    ("KD708", PIPELINE + "class P:\n    @property\n    def train(self):\n        return ds.batch(3).shuffle(9)\nmodel.fit(P().train)\n"),
    ("KD708", PIPELINE + "class P:\n    batch = 32\nds = ds.shuffle(16).batch(P.batch)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "def main(batch=32, buffer=16):\n    model.fit(ds.shuffle(buffer).batch(batch))\nmain()\n"),
    ("KD708", PIPELINE + "data = None\ndef build():\n    global data\n    data = ds.batch(3).shuffle(9)\nbuild()\nmodel.fit(data)\n"),
    ("KD701", HEAD + "models = []\nfill(models)\nfor m in models:\n    m.fit(x, workers=3)\n"),
    ("KD708", PIPELINE + "from dataclasses import dataclass\n@dataclass\nclass C:\n    buffer: int = 16\nmodel.fit(ds.shuffle(C().buffer).batch(32))\n"),
    # Augmentation before cache.
    ("KD707", PIPELINE + "aug = keras.Sequential()\naug.add(keras.layers.RandomFlip())\nds = ds.map(lambda x, y: (aug(x), y)).cache()\n"),
    ("KD707", PIPELINE + "ds = tf.data.Dataset.zip((ds.map(augment), ds)).cache()\n"),
    ("KD707", PIPELINE + "ds = ds.repeat(None).cache()\n"),
    ("KD707", PIPELINE + "ds = ds.repeat(count=-1).cache()\n"),
    ("KD707", PIPELINE + "ds = ds.repeat(count=None).cache()\n"),
    ("KD707", PIPELINE + "def process(x, y, augmented):\n    if not augmented:\n        return x, y\n    return augment(x, y)\nds = ds.map(lambda x, y: process(x, y, True)).cache()\n"),
    # What draws, what is on, what works at each batch.
    ("KD703", "import keras, numpy as np\nclass Rows(keras.utils.PyDataset):\n    def __init__(self):\n        super().__init__(workers=4, use_multiprocessing=True)\n    def __getitem__(self, row):\n        return np.random.rand(3)\n"),
    ("KD703", GENERATOR + "import numpy as np\ndef noise(image):\n    return image + np.random.rand()\nit = IDG(preprocessing_function=noise).flow_from_directory('a')\nit.use_multiprocessing = True\n"),
    ("KD711", "import tensorflow as tf\nDEBUG = True\nif DEBUG:\n    tf.config.run_functions_eagerly(run_eagerly=True)\n"),
    ("KD711", HEAD + "def main():\n    keras.Model().compile(run_eagerly=True)\nif __name__ == '__main__':\n    main()\n"),
    ("KD714", HEAD + "class C(keras.callbacks.Callback):\n    def on_batch_end(self, batch, logs=None):\n        self.look(batch)\n    def look(self, batch):\n        self.model.predict(batch)\n"),
    # Images that are divided before a model that does so itself.
    ("KD715", EFFICIENT + "def load(path):\n    image = decode(path)\n    image /= 255.0\n    return image, 1\nmodel.fit(paths.map(load))\n"),
    ("KD715", EFFICIENT + "def norm(image):\n    return tf.cast(image, tf.float32) / 255\nmodel.fit(paths.map(lambda p: (norm(decode(p)), 1)))\n"),
    ("KD715", EFFICIENT + "model.fit(paths.map(lambda p: tf.image.convert_image_dtype(decode(p), tf.float32)))\n"),
    ("KD715", EFFICIENT + "model.fit(paths.map(decode).map(lambda image: image / 127.5 - 1).batch(8))\n"),
    ("KD715", EFFICIENT + "def load(path):\n    image = decode(path) / 255\n    if flip:\n        image = tf.image.flip_left_right(image)\n    return image\nmodel.fit(paths.map(load))\n"),
    ("KD715", EFFICIENT + "model.fit(x.astype('float32') / 255, y)\n"),
    ("KD715", EFFICIENT + "inputs = keras.Input((9, 9, 3))\nx = keras.layers.Rescaling(1 / 255)(inputs)\nnet = keras.Model(inputs, keras.layers.Dense(3)(model(x)))\nnet.fit(ds)\n"),
    ("KD715", EFFICIENT + "net = keras.Sequential([keras.layers.Rescaling(1 / 255), model, keras.layers.Dense(3)])\nnet.fit(ds)\n"),
    ("KD715", EFFICIENT + "net = keras.Sequential()\nnet.add(keras.layers.Rescaling(1 / 255))\nnet.add(model)\nnet.fit(ds)\n"),
    ("KD715", EFFICIENT + "def head(x):\n    return keras.layers.Dense(3)(keras.layers.Flatten()(x))\nnet = keras.Model(model.input, head(model.output))\nnet.fit(x / 255.0, y)\n"),
    ("KD715", EFFICIENT + "def load(path, label=None):\n    image = decode(path) / 255.0\n    if label is None:\n        return image\n    return image, label\nmodel.fit(tf.data.Dataset.from_tensor_slices((names, labels)).map(load).map(lambda x, y: (tf.image.flip_up_down(x), y)))\n"),
    ("KD715", EFFICIENT + "def load(path, label=None):\n    image = decode(path) / 255.0\n    return image if label is None else (image, label)\nmodel.fit(tf.data.Dataset.from_tensor_slices(slices).map(load))\n"),
    ("KD715", EFFICIENT + "i = keras.Input()\nnet = keras.Model(i, model(keras.applications.efficientnet.preprocess_input(i)))\nnet.fit(x / 255, y)\n"),
    ("KD715", EFFICIENT + "model.fit(x, y, validation_data=(held_out / 255, labels))\n"),
    ("KD715", GENERATOR + "model = keras.applications.EfficientNetB0()\nmodel.fit(IDG().flow(x / 255, y))\n"),
    ("KD715", GENERATOR + "class G(IDG):\n    pass\nmodel = keras.applications.EfficientNetB0()\nmodel.fit(G(rescale=1 / 255).flow_from_directory('a'))\n"),
    # Steps.
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=train.samples / BATCH)\n"),
    ("KD716", GENERATOR + "import numpy as np\nmodel.fit(train, steps_per_epoch=np.ceil(train.n / 32))\n"),
    ("KD716", HEAD + "keras.Model().evaluate(x, steps=800 / 32)\n"),
    ("KD716", GENERATOR + "n = 0\nfor root, folders, files in os.walk('a'):\n    n += len(files)\nmodel.fit(train, steps_per_epoch=n // BATCH, epochs=9)\n"),
    ("KD716", GENERATOR + "n = len(frame) - held_out\nmodel.fit(train, steps_per_epoch=n // BATCH, epochs=9)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=int(0.8 * 2020) // BATCH, epochs=3)\n"),
]  # fmt: skip

SILENT = [
    ("KD701", HEAD + "from torch.utils.data import DataLoader\nDataLoader(data, workers=4)\n"),
    ("KD701", HEAD + "class Own:\n    def fit(self, x, workers):\n        pass\nOwn().fit(x, workers=3)\n"),
    ("KD701", HEAD + "from sklearn.svm import SVC\nSVC().fit(x, workers=3)\n"),
    ("KD701", "def fit(x, workers):\n    pass\nimport keras\nfit(x, workers=2)\n"),
    ("KD701", "model.fit(x, workers=4)  # keras\n"),
    ("KD701", "import tf_keras\nm = tf_keras.Model()\nm.fit(x, workers=4)\n"),
    ("KD701", "import os\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\n" + EXAMPLES["KD701"].source),
    ("KD702", GENERATOR + "train.workers = 4\n" + FIT + ")\n"),
    ("KD702", GENERATOR + "settings = {}\nmodel.fit(train, **settings)\n"),
    ("KD702", HEAD + "model.fit(x, y)\n"),
    ("KD703", GENERATOR + "train.use_multiprocessing = False\n"),
    ("KD704", GENERATOR),
    ("KD704", HEAD + "model.fit(river.flow(x))\n"),
    ("KD705", PIPELINE + f"ds.map(load, {PARALLEL})\nds.map(load, 4)\n"),
    ("KD705", PIPELINE + "ds.map(lambda x, y: y)\nds.map(lambda x, y: (tf.cast(x, tf.float32) / 255, y))\n"),
    ("KD705", PIPELINE + "settings = {}\nds.map(load, **settings)\n"),
    ("KD705", "import pandas\nimport keras\nframe = pandas.read_csv('a')\nframe.map(load)\nmap(load, x)\n"),
    ("KD707", PIPELINE + "ds = ds.map(load).cache().map(augment).shuffle(100).repeat()\nmodel.fit(ds)\n"),
    ("KD707", PIPELINE + "ds = ds.shuffle(100).cache().shuffle(100)\nmodel.fit(ds)\n"),
    ("KD707", PIPELINE + "ds = ds.repeat(2).cache()\n"),
    ("KD707", PIPELINE + "model.fit(train, validation_data=ds.shuffle(10).cache())\n"),
    ("KD708", PIPELINE + "ds = ds.shuffle(1000).batch(32).shuffle(10)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "ds = ds.shuffle(33).batch(32)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "ds = ds.batch(32).unbatch().shuffle(1000).batch(8)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "ds = ds.shuffle(50_000).map(load)\n"),
    ("KD708", PIPELINE + "ds = ds.map(load).shuffle(len(paths))\n"),
    ("KD709", PIPELINE + "tf.py_function(f, [1], tf.float32)\n"),
    ("KD710", PIPELINE + "ds.map(load, num_parallel_calls=8)\n"),
    ("KD711", "import tensorflow as tf\ntf.config.run_functions_eagerly(False)\nmodel.compile(run_eagerly=False)\n"),
    ("KD712", HEAD + "tf.data.TFRecordDataset('one')\ntf.data.TFRecordDataset(['a', 'b'], num_parallel_reads=4)\n"),
    ("KD713", GENERATOR + "show = IDG().flow_from_directory('v', save_to_dir='seen')\nnext(show)\n"),
    ("KD714", HEAD + "class C(keras.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs=None):\n        self.model.evaluate(x)\n"),
    ("KD714", HEAD + "class C(keras.callbacks.Callback):\n    def on_batch_end(self, batch, logs=None):\n        if batch % 100 == 0:\n            self.model.save('m')\n"),
    ("KD714", HEAD + "keras.callbacks.TensorBoard('logs', update_freq='epoch')\n"),
    ("KD715", EXAMPLES["KD715"].source.replace("EfficientNetB0", "ResNet50")),
    ("KD715", EXAMPLES["KD715"].source.replace("B0(include_top=False)", "B0() if small else keras.applications.ResNet50()")),
    ("KD715", EXAMPLES["KD715"].source.replace("EfficientNetB0(include_top", "MobileNetV3Large(include_preprocessing")),
    ("KD715", EXAMPLES["KD715"].source.replace("keras.applications.", "efficientnet.tfkeras.")),
    ("KD715", EXAMPLES["KD715"].source.replace("rescale=1.0 / 255", "rescale=None")),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=len(train))\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=3200 // BATCH)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=2001 // BATCH, epochs=1)\n"),
    ("KD716", HEAD + "model.fit(x, y, steps_per_epoch=2001 // 32)\n"),
    # Names, functions and objects of the script.
    ("KD701", HEAD + "class Net(keras.Model):\n    def fit(self, x, workers=4, **kw):\n        return super().fit(x, **kw)\nNet().fit(x, workers=8)\n"),
    ("KD701", HEAD + "class Net(keras.Model):\n    def predict(self, x, workers=1):\n        return [super(Net, self).predict(p) for p in x]\nNet().predict(x, workers=3)\n"),
    ("KD701", "%env TF_USE_LEGACY_KERAS=1\n" + EXAMPLES["KD701"].source),
    ("KD701", "import os\nos.environ.setdefault('TF_USE_LEGACY_KERAS', 'True')\n" + EXAMPLES["KD701"].source),
    ("KD701", HEAD + "raise SystemExit\nkeras.Model().fit(x, workers=2)\n"),
    ("KD702", GENERATOR + "for it in (train, IDG().flow_from_directory('v')):\n    it.workers = 4\n" + FIT + ")\n"),
    ("KD703", HEAD + "from mygen import VolumeGenerator\ntrain = VolumeGenerator(rotation_range=3).flow_from_directory('a')\ntrain.use_multiprocessing = True\n"),
    ("KD703", GENERATOR + "it = IDG(rescale=1 / 255, zoom_range=0.0, horizontal_flip=False).flow_from_directory('a')\nit.use_multiprocessing = True\n"),
    ("KD703", HEAD + "import numpy as np\nclass Rows(keras.utils.Sequence):\n    def __init__(self, augment):\n        self.augment = augment\n    def __getitem__(self, row):\n        if self.augment:\n            return np.random.rand(3)\ndata = Rows(False)\ndata.use_multiprocessing = True\n"),
    ("KD705", PIPELINE + "ds.map(lambda x, y: (tf.image.convert_image_dtype(x, tf.float32), y))\n"),
    ("KD708", PIPELINE + "ds = ds.batch(3).shuffle(9)\na, *ds = other\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "from dataclasses import dataclass\n@dataclass\nclass C:\n    buffer: int = 16\nmodel.fit(ds.shuffle(C(buffer=99).buffer).batch(32))\n"),
    ("KD708", PIPELINE + "class A:\n    shuffled = True\n    def __init__(self):\n        self.shuffled = False\n    def data(self):\n        return ds.batch(3).shuffle(9) if self.shuffled else ds\nclass B(A):\n    def __init__(self):\n        super().__init__()\nmodel.fit(B().data())\n"),
    ("KD708", PIPELINE + "def main():\n    alone = True\n    try:\n        connect()\n        alone = False\n    except OSError:\n        pass\n    model.fit(ds.batch(3).shuffle(9) if alone else ds)\nmain()\n"),
    # Augmentation before cache.
    ("KD707", PIPELINE + "def process(x, y, augmented):\n    if augmented:\n        x = tf.image.random_flip_left_right(x)\n    return x, y\ntrain = ds.map(lambda x, y: process(x, y, True))\nval = ds.map(lambda x, y: process(x, y, False)).cache()\n"),
    ("KD707", PIPELINE + "def process(x, y, augmented):\n    if not augmented:\n        return x, y\n    return augment(x, y)\nval = ds.map(lambda x, y: process(x, y, False)).cache()\n"),
    ("KD707", PIPELINE + "def make(ds, f):\n    return ds.map(lambda x, y: f(x, y))\nval = make(ds, load).cache()\ntrain = make(ds, augment)\n"),
    ("KD707", PIPELINE + "aug = keras.Sequential([keras.layers.RandomFlip()])\nds = ds.map(lambda x, y: (aug(x, training=False), y)).cache()\n"),
    ("KD707", PIPELINE + "ds = ds.shuffle(100, reshuffle_each_iteration=False).cache()\nmodel.fit(ds)\n"),
    ("KD707", PIPELINE + "ds = ds.repeat().take(1000).cache()\n"),
    ("KD707", PIPELINE + "ds = tf.data.Dataset.zip((ds, other.repeat())).cache()\n"),
    # Shuffling.
    ("KD708", PIPELINE + "ds = ds.batch(101).map(lambda x, y: x[1:]).shuffle(10_000).batch(64)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "ds = tf.data.Dataset.range(10).shuffle(10).batch(32)\nmodel.fit(ds)\n"),
    ("KD708", PIPELINE + "ds = ds.map(lambda x, y: tf.cast(load(x, y)[0], tf.uint8)).shuffle(50_000)\n"),
    ("KD708", PIPELINE + "ds = ds.map(lambda x, y: tf.image.random_crop(load(x, y)[0], (9, 9, 3))).shuffle(50_000)\n"),
    ("KD708", PIPELINE + "ds = ds.map(lambda x, y: tf.image.rgb_to_grayscale(load(x, y)[0])).shuffle(50_000)\n"),
    ("KD708", PIPELINE + "ds = ds.map(load).take(64).shuffle(50_000)\n"),
    ("KD708", PIPELINE + "ds = ds.shuffle(1e999).batch(3)\nmodel.fit(ds)\n"),
    # What is off, or decided elsewhere.
    ("KD711", "import tensorflow as tf\ntf.config.run_functions_eagerly(run_eagerly=False)\n"),
    ("KD711", "import tensorflow as tf\ntf.config.run_functions_eagerly(args.debug)\n"),
    ("KD711", HEAD + "if args.debug:\n    tf.config.run_functions_eagerly(True)\n    keras.Model().compile(run_eagerly=True)\n"),
    ("KD711", HEAD + "def debug():\n    tf.data.experimental.enable_debug_mode()\nif args.debug:\n    debug()\n"),
    ("KD711", "import tensorflow as tf\ntf.config.run_functions_eagerly(True)\nlook(model)\ntf.config.run_functions_eagerly(False)\n"),
    ("KD711", HEAD + "model = keras.Model()\nmodel.run_eagerly = True\nlook(model)\nmodel.run_eagerly = False\n"),
    ("KD713", GENERATOR + "val = IDG().flow_from_directory('v', save_to_dir=args.seen)\nmodel.fit(val)\n"),
    ("KD714", HEAD + "class C(keras.callbacks.Callback):\n    def on_batch_end(self, batch, logs=None):\n        if batch % 100:\n            return\n        self.model.save('m')\n"),
    ("KD714", HEAD + "class C(keras.callbacks.Callback):\n    def on_batch_end(self, batch, logs=None):\n        if not self.is_due(batch): return\n        self.model.save('m')\n"),
    # Images that are divided for something else.
    ("KD715", EFFICIENT + "def load(path, mask):\n    return decode(path), decode(mask) / 255.0\nmodel.fit(paths.map(load))\n"),
    ("KD715", EFFICIENT + "def load(path):\n    image = tf.image.adjust_gamma(decode(path) / 255.0, 0.8)\n    return image * 255.0\nmodel.fit(paths.map(load))\n"),
    ("KD715", EFFICIENT + "net = keras.Sequential([keras.layers.Flatten()])\nnet.fit(paths.map(lambda p: decode(p) / 255))\nmodel.fit(paths.map(decode))\n"),
    ("KD715", EFFICIENT + "net = keras.Model([model.input, other], head(model.output))\nnet.fit([x / 255, z], y)\n"),
    ("KD715", EFFICIENT + "net = keras.Model([model.input, other], head(model.output))\nnet.fit(paths.map(lambda p: ((decode(p), p / 255), 1)))\n"),
    ("KD715", EFFICIENT + "from nets import build\nbuild().fit(x / 255, y)\n"),
    ("KD715", EFFICIENT + "net = keras.Sequential([keras.layers.Rescaling(255), model])\nnet.fit(x / 255, y)\n"),
    ("KD715", EFFICIENT + "model.fit(paths.map(lambda p: tf.image.convert_image_dtype(tf.image.resize(decode(p), (9, 9)), tf.float32)))\n"),
    ("KD715", EFFICIENT + "def load(path):\n    return tf.image.convert_image_dtype(decode(path) / 255, tf.uint8)\nmodel.fit(paths.map(load))\n"),
    # Steps.
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=train.samples // BATCH)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=(train.samples + BATCH - 1) // BATCH, epochs=9)\n"),
    ("KD716", GENERATOR + "N = 2000\ntotal = N + BATCH - 1\nmodel.fit(train, steps_per_epoch=total // BATCH, epochs=9)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=len(train) // 2, epochs=9)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=train.samples // args.parts, epochs=9)\n"),
    ("KD716", GENERATOR + "n = int(0.8 * 2001)\nmodel.fit(train, steps_per_epoch=n // BATCH, epochs=9)\n"),
    ("KD716", GENERATOR + "import math\nmodel.fit(train, steps_per_epoch=math.ceil(train.n / BATCH), epochs=9)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=-(-train.n // BATCH), epochs=9)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "source"), FIRES)
def test_fires(code, source):
    """However it is imported, assigned, passed on or spread over functions."""
    findings = look(code, source)
    assert [finding.code for finding in findings] == [code]
    assert findings[0].message.endswith(".")


@pytest.mark.parametrize(("code", "source"), SILENT)
def test_is_silent(code, source):
    """Another library, another order, another meaning; or nobody can tell."""
    assert look(code, source) == ()


@pytest.mark.parametrize(
    ("code", "facts", "severity"),
    [
        ("KD701", {"packages": KERAS_2}, None),
        ("KD701", {"packages": NO_KERAS}, "info"),
        ("KD716", {"packages": KERAS_2}, None),
        ("KD716", {"packages": NO_KERAS}, None),
        ("KD702", {"packages": KERAS_2}, "info"),
        ("KD702", {"cores": 1}, None),
        ("KD705", {"cores": 1}, "info"),
        ("KD705", {"profile": make_profile(0.0, 0.1)}, "info"),
        ("KD705", {"profile": make_profile(0.08, 0.05)}, "warn"),
        ("KD704", {"profile": make_profile(0.08, 0.05)}, "warn"),
        ("KD710", {"cores": 16}, None),
        ("KD708", {"available_bytes": 40 * 10**9}, None),
        ("KD708", {"data": make_data(count=20_000)}, "error"),
        ("KD708", {"data": make_data(count=600)}, None),
        ("KD711", {"profile": make_profile(0.0, 0.1)}, "info"),
    ],
)
def test_the_facts_decide(code, facts, severity):
    """The same script on another machine, with another Keras, with a profile of its training."""
    source = {"KD702": GENERATOR + FIT + ")\n"}.get(code) or EXAMPLES[code].source
    assert [str(finding.severity) for finding in look(code, source, **facts)] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("draw", "fires"),
    [("np.random.rand(3)", True), ("np.random.default_rng(row).random(3)", False), ("row", False)],
)
def test_sequences_that_draw(draw, fires):
    """Only what comes from NumPy's global state is the same in every process."""
    assert bool(look("KD703", SEQUENCE.format(draw), packages=KERAS_2)) is fires


def test_a_cache_behind_a_switch_is_a_warning():
    """Nobody knows whether it is on."""
    source = (
        PIPELINE
        + "def go(cached):\n    data = ds.map(augment)\n    if cached:\n        data = data.cache()\n    return data\n"
    )
    (finding,) = look("KD707", source)
    assert str(finding.severity) == "warn"


def test_a_place_is_reported_once():
    """A function that is called for training and for validation has one line."""
    source = PIPELINE + "def prepare(ds):\n    return ds.map(load).batch(3)\na = prepare(ds)\nb = prepare(ds)\n"
    assert len(look("KD705", source)) == 1


def test_the_statement_counts_scripts():
    """So that nobody takes silence for an examination."""
    environment = make_environment(scripts=make_scripts(GENERATOR + FIT + ")\n", PIPELINE))
    assert find_check(CHECKS, "KD705").examine(environment).statement == "2 scripts read"


def test_a_long_call_shows_only_what_changes():
    """Of a call over many lines the lines that are new; where lines only go away there is none to show."""
    call = "model.fit(\n    train,\n" + "".join(f"    {name}={name},\n" for name in "abcdefg") + "    workers=4,\n)\n"
    (finding,) = look("KD701", GENERATOR + call)
    assert finding.remedy.code == ("train.workers = 4",)
    (finding,) = look(
        "KD701",
        HEAD
        + "def go(model):\n"
        + call.replace("\n", "\n    ").replace("    model", "    model", 1).replace("model.fit", "    model.fit", 1),
    )
    assert (finding.remedy.code, finding.remedy.text) == ((), "Call fit without it.")


def test_processes_are_not_passed_on_to_a_generator():
    """The corrected lines of one rule are no fault of another: all processes would draw the same augmentations."""
    arguments = ", workers=4, use_multiprocessing=True)\n"
    (finding,) = look("KD701", GENERATOR + FIT + arguments)
    assert finding.remedy.code == ("train.workers = 4", "model.fit(train)")
    corrected = GENERATOR + "\n".join(finding.remedy.code) + "\n"
    assert not [code for code in ("KD701", "KD702", "KD703") if look(code, corrected)]
    (finding,) = look(
        "KD701", SEQUENCE.replace("model.fit(data, use_multiprocessing=True)", "model.fit(data" + arguments)
    )
    assert finding.remedy.code == ("data.workers = 4", "data.use_multiprocessing = True", "model.fit(data)")


def test_a_branch_within_the_function_makes_a_note():
    """The script does not say whether anything is drawn."""
    source = "def process(x, y):\n    if args.augment:\n        x, y = augment(x, y)\n    return x, y\nds.map(process).cache()\n"
    (finding,) = look("KD707", PIPELINE + source)
    assert str(finding.severity) == "info"
    assert "one branch" in finding.evidence[-1].text


def test_a_branch_around_both_is_no_branch_between_them():
    """Where the training runs at all, it runs with the cache."""
    source = "def train():\n    return ds.map(augment).cache()\nif args.train:\n    train()\n"
    (finding,) = look("KD707", PIPELINE + source)
    assert str(finding.severity) == "error"


def test_a_match_is_followed():
    """Into each case, by a Python that knows it; an older one cannot read the script."""
    source = HEAD + (
        "model = keras.Model()\n"
        "match mode:\n"
        "    case 'train':\n"
        "        model.fit(x, workers=4)\n"
        "    case [_, *model]:\n"
        "        pass\n"
        "    case _:\n"
        "        keras.Model().evaluate(x, workers=4)\n"
    )
    is_known = sys.version_info >= (3, 10)
    assert [finding.location.line for finding in look("KD701", source)] == ([6, 10] if is_known else [])
    assert bool(look("KD700", source)) is not is_known


def test_datasets_that_are_zipped_are_no_branches():
    """All of them are there, always."""
    (finding,) = look("KD707", PIPELINE + "ds = tf.data.Dataset.zip((ds.map(augment), other)).cache()\n")
    assert str(finding.severity) == "error"


def test_a_class_from_elsewhere_makes_a_note():
    """A Trainer may be a Keras model or not; with an ImageDataGenerator it is one."""
    source = HEAD + "from lib.training import Trainer\nTrainer(config).fit(data, workers=4)\n"
    (finding,) = look("KD701", source)
    assert str(finding.severity) == "info"
    assert finding.message.endswith("if Trainer is a Keras model, the call is a TypeError.")
    (finding,) = look("KD701", GENERATOR + "from lib import Trainer\nTrainer().fit(train, workers=4)\n")
    assert str(finding.severity) == "error"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("EfficientNetB3", "divides them by 255 itself"),
        ("EfficientNetV2B0", "divides them by 255 itself"),
        ("EfficientNetV2S", "brings 0 to 255 to -1 to 1 itself"),
        ("MobileNetV3Small", "brings 0 to 255 to -1 to 1 itself"),
        ("ConvNeXtTiny", "normalizes 0 to 255 itself"),
        ("regnet.RegNetX002", "divides them by 255 itself"),
    ],
)
def test_what_a_model_does_itself(model, words):
    """Each family has another first layer."""
    (finding,) = look("KD715", EXAMPLES["KD715"].source.replace("EfficientNetB0", model))
    assert finding.message.endswith(f"{words}.")


def test_a_dataset_that_starts_anew():
    """A shuffled one gives other elements each time; what it costs is its buffer."""
    loop = "for epoch in range(9):\n    x = next(iter(ds))\n"
    messages = [look("KD714", PIPELINE + more + loop)[0].message for more in ("", "ds = ds.shuffle(1000)\n")]
    assert ["beginning" in message for message in messages] == [True, False]
    assert "shuffle buffer" in messages[1]


def test_images_of_one_channel_are_counted_so():
    """The size of a buffer is that of what the decoder was asked for."""
    source = EFFICIENT + (
        "def load(path):\n"
        "    image = tf.io.decode_png(tf.io.read_file(path), channels=1)\n"
        "    return tf.cast(tf.image.resize(image, (224, 224)), tf.float32)\n"
        "ds = paths.map(load).shuffle(100_000)\n"
    )
    (finding,) = look("KD708", source)
    assert finding.numbers["num_bytes"] == 100_000 * 224 * 224 * 4


def test_a_fault_of_ours_costs_only_one_script(monkeypatch):
    """The findings of the others stay; the statement names the script and what happened."""
    from kerasdiag.doctor.lint.rules import fit_arguments

    real = fit_arguments.for_keras_3

    def broken(script, call, *rest):
        if script.path == "train.py":
            raise OverflowError("of this script")
        return real(script, call, *rest)

    monkeypatch.setattr(fit_arguments, "for_keras_3", broken)
    examine = find_check(CHECKS, "KD701").examine
    source = EXAMPLES["KD701"].source
    answer = examine(make_environment(scripts=make_scripts(source, source)))
    assert [finding.location.file for finding in answer.findings] == ["1_train.py"]
    assert answer.statement == "2 scripts read; train.py: OverflowError: of this script"
    answer = examine(make_environment(scripts=make_scripts(source)))
    assert (str(answer.status), answer.statement) == ("unknown", "train.py: OverflowError: of this script")


def test_what_is_nested_too_deeply_is_named():
    """Beside the findings of other scripts too, and once by the rule for what was not read."""
    deep = HEAD + "x = " + "f(" * 80 + ")" * 80 + "\nds = tf.data.Dataset.range(9)" + ".skip(1)" * 900 + "\n"
    environment = make_environment(scripts=make_scripts(deep, EXAMPLES["KD701"].source))
    answer = find_check(CHECKS, "KD701").examine(environment)
    assert len(answer.findings) == 1
    assert answer.statement.endswith("train.py: nested too deeply to follow")
    (finding,) = find_check(CHECKS, "KD700").examine(environment).findings
    assert finding.message == "train.py was not followed to its end: nested too deeply to follow."


@pytest.mark.parametrize(
    "source",
    [
        "x = 5.0\n" + "x = x / x\n" * 40 + "x = x + 1\n",
        "n = 2000\n" + "n = n / 2\n" * 3000,
        "n = m\n" + "n = (n - 1) / 2\n" * 3000,
        "if c:\n    a = (1,)\n" + "    a = (a, a)\n" * 40 + "else:\n    a = (1,)\n" + "    a = (a, a)\n" * 40,
        "ds = tf.data.Dataset.list_files('a')\n" + "ds = ds.map(lambda x: tf.io.read_file(x))\n" * 300,
        "def f0():\n    pass\n" + "".join(f"def f{n}():\n" + f"    f{n - 1}()\n" * 9 for n in range(1, 30)),
    ],
    ids=["quotients", "halves", "differences", "tuples", "stages", "functions"],
)
def test_work_that_doubles_stays_small(source):
    """What is written down in n lines is not looked at 2**n times: this test would not come back."""
    fit = "model = keras.Sequential()\nmodel.compile()\nmodel.fit(a, b, steps_per_epoch=n)\n"
    environment = make_environment(scripts=make_scripts(HEAD + source + fit))
    answers = [rule.examine(environment) for rule in RULES]
    assert not [answer for answer in answers if str(answer.status) in ("crashed", "unknown")]
