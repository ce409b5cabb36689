"""The measured wait is of the right size for every kind of input; benchmarks/accuracy.py has the exact figures.

Machines are shared, so each case is an order of size apart: about 0.6 against 0, within 0.15.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from keras_api import BACKEND, IS_KERAS_2, fit_with_workers, keras, tf
from scripted import (
    BATCH,
    IMAGE_SHAPE,
    SleepingPyDataset,
    free_dataset,
    make_scripted_model,
    mean_period_s,
    scripted_wait_fraction,
    sleeping_dataset,
    sleeping_generator,
    sleeping_image_iterator,
)

from kerasdiag import BottleneckProfiler, compat
from kerasdiag.profiler.data_probe.price import PULL_LIMIT_S, Price, price_of_conversion, price_of_pull
from kerasdiag.profiler.fit_measurement import FitMeasurement
from kerasdiag.report.terminal import render

pytestmark = [pytest.mark.keras, pytest.mark.backends, pytest.mark.timed]

STEPS = 32
LOAD_S, STEP_S = 0.06, 0.03


VERDICTS = []  # of the present test: when one began, and what it took


@pytest.fixture(autouse=True)
def _stamp_verdicts(monkeypatch):
    """When the profiler looked at its numbers between two steps, and for how long, by a clock of this test.

    Mostly some ms; where garbage is collected meanwhile, much longer. It is no part of a step, but the stamps have it.
    """
    VERDICTS.clear()

    def stamped(self, action):
        began = time.perf_counter()
        exclude(self, action)
        VERDICTS.append((began, time.perf_counter() - began))

    exclude = FitMeasurement.exclude
    monkeypatch.setattr(FitMeasurement, "exclude", stamped)


def between_steps_s(model):
    """Seconds of verdicts between the first and the last step of a model."""
    return sum(took for began, took in VERDICTS if model.stamps[0] < began < model.stamps[-1])


def true_wait(model):
    """Share of waiting by the model's own stamps, without the verdicts."""
    return scripted_wait_fraction(model, apart_s=between_steps_s(model))


def wait_of(data, step_s=STEP_S, workers=None, others=(), **arguments):
    """Train the scripted model; return the measured wait, checked against the truth by the model's own stamps.

    Queues that filled while the model was traced make a run wait less than load and step promise,
    and a busy machine makes steps longer; the stamps know.
    """
    model = make_scripted_model(step_s)
    profiler = BottleneckProfiler(report=None)
    arguments = {"verbose": 0, "callbacks": [profiler, *others], **arguments}
    if workers is None:
        model.fit(data, **arguments)
    else:
        fit_with_workers(model, data, workers, **arguments)
    assert profiler.diagnosis.measured_steps >= 20, profiler.diagnosis.statement
    assert profiler.diagnosis.data_wait_fraction == pytest.approx(true_wait(model), abs=0.15)
    return profiler.diagnosis.data_wait_fraction


def test_loader_without_overlap():
    """60 ms of loading before each 30 ms of computing: two thirds of the time is waiting."""
    assert wait_of(sleeping_dataset(LOAD_S, STEPS)) > 0.4


def test_prefetch_leaves_only_the_excess():
    """With prefetch the same loader is waited for half of the time; the rest is hidden."""
    assert 0.2 < wait_of(sleeping_dataset(LOAD_S, STEPS, prefetch=2)) < 0.6


def test_fast_loader_is_not_waited_for():
    """Nothing to wait for is close to zero, not merely small."""
    model = make_scripted_model(STEP_S)
    profiler = BottleneckProfiler(report=None)
    model.fit(free_dataset(STEPS), verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.data_wait_fraction < 0.05


def test_py_dataset_with_one_worker():
    """Keras prepares the next batch in its own thread: the excess is visible."""
    assert wait_of(SleepingPyDataset(LOAD_S, 2 * STEPS), workers=1) > 0.2


def test_a_callback_beside_the_training_hides_no_wait():
    """On JAX and torch Keras runs batch ends in a thread where all callbacks allow it; the loader is waited for meanwhile."""

    class Beside(keras.callbacks.Callback):
        async_safe = True

        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.04)

    if BACKEND == "tensorflow":
        pytest.skip("is of Keras 3 only, on JAX and torch")
    assert wait_of(sleeping_dataset(LOAD_S, STEPS), step_s=0.01, others=[Beside()]) > 0.7


