"""A training with the profiler ends with the same numbers, bit for bit, as one without.

Each case first shows that two trainings without it are equal; where they are not, it could prove
nothing. The cases in which Keras itself differs are asserted as they are, and named in the report.
"""

from __future__ import annotations

import numpy as np
import pytest
from keras_api import BACKEND, IS_KERAS_2, KERAS_VERSION, TRAINS_WITH_PYTHON_FUNCTION, keras, tf
from packaging.version import Version
from trainings import (
    BATCH_SIZE,
    STEPS,
    are_equal,
    dataset,
    fit_arguments,
    image_iterator,
    make_arrays,
    make_model,
    outcome,
    python_generator,
    train,
)

from kerasdiag import BottleneckProfiler

pytestmark = pytest.mark.keras

OTHER_MODES = [{"run_eagerly": True}, {"jit_compile": True, "dropout": False}]
METHODS = {"tensorflow": "one-step-function", "jax": "timed-iterator", "torch": "gap"}


def profiled(*arguments, **keywords):
    profiler = BottleneckProfiler(report=None)
    return train(*arguments, callbacks=[profiler], **keywords), profiler


def assert_unchanged(*arguments, **keywords):
    plain = train(*arguments, **keywords)
    assert are_equal(plain, train(*arguments, **keywords)), "two plain runs differ: this case proves nothing"
    measured, profiler = profiled(*arguments, **keywords)
    assert are_equal(plain, measured)
    return profiler


@pytest.mark.backends
@pytest.mark.parametrize("kind", ["arrays", "py-dataset", "tf-data", "python-generator"])
def test_losses_weights_and_iterations_are_equal(kind):
    """Dropout, BatchNorm, Adam, a smaller last batch: every number is the same."""
    profiler = assert_unchanged(kind)
    assert profiler.profile.method == METHODS[BACKEND]
    assert profiler.profile.steps.num_steps == 2 * STEPS
    assert profiler.profile.remarks == ()


def test_equal_when_run_eagerly():
    """Without a graph there is nothing to trace, and still nothing changes."""
    profiler = assert_unchanged("arrays", run_eagerly=True)
    assert profiler.profile.method == "one-step-eager"
    assert profiler.profile.steps_per_execution is None
    assert profiler.profile.steps.num_steps == 2 * STEPS


def test_equal_with_xla():
    """Compiled steps give the same numbers; the compile of the smaller last batch is warm-up."""
    profiler = assert_unchanged("arrays", jit_compile=True, dropout=False)
    assert profiler.profile.steps.warm_up[STEPS - 1] == 1


def test_equal_on_two_replicas():
    """MirroredStrategy on two logical devices; run in a process of its own, which can split the CPU."""
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).with_name("mirrored_training.py")
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, cwd=script.parents[2], check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == "equal 18 one-step-function"


@pytest.mark.backends
def test_equal_with_image_data_generator():
    """The augmentations draw the same numbers: the profiler reads no batch of its own."""

    def run(callbacks):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dropout(0.2), keras.layers.Dense(3)]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, jit_compile=False)
        np.random.seed(7)
        return outcome(model, model.fit(image_iterator(shuffle=False), epochs=2, verbose=0, callbacks=callbacks))

    plain = run([])
    assert are_equal(plain, run([]))
    assert are_equal(plain, run([BottleneckProfiler(report=None)]))


@pytest.mark.backends
def test_equal_with_validation_and_class_weight():
    """Sample weights that Keras makes itself reach the step; validation is untouched."""

    def run(callbacks):
        model = make_model()
        x, y = make_arrays()
        history = model.fit(
            x, y, batch_size=BATCH_SIZE, epochs=2, verbose=0, validation_split=0.2,
            class_weight={0: 1.0, 1: 2.0, 2: 0.5}, callbacks=callbacks,
        )  # fmt: skip
        return outcome(model, history)

    plain = run([])
    assert are_equal(plain, run([]))
    assert are_equal(plain, run([BottleneckProfiler(report=None)]))


@pytest.mark.backends
def test_equal_over_two_fits():
    """A second fit continues as it would have."""

    def run(make_callbacks):
        model = make_model()
        model.fit(**fit_arguments("arrays"), verbose=0, callbacks=make_callbacks())
        return outcome(model, model.fit(**fit_arguments("arrays"), verbose=0, callbacks=make_callbacks()))

    plain = run(list)
    assert are_equal(plain, run(list))
    assert are_equal(plain, run(lambda: [BottleneckProfiler(report=None)]))


