"""The corrected lines: each is what somebody can paste, and does what the message asks for."""

from __future__ import annotations

import pytest
from builders import make_environment, make_packages, make_scripts
from doctor.lint.scripts import GENERATOR, HEAD

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check

KERAS_2 = make_packages(tensorflow="2.10.0", keras="2.10.0")
MODEL = HEAD + "model = keras.Sequential()\n"


def corrected(code, source, **facts):
    """The remedy of the one finding of a check in a script."""
    (finding,) = find_check(CHECKS, code).examine(make_environment(scripts=make_scripts(source), **facts)).findings
    return finding.remedy


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        ("fit_generator(generator=g, epochs=5)", ("model.fit(x=g, epochs=5)",)),
        ("fit_generator(g, 100, 5, workers=4)", ("model.fit(g, steps_per_epoch=100, epochs=5)",)),
        ("fit_generator(g, nb_epoch=5, nb_worker=2)", ("model.fit(g, epochs=5)",)),
        ("fit_generator(g, 100, nb_epoch=5)", ()),
        ("fit_generator(g, samples_per_epoch=2000)", ()),
        ("fit_generator(*given, epochs=5)", ()),
        ("evaluate_generator(g, 20)", ("model.evaluate(g, steps=20)",)),
        ("evaluate_generator(g, 20, None)", ()),
        ("predict_generator(g, 20, workers=4)", ("model.predict(g, steps=20)",)),
        ("fit(x=g, workers=4, epochs=5)", ("model.fit(x=g, epochs=5)",)),
        ("fit(workers=4, x=g)", ("model.fit(x=g)",)),
        ("fit(g, workers=4)  # all cores", ("model.fit(g)  # all cores",)),
    ],
)
def test_calls_for_keras_2(call, lines):
    """What Keras 3 has no words for is not put in its mouth."""
    remedy = corrected("KD701", f"{MODEL}model.{call}\n")
    assert remedy.code == lines
    assert remedy.text.endswith(":" if lines else ".")


def test_the_method_that_is_meant_is_named():
    """Not fit, where it is predict; and what to call where there are no lines to show."""
    assert "and call predict without it:" in corrected("KD701", GENERATOR + "model.predict(train, workers=4)\n").text
    assert corrected("KD701", MODEL + "if a: pass\nelse: model.fit_generator(g)\n").text == "Call fit instead."


def test_attributes_are_set_on_attributes():
    """What is read may hang on an object."""
    source = (
        GENERATOR
        + "class T:\n    def __init__(self):\n        self.it = train\n    def run(self):\n        model.fit(self.it, workers=4)\nT().run()\n"
    )
    assert corrected("KD701", source).code == ("self.it.workers = 4", "model.fit(self.it)")


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        ("fit(train, epochs=3)", ("model.fit(train, epochs=3, callbacks=[profiler])",)),
        ("fit(train, callbacks=[stop])", ("model.fit(train, callbacks=[stop, profiler])",)),
        ("fit(train, callbacks=[])", ("model.fit(train, callbacks=[profiler])",)),
        ("fit(train, callbacks=every)", ("model.fit(train, callbacks=[*every, profiler])",)),
        ("fit(train, **given)", ()),
        ("fit_generator(train, 10)", ()),
    ],
)
def test_a_training_that_measures_itself(call, lines):
    """A profiler that sits in no fit would never have seen anything: autofix would wait for it in every run."""
    remedy = corrected("KD704", GENERATOR + f"model.{call}\n")
    begin = ("from kerasdiag import BottleneckProfiler, autofix", "profiler = BottleneckProfiler()")
    assert remedy.code == ((*begin, "train = autofix(train, profiler)", *lines) if lines else ())


def test_a_training_on_keras_2_that_measures_itself():
    """fit_generator is a method there."""
    remedy = corrected("KD704", GENERATOR + "model.fit_generator(train, 10)\n", packages=KERAS_2)
    assert remedy.code[-1] == "model.fit_generator(train, 10, callbacks=[profiler])"


@pytest.mark.parametrize(
    ("imported", "data", "lines"),
    [
        ("import tensorflow", "tensorflow.data", ("tensorflow.data.AUTOTUNE",)),
        ("import tensorflow.compat.v2 as t2", "t2.data", ("t2.data.AUTOTUNE",)),
        ("from tensorflow import data, io", "data", ("data.AUTOTUNE",)),
        ("from tensorflow.data import Dataset", "", ("import tensorflow as tf", "tf.data.AUTOTUNE")),
    ],
)
def test_names_of_tensorflow(imported, data, lines):
    """AUTOTUNE is written as the script can; where it has no name for TensorFlow, with the import."""
    written = f"{data}.Dataset" if data else "Dataset"
    source = (
        f"{imported}\nimport tensorflow.io as tio\nds = {written}.list_files('a').map(lambda f: tio.read_file(f))\n"
    )
    *imports, line = corrected("KD705", source).code
    assert (*imports, line.partition("num_parallel_calls=")[2].rstrip(")")) == lines


@pytest.mark.parametrize(
    ("call", "lines"),
    [
        ("ds.map(\n    f,  # slow\n)", ("ds.map(", "    f, num_parallel_calls=tf.data.AUTOTUNE,  # slow", ")")),
        ("ds.map((f), )", ("ds.map((f), num_parallel_calls=tf.data.AUTOTUNE)",)),
        ("ds.map(f  # ) slow\n)", ("ds.map(f, num_parallel_calls=tf.data.AUTOTUNE  # ) slow", ")")),
    ],
)
def test_an_argument_before_a_comment(call, lines):
    """It goes behind the last argument, not into the comment."""
    head = HEAD + "f = lambda p: tf.io.read_file(p)\nds = tf.data.Dataset.list_files('a')\n"
    assert corrected("KD705", f"{head}{call}\n").code == lines


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("fit(train, steps_per_epoch=train.n / 32, epochs=3)", "model.fit(train, epochs=3)"),
        ("fit(data, steps_per_epoch=n / 32)", "model.fit(data, steps_per_epoch=int(n / 32))"),
        ("evaluate(train, steps=train.n / 32)", "model.evaluate(train, steps=int(train.n / 32))"),
        ("fit_generator(train, steps_per_epoch=train.n // 32, epochs=3)", "model.fit(train, epochs=3)"),
    ],
)
def test_steps(call, line):
    """Away where the generator knows how many there are, else a whole number."""
    assert corrected("KD716", GENERATOR + f"model.{call}\n").code == (line,)