def test_py_dataset_with_enough_workers():
    """Four workers keep up with a loader twice as slow as the step."""
    assert wait_of(SleepingPyDataset(LOAD_S, 60), workers=4) < 0.15


def test_py_dataset_in_bursts():
    """Four workers on a loader eight times as slow: half of the time is waiting, in bursts of four."""
    assert wait_of(SleepingPyDataset(0.24, 2 * STEPS), workers=4) > 0.2


def test_python_generator():
    """A generator that sleeps is seen."""
    assert wait_of(sleeping_generator(LOAD_S, 2 * STEPS), steps_per_epoch=2 * STEPS) > 0.2


def test_arrays():
    """Arrays in memory are not waited for."""
    x, y = np.zeros((STEPS * 4, 8), "float32"), np.zeros((STEPS * 4, 1), "float32")
    model = make_scripted_model(STEP_S)
    profiler = BottleneckProfiler(report=None)
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.data_wait_fraction < 0.05


def test_image_data_generator():
    """An ImageDataGenerator whose preprocessing takes long, the article's case, is input-bound."""
    flow = sleeping_image_iterator(LOAD_S, STEPS)
    model = make_scripted_model(STEP_S, IMAGE_SHAPE)
    profiler = BottleneckProfiler(report=None)
    model.fit(flow, verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.verdict == "input-bound"
    truth = true_wait(model)
    assert profiler.diagnosis.data_wait_fraction == pytest.approx(truth, abs=0.15)
    data = profiler.profile.training_input
    assert (data.kind, data.class_name, data.n) == ("image-data-generator", "NumpyArrayIterator", 4 * STEPS)


@pytest.mark.skipif(not IS_KERAS_2, reason="fit_generator is of Keras 2 only")
@pytest.mark.filterwarnings("ignore:.*fit_generator.*")
def test_fit_generator():
    """The article's own call, fit_generator with workers, is measured like fit."""
    model = make_scripted_model(STEP_S)
    profiler = BottleneckProfiler(report=None)
    model.fit_generator(SleepingPyDataset(LOAD_S, STEPS), workers=1, verbose=0, callbacks=[profiler])
    truth = true_wait(model)
    assert profiler.diagnosis.data_wait_fraction == pytest.approx(truth, abs=0.15)
    assert truth > 0.2
    assert profiler.profile.training_input.workers == 1
    assert profiler.profile.planned_steps_per_epoch == STEPS


def test_run_eagerly():
    """Eager steps are measured by the same marks."""
    model = make_scripted_model(STEP_S, run_eagerly=True)
    profiler = BottleneckProfiler(report=None)
    model.fit(sleeping_dataset(LOAD_S, STEPS), verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.data_wait_fraction == pytest.approx(true_wait(model), abs=0.15)
    assert profiler.diagnosis.data_wait_fraction > 0.4


def test_slow_validation_is_not_data_wait():
    """Waiting for validation data is no wait of the training; its time is kept apart."""
    model = make_scripted_model(STEP_S)
    profiler = BottleneckProfiler(report=None)
    arguments = {"validation_data": sleeping_dataset(0.1, 5), "epochs": 3}
    model.fit(free_dataset(12), verbose=0, callbacks=[profiler], **arguments)
    assert profiler.diagnosis.data_wait_fraction < 0.1
    assert profiler.profile.validation_s > 1.0
    assert profiler.diagnosis.mean_step_s == pytest.approx(STEP_S, rel=0.5)


def test_slow_callback_counts_as_step_not_as_wait():
    """A callback that takes long makes the step longer; it is not the data's fault."""

    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.03)

    model = make_scripted_model(0.0)
    profiler = BottleneckProfiler(report=None)
    model.fit(free_dataset(STEPS), verbose=0, callbacks=[profiler, Slow()])
    assert profiler.diagnosis.data_wait_fraction < 0.1
    assert profiler.diagnosis.mean_step_s > 0.03


def test_step_period_is_the_scripted_one():
    """The mean step agrees with the stamps that the model itself takes, without the verdicts between two steps."""
    model = make_scripted_model(STEP_S)
    profiler = BottleneckProfiler(report=None)
    model.fit(sleeping_dataset(0.02, STEPS), verbose=0, callbacks=[profiler])
    true_s = mean_period_s(model.stamps) - between_steps_s(model) / (STEPS - 1 - 5)
    assert profiler.diagnosis.mean_step_s == pytest.approx(true_s, rel=0.1)


def test_smaller_last_batches_do_not_retrace():
    """Each epoch's smaller last batch runs in the graph of the others: only warm-up is warm-up. JAX compiles for it once."""
    x, y = np.zeros((42, 8), "float32"), np.zeros((42, 1), "float32")
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.0).fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[profiler])
    assert profiler.profile.steps.num_steps == 33
    assert sum(profiler.profile.steps.warm_up) == (6 if BACKEND == "jax" else 5)