def test_control_flow_on_tensors_in_a_layer():
    """AutoGraph converts the user's layer as it does without us, or fails as it does without us."""

    class Gate(keras.layers.Layer):
        def call(self, x):
            if tf.reduce_sum(x) > 0:  # a Python `if` on a tensor needs AutoGraph
                return x * 2.0
            return x * 3.0

    def run(callbacks):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([Gate(), keras.layers.Dense(3)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, jit_compile=False)
        try:
            return outcome(model, model.fit(dataset(), epochs=1, verbose=0, callbacks=callbacks))
        except Exception as error:
            return [np.asarray(type(error).__name__)]

    plain = run([])
    assert are_equal(plain, run([]))
    assert are_equal(plain, run([BottleneckProfiler(report=None)]))
    assert not IS_KERAS_2 or len(plain) > 1


# --- Where Keras itself gives two different answers ------------------------------------------------


@pytest.mark.backends
@pytest.mark.parametrize("kind", ["unknown length", "shorter than steps_per_epoch"])
def test_input_that_ends_is_counted_right_and_said(kind):
    """Some Keras update once too often when the input ends unexpectedly; with the profiler the count is right."""

    def run(callbacks):
        model = make_model()
        if kind == "unknown length":
            history = model.fit(dataset(known_length=False), verbose=0, callbacks=callbacks)
        else:
            history = model.fit(dataset(), steps_per_epoch=STEPS + 3, verbose=0, callbacks=callbacks)
        return outcome(model, history)

    plain = run([])
    profiler = BottleneckProfiler(report=None)
    measured = run([profiler])
    said = any("this input ended before Keras expected it" in remark for remark in profiler.profile.remarks)
    assert measured[-1] == STEPS
    assert plain[-1] in (STEPS, STEPS + 1)
    if plain[-1] == STEPS:
        assert are_equal(plain, measured)
    assert said == (plain[-1] == STEPS + 1)
    assert Version("2.11") <= KERAS_VERSION or not said


@pytest.mark.parametrize("how", OTHER_MODES)
def test_input_that_ends_is_no_difference_without_a_graph(how):
    """Eager and XLA steps do not run without a batch: nothing differs, and nothing is said."""
    profiler = assert_unchanged("tf-data of unknown length", epochs=1, **how)
    assert profiler.profile.remarks == ()


def test_profiler_in_the_second_fit_only():
    """Keras 2 seeds dropout per traced function: that differs and is said. Keras 3 does not."""

    def run(second):
        model = make_model()
        model.fit(**fit_arguments("arrays"), verbose=0)
        return outcome(model, model.fit(**fit_arguments("arrays"), verbose=0, callbacks=second))

    plain = run([])
    assert are_equal(plain, run([]))
    profiler = BottleneckProfiler(report=None)
    assert are_equal(plain, run([profiler])) is not IS_KERAS_2
    assert any("trained before without the profiler" in remark for remark in profiler.profile.remarks) is IS_KERAS_2


def test_profiler_in_the_first_fit_only():
    """The same the other way round; with it in both fits nothing differs."""

    def run(first, second):
        model = make_model()
        model.fit(**fit_arguments("arrays"), verbose=0, callbacks=first)
        return outcome(model, model.fit(**fit_arguments("arrays"), verbose=0, callbacks=second))

    plain = run([], [])
    assert are_equal(plain, run([BottleneckProfiler(report=None)], [])) is not IS_KERAS_2
    assert are_equal(plain, run([BottleneckProfiler(report=None)], [BottleneckProfiler(report=None)]))


@pytest.mark.skipif(not IS_KERAS_2, reason="the case is of Keras 2 only")
def test_xla_with_dropout_is_said_to_be_unrepeatable():
    """Two plain runs differ already; the report says so."""
    assert not are_equal(*(train("arrays", jit_compile=True) for _ in range(2)))
    _, profiler = profiled("arrays", jit_compile=True)
    assert any("unrepeatable" in remark for remark in profiler.profile.remarks)


@pytest.mark.parametrize("how", [{}, *(pytest.param(how, marks=pytest.mark.thorough) for how in OTHER_MODES)])
@pytest.mark.parametrize("executions", [3, 4, 7])
def test_several_steps_per_execution(executions, how):
    """Whole executions, and a partial last one of 1 or 2 steps: every step is measured, and every number is the same.

    Keras 3.3 and 3.6 count one update too many where the input ends within an execution; with the profiler the count is
    right, and the report says so.
    """
    try:
        plain = train("arrays", steps_per_execution=executions, **how)
    except TypeError:
        pytest.skip("is of Keras 3 only: 3.3 itself fails on eager executions")
    assert are_equal(plain, train("arrays", steps_per_execution=executions, **how))
    measured, profiler = profiled("arrays", steps_per_execution=executions, **how)
    ends_within = STEPS % executions > 0 and TRAINS_WITH_PYTHON_FUNCTION and not IS_KERAS_2
    if ends_within and how == {}:
        assert (int(plain[-1]), int(measured[-1])) == (2 * STEPS + 2, 2 * STEPS)
        assert any("ended before Keras expected it to" in remark for remark in profiler.profile.remarks)
    else:
        assert are_equal(plain, measured)
    assert profiler.profile.steps.num_steps == 2 * STEPS
    assert profiler.profile.steps_per_execution == executions
    assert profiler.profile.method == ("one-step-eager" if "run_eagerly" in how else "one-step-function")


class SwitchesToPython(keras.callbacks.Callback):
    """Runs the functions of TensorFlow eagerly from one step to another, as somebody does who looks for a fault."""

    def __init__(self, begin, end):
        super().__init__()
        self.begin, self.end = begin, end

    def on_train_batch_begin(self, batch, logs=None):
        if batch in (self.begin, self.end):
            tf.config.run_functions_eagerly(batch == self.begin)


@pytest.mark.parametrize("executions", [1, 4])
@pytest.mark.parametrize("how", [{}, {"run_eagerly": False}], ids=str)
@pytest.mark.parametrize(("begin", "end"), [(0, None), (4, 12)])
def test_functions_that_run_eagerly(how, executions, begin, end):
    """By TensorFlow's own switch, of which Keras' models know nothing: the user's Python runs as often as without us."""

    def run(callbacks):
        counted = []

        class Counting(keras.Model):
            def train_step(self, data):
                counted.append(tf.executing_eagerly())  # not while it is traced
                return super().train_step(data)

        keras.utils.set_random_seed(1)
        inputs = keras.Input((8,))
        model = Counting(inputs, keras.layers.Dense(1)(keras.layers.Dropout(0.5)(inputs)))
        model.compile("sgd", "mse", jit_compile=False, steps_per_execution=executions, **how)
        x, y = make_arrays(STEPS * 8)
        try:
            tf.config.run_functions_eagerly(begin == 0 and end is None)
            history = model.fit(x, y, batch_size=8, verbose=0, callbacks=[*callbacks, SwitchesToPython(begin, end)])
        finally:
            tf.config.run_functions_eagerly(False)
        return sum(counted), outcome(model, history)

    profiler = BottleneckProfiler(report=None)
    (plain_count, plain), (count, measured) = run([]), run([profiler])
    assert count == plain_count > 0
    assert profiler.profile.not_measured.keys() <= {"gpu"}
    if end is None:
        assert count == len(profiler.profile.steps) == STEPS
        assert profiler.profile.method == "one-step-eager"
        assert are_equal(plain, measured)


@pytest.mark.backends
@pytest.mark.skipif(BACKEND != "jax", reason="is of Keras 3 only, on JAX")
@pytest.mark.parametrize("executions", [3, 4, 7])
def test_several_steps_per_execution_on_jax(executions):
    """Keras pulls each batch of an execution itself, and the iterator that it pulls from is timed."""
    profiler = assert_unchanged("arrays", steps_per_execution=executions, jit_compile=True)
    assert profiler.profile.steps.num_steps == 2 * STEPS
    assert profiler.profile.steps_per_execution == executions
    assert any("upper bound" in remark for remark in profiler.profile.remarks)


@pytest.mark.backends
def test_endless_generator_with_steps_per_epoch():
    """An endless generator is read exactly as often as without the profiler."""
    pulled = []

    def counted():
        for number, batch in enumerate(python_generator(epochs=1000)):
            pulled.append(number)
            yield batch

    counts = []
    for callbacks in ([], [BottleneckProfiler(report=None)]):
        del pulled[:]
        make_model().fit(counted(), steps_per_epoch=12, epochs=1, verbose=0, callbacks=callbacks)
        counts.append(len(pulled))
    # Exactly 12 are trained; a prefetching thread runs ahead by a few, more or less.
    assert all(12 <= count <= 12 + 24 for count in counts), counts
