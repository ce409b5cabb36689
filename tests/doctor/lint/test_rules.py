"""Where the rules fire and where they are silent: aliases, other libraries, the other Keras, the other order."""

from __future__ import annotations

import pytest
from builders import make_data, make_environment, make_packages, make_profile, make_scripts
from doctor.lint.scripts import EXAMPLES, GENERATOR, HEAD, PARALLEL, PIPELINE

from kerasdiag.doctor.checks import CHECKS
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
    ("KD715", PIPELINE + "net = keras.applications.MobileNetV3Small()\nds = ds.map(lambda x, y: (x / 255., y))\nmodel.fit(ds)\n"),
    ("KD715", PIPELINE + "net = keras.applications.ConvNeXtTiny()\nr = keras.layers.Rescaling(1 / 255)\nds = ds.map(lambda x, y: (r(x), y))\nmodel.fit(ds)\n"),
    ("KD716", GENERATOR + "steps = train.n // train.batch_size\nmodel.fit(train, steps_per_epoch=steps)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=int(2000 / BATCH))\n"),
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
    ("KD715", EXAMPLES["KD715"].source + "other = keras.applications.ResNet50()\n"),
    ("KD715", EXAMPLES["KD715"].source.replace("EfficientNetB0(include_top", "MobileNetV3Large(include_preprocessing")),
    ("KD715", EXAMPLES["KD715"].source.replace("keras.applications.", "efficientnet.tfkeras.")),
    ("KD715", EXAMPLES["KD715"].source.replace("rescale=1.0 / 255", "rescale=None")),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=len(train))\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=3200 // BATCH)\n"),
    ("KD716", GENERATOR + "model.fit(train, steps_per_epoch=2001 // BATCH, epochs=1)\n"),
    ("KD716", HEAD + "model.fit(x, y, steps_per_epoch=2001 // 32)\n"),
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
    environment = make_environment(scripts=make_scripts("import keras\n", "import os\n"))
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