def test_pull_overhead_is_small_and_works_for_every_structure():
    """Dictionaries, sparse and ragged parts, strings, unknown shapes."""
    specs = [
        tf.TensorSpec((None, 8), tf.float32),
        {"image": tf.TensorSpec((None, 4, 4, 3), tf.uint8), "name": tf.TensorSpec((None,), tf.string)},
        (tf.TensorSpec(None, tf.float32), tf.RaggedTensorSpec((None, None), tf.int32)),
        (tf.SparseTensorSpec((None, 8), tf.float32), tf.TensorSpec((), tf.bool)),
    ]
    for spec in specs:
        overhead = price_of_pull(spec, time.perf_counter)
        assert overhead.seconds == 0
        while not overhead.is_known:
            overhead.sample()
        assert 0 < overhead.seconds <= PULL_LIMIT_S


class Pair(NamedTuple):
    """A batch as some pipelines hand it on."""

    x: Any
    y: Any


def elements():
    """Batches of every structure, by its name."""
    x, y = BATCH
    batches = {
        "dictionary": ({"a": x}, y),
        "sample weights": (x, y, np.ones(len(x), "float32")),
        "named tuple": Pair(x, y),
        "list of targets": (x, [y]),
    }
    if BACKEND == "tensorflow":
        batches["sparse"] = (tf.sparse.from_dense(x), y)
    return batches


@pytest.mark.parametrize("kind", elements())
def test_structure_of_the_batches_does_not_matter(kind):
    """Named inputs, sample weights and parts that are not dense reach the step as they are."""
    inputs = keras.Input((8,), name="a", sparse=kind == "sparse")
    model = keras.Model({"a": inputs} if kind == "dictionary" else inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse", jit_compile=False)
    profiler = BottleneckProfiler(report=None)
    model.fit(tf.data.Dataset.from_tensors(elements()[kind]).repeat(30), verbose=0, callbacks=[profiler])
    assert profiler.profile.not_measured.keys() <= {"gpu"}
    assert profiler.diagnosis.measured_steps == 25


@pytest.mark.parametrize("kind", ["PyDataset", "generator", "tf.data"])
def test_keras_own_way_to_the_backend_is_no_wait(kind):
    """On torch it wraps each batch in tensors by a DataLoader: 0.5 ms, which no faster input would save."""
    if BACKEND == "tensorflow":
        pytest.skip("is of Keras 3 only, on JAX and torch")
    steps = 60
    makers = {
        "PyDataset": lambda: SleepingPyDataset(0, steps),
        "generator": lambda: sleeping_generator(0, steps),
        "tf.data": lambda: free_dataset(steps),
    }
    model = make_scripted_model(0.01)
    profiler = BottleneckProfiler(report=None)
    model.fit(makers[kind](), verbose=0, callbacks=[profiler])
    assert profiler.profile.pull_overhead_s > (1e-5 if BACKEND == "torch" else 0)
    assert profiler.diagnosis.data_wait_fraction < 0.08
    assert "pulling" not in render(profiler.diagnosis)  # Keras itself pulls in Python


def fit_with_adapter(name):
    """A fit as the profiler finds it, whose input goes through this adapter of Keras'."""
    adapter = type(name, (), {"__module__": "keras.src.trainers.data_adapters.py_dataset_adapter"})()
    return SimpleNamespace(arguments={"epoch_iterator": SimpleNamespace(data_adapter=adapter)})


def test_a_batch_that_cannot_be_made_anew_is_not_priced():
    """Sparse ones may be far larger than memory; then the pull stays in the wait, and the rest is measured."""

    class Sparse:
        shape, dtype = (10**9, 10**9), "float32"

        def todense(self):
            raise MemoryError

    if BACKEND == "tensorflow":
        pytest.skip("is of Keras 3 only, on JAX and torch")
    ready = compat.ready_input(fit_with_adapter("PyDatasetAdapter"), SimpleNamespace(backend=BACKEND))
    assert price_of_conversion(ready, (Sparse(), np.zeros(3)), time.perf_counter) is None
    price = price_of_conversion(ready, (np.zeros(3), None, [np.zeros(2, "int8")]), time.perf_counter)
    assert price.sample() > 0
    assert next(ready((np.zeros((5, 3)), np.zeros(5))))[0].shape[0] == 1  # tensors are not copied, however many


def test_no_copy_to_a_gpu_is_priced_under_torch(monkeypatch):
    """There it would wait for the step that computes."""
    if BACKEND != "torch":
        pytest.skip("is of Keras 3 only, on torch")
    monkeypatch.setattr("kerasdiag.compat.batches._uses_cuda", lambda: True)
    for name in ("TFDatasetAdapter", "PyDatasetAdapter"):
        assert compat.ready_input(fit_with_adapter(name), SimpleNamespace(backend=BACKEND)) is None


@pytest.mark.parametrize("kind", ["tuple", "nested", "dictionary", "sparse"])
def test_a_step_is_started_at_the_least_cost(kind):
    """Without what a tf.function does for its caller; where versions differ in what they take, with it."""
    if BACKEND != "tensorflow":
        pytest.skip("is of Keras 3 only, on TensorFlow")
    one, ten, hundred = (tf.constant([value]) for value in (1.0, 10.0, 100.0))
    batch = {
        "tuple": (one, ten, hundred),
        "nested": ((one, [ten]), hundred),
        "dictionary": {"z": one, "b": ten, "a": hundred},
        "sparse": (tf.sparse.from_dense(one), ten, hundred),
    }[kind]
    spec = tf.data.Dataset.from_tensors(batch).element_spec
    counted = tf.Variable(1000.0)

    def step(batch):
        first, second, third = tf.nest.flatten(batch, expand_composites=kind != "sparse")
        if kind == "sparse":
            first = tf.sparse.to_dense(first)
        counted.assign_add(1.0)
        return {"sum": counted + first + 2 * second + 3 * third}

    function = tf.function(step, input_signature=[spec])
    called = compat.as_called(function, spec)
    expected = 1.0 + 20.0 + 300.0 if kind != "dictionary" else 100.0 + 20.0 + 3.0
    for calls in (1, 2):
        assert called(batch)["sum"].numpy() == 1000.0 + calls + expected
    assert (called is function) is (kind == "sparse")
    assert hasattr(called, "captured_inputs") is (kind == "dictionary"), "a concrete function"


def returns_its_batch(batch):
    return batch


def with_one_more(tensors, captured_inputs, cancellation):
    return tensors, captured_inputs, cancellation


def with_another_name(tensors, captures):
    return tensors, captures


@pytest.mark.parametrize("call_flat", [None, len, returns_its_batch, with_one_more, with_another_name])
def test_a_step_of_another_tensorflow_is_started_as_ever(call_flat):
    """What is not public may change: a concrete function is then called as it is."""
    concrete = SimpleNamespace(captured_inputs=[]) if call_flat is None else SimpleNamespace(_call_flat=call_flat)
    function = SimpleNamespace(get_concrete_function=lambda: concrete)
    spec = tf.data.Dataset.from_tensors((tf.zeros(1), tf.zeros(2))).element_spec
    assert compat.as_called(function, spec) is concrete


def test_a_pull_that_takes_no_longer_than_the_longest_is_no_wait(monkeypatch):
    """What the samples of an input that is always ready have taken holds for the training's own pulls."""
    waits = {}
    for longest_s in (0.0, 10.0):
        monkeypatch.setattr(Price, "longest_s", longest_s)
        profiler = BottleneckProfiler(report=None)
        make_scripted_model(0.0).fit(sleeping_dataset(0.02, 16), verbose=0, callbacks=[profiler])
        waits[longest_s] = profiler.diagnosis.data_wait_fraction
    assert waits[10.0] == 0
    assert waits[0.0] > 0.5


def test_the_start_of_a_step_is_priced_by_whole_executions():
    """Keras 2 has fewer steps in the last execution of an epoch, and the price may be known just there."""
    if BACKEND != "tensorflow":
        pytest.skip("is of Keras 3 only, on TensorFlow")
    launches = {}
    for steps in (24, 13):
        model = make_scripted_model(0.0, steps_per_execution=12)
        profiler = BottleneckProfiler(report=None)
        model.fit(free_dataset(steps), epochs=4, verbose=0, callbacks=[profiler])
        launches[steps] = profiler.profile.launch_s
        assert profiler.profile.added_s_per_step > 5 * profiler.profile.launch_s
    assert 1 / 3 < launches[13] / launches[24] < 3  # 12 by the steps of the last execution
