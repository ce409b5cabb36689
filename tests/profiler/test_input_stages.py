"""Which stage of an input is slow: tf.data's model, prefixes of a chain, queues of workers, and all of it in a fit."""

from __future__ import annotations

import statistics
import time
from types import SimpleNamespace

import numpy as np
import pytest
from keras_api import BACKEND, fit_with_workers, keras, tf
from scripted import (
    IMAGE_SHAPE,
    SleepingPyDataset,
    free_dataset,
    make_scripted_model,
    sleeping_dataset,
    sleeping_image_iterator,
)
from tensorflow.python.data.experimental.ops import testing

from kerasdiag import BottleneckProfiler, compat
from kerasdiag.profiler.input_stages import prefix_timing
from kerasdiag.profiler.input_stages.blame import StageBlame
from kerasdiag.profiler.input_stages.pipeline_model import is_known, read_model
from kerasdiag.profiler.input_stages.prefix_timing import time_prefixes

pytestmark = [pytest.mark.keras, pytest.mark.timed]

needs_model = pytest.mark.skipif(not is_known(), reason="is of Keras 3 only: TensorFlow 2.17 and newer tell")


@pytest.fixture(autouse=True)
def _no_global_seed():
    """With one that an earlier test has set, a shuffle's order is not ours to use up."""
    tf.random.set_seed(None)


def heavy(number):
    """Some milliseconds of a core, without Python."""
    matrix = tf.fill([220, 220], tf.cast(number, tf.float32))
    for _ in range(8):
        matrix = tf.linalg.matmul(matrix, matrix) * 1e-9
    return tf.reduce_sum(matrix)


def chain(parallel=None, batches=20):
    return tf.data.Dataset.range(8 * batches).map(lambda n: n + 1).map(heavy, num_parallel_calls=parallel).batch(8)


@needs_model
def test_the_model_names_the_slow_operation():
    """Its share is nearly all, and the cheap ones are there, too."""
    iterator = iter(chain())
    for _ in range(15):
        next(iterator)
    stages = read_model(iterator)
    assert "Map" in stages.slowest.name
    assert stages.slowest.wall_s > 0.8 * sum(one.wall_s for one in stages.stages)
    assert stages.count == 15
    assert stages.stages[0].name == "Range"


@needs_model
def test_the_model_takes_its_time_from_the_clock():
    """A map that sleeps 5 ms for each of 4 elements takes 20 ms for a batch."""

    def sleep(number):
        time.sleep(0.005)
        return number

    data = tf.data.Dataset.range(200).map(lambda n: tf.numpy_function(sleep, [n], tf.int64)).batch(4)
    iterator = iter(data)
    for _ in range(20):
        next(iterator)
    slowest = read_model(iterator).slowest
    assert slowest.wall_s == pytest.approx(0.02, rel=0.4)


SLEPT_S = []


def sleep_in(number):
    """5 ms for an element, and what it was on this machine."""

    def sleep(value):
        begin = time.perf_counter()
        time.sleep(0.005)
        SLEPT_S.append(time.perf_counter() - begin)
        return value

    result = tf.numpy_function(sleep, [number], tf.int64)
    result.set_shape(())
    return result


PIPELINES = {
    "map": lambda data: data.map(sleep_in).batch(4),
    "shuffle": lambda data: data.map(sleep_in).shuffle(20).batch(4).prefetch(2),
    "filter": lambda data: data.filter(lambda n: n % 2 == 0).map(sleep_in).shuffle(20).batch(4),
    "filter behind": lambda data: data.map(sleep_in).filter(lambda n: n % 2 == 0).batch(2).prefetch(1),
    "unbatch": lambda data: data.batch(32).unbatch().map(sleep_in).shuffle(20).batch(4),
    "zip": lambda data: tf.data.Dataset.zip((data.map(sleep_in), data)).batch(4),
    "cache": lambda data: data.map(sleep_in).cache().shuffle(20).batch(4),
    "repeat": lambda data: data.take(20).map(sleep_in).repeat().shuffle(9).batch(4),
    "concatenate": lambda data: data.take(4).concatenate(data.map(sleep_in)).batch(4),
    "flat_map": lambda data: data.flat_map(lambda n: tf.data.Dataset.range(3).map(sleep_in)).batch(4).prefetch(1),
    "interleave": lambda data: data.interleave(lambda n: tf.data.Dataset.range(30).map(sleep_in), 4).batch(4),
    "parallel interleave": lambda data: data.interleave(
        lambda n: tf.data.Dataset.range(30).map(sleep_in), 4, num_parallel_calls=2
    ).batch(4),
    "more readers than files": lambda data: (
        data.take(2).interleave(lambda n: tf.data.Dataset.range(3000).map(sleep_in), 8, num_parallel_calls=8).batch(4)
    ),
    "groups": lambda data: data.map(sleep_in).group_by_window(lambda n: n % 2, lambda _, one: one.batch(4), 4),
}


def takes_what_it_sleeps(stage):
    """For a batch of 4."""
    return stage.wall_s == pytest.approx(4 * statistics.median(SLEPT_S[-60:]), rel=0.4)


THREADS = {"parallel interleave": 2, "more readers than files": 2}


@needs_model
@pytest.mark.parametrize("kind", PIPELINES)
def test_the_model_names_what_sleeps_in_every_form_of_pipeline(kind):
    """With the time that a batch of 4 takes of it, whatever is shuffled, filtered, opened and closed around it."""
    iterator = iter(PIPELINES[kind](tf.data.Dataset.range(4000)))
    for _ in range(20):
        next(iterator)
    stages = read_model(iterator)
    for _ in range(10):  # between two files
        if stages is None:
            next(iterator)
            stages = read_model(iterator)
    assert "Map" in stages.slowest.name
    assert takes_what_it_sleeps(stages.slowest)
    assert stages.slowest.threads == THREADS.get(kind, 1)


@needs_model
@pytest.mark.parametrize(
    ("kind", "epochs"),
    [("shuffle", 1), ("filter", 2), ("unbatch", 1), ("cache", 3), ("flat_map", 2), ("interleave", 1)],
)
def test_a_fit_reads_the_model_before_its_input_ends(kind, epochs):
    """At the end of an epoch the operations below a prefetch or a shuffle are gone; a cache is filled in the first."""
    numbers = tf.data.Dataset.range({"filter": 320, "flat_map": 54, "interleave": 6}.get(kind, 160))
    data = PIPELINES[kind](numbers).map(lambda n: (tf.fill([4, 8], 0.5), tf.zeros([4, 1])))
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.0).fit(data, epochs=epochs, verbose=0, callbacks=[profiler])
    slowest = profiler.profile.input_stages.slowest
    assert slowest.name == "Map"
    assert takes_what_it_sleeps(slowest)
    assert "num_parallel_calls=tf.data.AUTOTUNE" in profiler.diagnosis.next_step.code[0]


@needs_model
def test_a_source_that_a_shuffle_has_swallowed_is_still_to_blame():
    """The loading has ended by half-time, and its work is what was waited for: it is read before."""
    data = tf.data.Dataset.range(200).map(sleep_in).shuffle(150).map(lambda n: (tf.fill([8], 0.5), tf.zeros([1])))
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.002).fit(data.batch(4), epochs=2, verbose=0, callbacks=[profiler])
    assert profiler.profile.input_stages.slowest.name == "Map"
    assert takes_what_it_sleeps(profiler.profile.input_stages.slowest)
    iterator = iter(data.batch(4))
    for _ in range(40):
        next(iterator)
    assert list(read_model(iterator).not_measured) == ["what lies before Shuffle"]


@needs_model
@pytest.mark.parametrize("kind", ["names", "files", "cache"])
def test_a_shuffle_that_holds_everything_hides_no_stage_behind_it(kind):
    """Shuffling all the names is what everybody does: what it has read is over at once, and cost nothing."""
    numbers = tf.data.Dataset.range(160)
    data = {
        "names": lambda: numbers.shuffle(160).map(sleep_in),
        "files": lambda: numbers.take(2).interleave(lambda n: tf.data.Dataset.range(80).shuffle(80).map(sleep_in)),
        "cache": lambda: numbers.cache().shuffle(160).map(sleep_in),
    }[kind]()
    data = data.batch(4).map(lambda n: (tf.fill([4, 8], 0.5), tf.zeros([4, 1]))).prefetch(1)
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.0).fit(data, epochs=2, verbose=0, callbacks=[profiler])
    stages = profiler.profile.input_stages
    assert stages.source == "tf.data model"
    assert "Map" in stages.slowest.name
    assert takes_what_it_sleeps(stages.slowest)


@needs_model
def test_the_epochs_that_wait_longest_together_have_the_stage_to_blame():
    """A cache fills in the first; what is slow behind it is slow in all others."""

    def augment(number):
        return sleep_in(sleep_in(sleep_in(number)))

    data = tf.data.Dataset.range(40).map(sleep_in).cache().map(augment).batch(4)
    data = data.map(lambda n: (tf.fill([4, 8], tf.cast(n[0], tf.float32)), tf.zeros([4, 1])))
    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.0).fit(data, epochs=5, verbose=0, callbacks=[profiler])
    stages = profiler.profile.input_stages
    assert [one.name for one in stages.stages if "Map" in one.name and one.wall_s > 0.01] == ["MapAndBatch"]


@needs_model
@pytest.mark.parametrize("epoch_steps", [None, 1000])
def test_who_has_no_model_is_not_asked_after_every_step(epoch_steps):
    """On JAX the iterator is not at hand, and a strategy's has no model: a few tries, and the training goes on alone."""
    blame = StageBlame(tf.data.Dataset.range(4), "tf-data", None, epoch_steps)
    asked = 0
    for position in range(1, 1000):
        if blame.is_due(position):
            asked += 1
            blame.look(None, position)
    assert 0 < asked <= 100
    assert blame.stages() is None


@needs_model
def test_no_model_is_no_answer():
    """Autotuning is off, or nothing was read."""
    options = tf.data.Options()
    options.autotune.enabled = False
    iterator = iter(chain().with_options(options))
    next(iterator)
    assert read_model(iterator) is None
    assert read_model(iter(chain())) is None


def test_prefixes_name_the_slow_operation():
    """What one operation takes longer than what lies before it; the rest is cheap."""
    stages = time_prefixes(chain(), budget_s=1.0)
    assert stages.slowest.name.startswith("Map")
    assert stages.slowest.wall_s > 0.6 * sum(one.wall_s for one in stages.stages)


def test_options_hold_for_every_prefix_and_are_no_stage(monkeypatch):
    """Without them what lies before would run as tf.data sees fit, and the difference be theirs."""
    timed = []
    monkeypatch.setattr(
        prefix_timing, "_seconds_per_element", lambda dataset, *_: timed.append(dataset.options()) or (0.001, 10)
    )
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    data = chain().with_options(options).prefetch(1)
    stages = time_prefixes(data)
    assert "Options" not in [one.name for one in stages.stages]
    assert len(timed) == len(stages.stages) > 2
    assert all(one.experimental_optimization.apply_default_optimizations is False for one in timed)


def test_prefixes_take_their_time_from_the_clock():
    """TensorFlow's own operation that sleeps 5 ms for each of 4 elements takes 20 ms for a batch."""
    numbers = tf.data.Dataset.range(4000).map(lambda n: n + 1)
    stages = time_prefixes(numbers.apply(testing.sleep(5000)).batch(4), budget_s=1.0)
    assert stages.slowest.name == "Sleep"
    assert stages.slowest.wall_s == pytest.approx(0.02, rel=0.4)


@pytest.mark.parametrize("kind", ["concatenate", "zip", "zip of one", "sample", "applied"])
def test_several_datasets_are_left_alone(kind):
    """However they were put together: the times of one are not those of the others."""
    numbers = tf.data.Dataset.range(100)
    data = {
        "concatenate": lambda: numbers.concatenate(numbers),
        "zip": lambda: tf.data.Dataset.zip((numbers, numbers)),
        "zip of one": lambda: tf.data.Dataset.zip((numbers,)),
        "sample": lambda: tf.data.Dataset.sample_from_datasets([numbers, numbers]),
        "applied": lambda: numbers.apply(lambda one: one.concatenate(numbers)),
    }[kind]()
    assert isinstance(time_prefixes(data.batch(4)), str)


def read(log):
    def generator():
        for number in range(100):
            log.append(number)
            yield np.int64(number)

    return generator


PYTHON = ["numpy_function", "nested", "filter", "take_while", "scan", "key", "reduce", "window size", "bucket"]


@pytest.mark.parametrize(
    "kind",
    [
        "generator",
        "generator of v1",
        "batches of v1",
        "generator of names",
        "shuffled names",
        "random",
        "shuffle",
        "cache",
        "state",
        "zip",
        "unknown length",
        *PYTHON,
    ],
)
def test_chains_that_another_iterator_would_change_are_left_alone(kind):
    """Not one element is read of them, and the answer says why."""
    log = []

    def python(number):
        result = tf.numpy_function(lambda value: log.append(value) or value, [number], tf.int64)
        result.set_shape(())
        return result

    numbers = tf.data.Dataset.range(100)
    generator = tf.random.Generator.from_seed(1)
    data = {
        "generator": lambda: tf.data.Dataset.from_generator(read(log), output_signature=tf.TensorSpec((), tf.int64)),
        "generator of v1": lambda: tf.compat.v1.data.Dataset.from_generator(read(log), tf.int64, tf.TensorShape([])),
        "batches of v1": lambda: tf.compat.v1.data.Dataset.from_generator(
            read(log), tf.int64, tf.TensorShape([])
        ).batch(1),
        "generator of names": lambda: tf.data.TFRecordDataset(
            tf.data.Dataset.from_generator(read(log), output_signature=tf.TensorSpec((), tf.int64)).map(
                tf.strings.as_string
            )
        ),
        "shuffled names": lambda: tf.compat.v1.data.TextLineDataset(
            tf.data.Dataset.from_tensor_slices([__file__, __file__]).shuffle(2, seed=1)
        ),
        "random": lambda: tf.data.Dataset.random(seed=1).take(100),
        "numpy_function": lambda: numbers.map(python),
        "nested": lambda: numbers.map(lambda n: tf.cond(n > 3, lambda: python(n), lambda: n)),
        "filter": lambda: numbers.filter(lambda n: python(n) > 3),
        "take_while": lambda: numbers.take_while(lambda n: python(n) < 50),
        "scan": lambda: numbers.scan(np.int64(0), lambda state, n: (state, python(n))),
        "key": lambda: numbers.group_by_window(python, lambda key, window: window.batch(2), 2),
        "reduce": lambda: numbers.group_by_window(lambda n: n % 2, lambda key, window: window.map(python).batch(2), 2),
        "window size": lambda: numbers.group_by_window(
            lambda n: n % 2, lambda key, window: window.batch(2), window_size_func=lambda key: python(key) + 2
        ),
        "bucket": lambda: numbers.bucket_by_sequence_length(lambda n: tf.cast(python(n), tf.int32), [30], [2, 2]),
        "shuffle": lambda: numbers.shuffle(10, seed=1),
        "cache": numbers.cache,
        "state": lambda: numbers.map(lambda n: generator.uniform(())),
        "zip": lambda: tf.data.Dataset.zip((numbers, numbers)),
        "unknown length": lambda: numbers.filter(lambda n: n > 3),
    }[kind]()
    state = generator.state.numpy().tolist()
    why = time_prefixes(data.batch(4).prefetch(1))
    assert isinstance(why, str)
    assert why
    assert not log
    if kind in PYTHON:
        assert "calls Python" in compat.why_not_iterate(data)
    assert generator.state.numpy().tolist() == state


def test_what_cannot_be_counted_is_named():
    """How many elements a filter reads for one that it lets through is its function's secret."""
    numbers = tf.data.Dataset.from_tensor_slices(np.arange(100))
    why = time_prefixes(numbers.filter(lambda n: n > 3).batch(4))
    assert why == "how many elements Filter reads for one of its own is not known"
    assert time_prefixes(numbers.take(0).batch(4)) == "the dataset has not two batches"
    assert time_prefixes(numbers.take(4).batch(4)) == "the dataset has not two batches"


@pytest.mark.parametrize("lines", [tf.data.TextLineDataset, tf.compat.v1.data.TextLineDataset])
def test_files_are_read_again(lines):
    """Their names stand in the script, so another iterator reads the same."""
    assert [one.name for one in time_prefixes(lines([__file__, __file__])).stages] == ["TextLine"]


@pytest.mark.parametrize(
    ("kind", "batch_s"),
    [
        ("repeat", 0.02), ("one, repeated", 0.02), ("endless", 0.02), ("endless, then batch", 0.02), ("part of an endless one", 0.02),
        ("take", 0.02), ("skip", 0.02), ("shard", 0.04), ("batches before", 0.005), ("unknown length", 0.02),
    ],
)  # fmt: skip
def test_prefixes_count_what_a_batch_needs(kind, batch_s):
    """Not how many elements there are in all: who repeats or leaves out does not change what one costs."""

    def slowly(data):
        return data.apply(testing.sleep(5000))

    numbers = tf.data.Dataset.range(4000).apply(tf.data.experimental.assert_cardinality(4000))
    stages = time_prefixes(
        {
            "repeat": lambda: slowly(numbers).batch(4).repeat(5),
            "one, repeated": lambda: slowly(tf.data.Dataset.from_tensors(1).repeat(400)).batch(4),
            "endless": lambda: slowly(numbers).batch(4).repeat(),
            "endless, then batch": lambda: slowly(numbers).repeat().batch(4),
            "part of an endless one": lambda: slowly(numbers).repeat().take(300).batch(4),
            "take": lambda: slowly(numbers).batch(4).take(20),
            "skip": lambda: slowly(numbers).batch(4).skip(20),
            "shard": lambda: slowly(numbers).shard(2, 0).batch(4),
            "batches before": lambda: slowly(numbers.batch(8).take(200)),
            "unknown length": lambda: slowly(numbers.take_while(lambda n: n < 1000)).padded_batch(4),
        }[kind](),
        budget_s=0.5,
    )
    assert stages.slowest.name == "Sleep"
    assert stages.slowest.wall_s == pytest.approx(batch_s, rel=0.4)
    assert sum(one.wall_s for one in stages.stages) == pytest.approx(batch_s, rel=0.4)


@pytest.mark.parametrize("kind", ["shuffle", "shuffle of all", "skip", "large batches"])
def test_prefixes_keep_their_budget(kind):
    """It would take 10 s to fill that buffer, to skip, or to make two batches: what lies before is known by then."""
    slow = tf.data.Dataset.range(4000).apply(testing.sleep(5000))
    behind = {
        "shuffle": lambda: slow.shuffle(2000).batch(4),
        "shuffle of all": lambda: slow.shuffle(10**9).batch(4),
        "skip": lambda: slow.skip(2000).batch(4),
        "large batches": lambda: slow.batch(1000),
    }[kind]()
    begin = time.perf_counter()
    stages = time_prefixes(behind, budget_s=0.5)
    assert time.perf_counter() - begin < 2
    assert [one.name for one in stages.stages] == ["Range", "Sleep"]
    assert stages.slowest.wall_s == pytest.approx(5 if kind == "large batches" else 0.02, rel=0.4)
    missed = {"skip": "Skip", "large batches": "Batch"}.get(kind, "Shuffle")
    assert list(stages.not_measured) == [f"{missed} and what comes after it"]


def test_prefixes_do_not_count_what_asking_costs():
    """An element that Python asks for costs 0.1 ms, those of a batch a hundredth of that: the source is not to blame."""
    columns = {name: np.zeros((20_000, 8), "float32") for name in "abcdefgh"}
    slices = tf.data.Dataset.from_tensor_slices(columns)
    data = slices.shuffle(10_000).apply(testing.sleep(200)).batch(128).prefetch(1)
    stages = time_prefixes(data, budget_s=6.0)  # filling the buffer takes long on a busy machine
    assert [one.name for one in stages.stages][:3] == ["TensorSlice", "Shuffle", "Sleep"]
    assert stages.slowest.name == "Sleep"
    assert stages.stages[0].wall_s < 0.1 * stages.slowest.wall_s
    iterator = iter(data)
    next(iterator)
    begin = time.perf_counter()
    for _ in range(30):
        next(iterator)
    whole_s = (time.perf_counter() - begin) / 30
    assert sum(one.wall_s for one in stages.stages) == pytest.approx(whole_s, rel=0.5)


def test_order_of_a_shuffled_dataset_is_as_without_us():
    """A dataset whose order follows a global seed gives the same epochs, looked at or not."""

    def epochs(look):
        tf.random.set_seed(7)
        data = tf.data.Dataset.range(30).shuffle(30).batch(5)
        first = [batch.numpy().tolist() for batch in data]
        if look:
            time_prefixes(data)
        return first, [batch.numpy().tolist() for batch in data]

    assert epochs(False) == epochs(True)


def stages_of_fit(data, step_s=0.002, workers=None, shape=(8,), **arguments):
    model = make_scripted_model(step_s, shape)
    profiler = BottleneckProfiler(report=None)
    arguments = {"verbose": 0, "callbacks": [profiler], **arguments}
    if workers is None:
        model.fit(data, **arguments)
    else:
        fit_with_workers(model, data, workers, **arguments)
    return profiler


@pytest.mark.backends
def test_a_fit_from_an_image_generator_names_its_stage():
    """The article's case: the profile tells what takes the time, and the panel says it."""
    profiler = stages_of_fit(sleeping_image_iterator(0.04, 32), workers=1, shape=IMAGE_SHAPE)
    stages = profiler.profile.input_stages
    assert stages.slowest.name == "preprocessing_function"
    assert stages.slowest.wall_s == pytest.approx(0.01, rel=0.4)
    finding = next(one for one in profiler.diagnosis.findings if one.code == "slowest-stage")
    assert "preprocessing_function is" in finding.message
    assert "layer of the model" in finding.remedy.text


@pytest.mark.backends
def test_a_fit_that_does_not_wait_is_not_taken_apart():
    """Nobody would look at it."""
    profiler = stages_of_fit(sleeping_image_iterator(0.0, 32), step_s=0.05, workers=1, shape=IMAGE_SHAPE)
    assert profiler.diagnosis.verdict == "compute-bound"
    assert profiler.profile.input_stages is None or not profiler.profile.input_stages.stages


@needs_model
@pytest.mark.skipif(BACKEND != "tensorflow", reason="is of Keras 3 only, on TensorFlow")
def test_a_fit_from_tf_data_names_its_operation():
    """The next step is about the operation that was measured, not about the form of the pipeline."""
    data = tf.data.Dataset.range(4 * 40).map(lambda n: (tf.fill([8], heavy(n)), tf.zeros([1]))).batch(4)
    profiler = stages_of_fit(data, step_s=0.0)
    assert "Map" in profiler.profile.input_stages.slowest.name
    assert profiler.profile.input_stages.source == "tf.data model"
    assert "in parallel already" in profiler.diagnosis.next_step.text  # tf.data has seen to that by itself


@pytest.mark.backends
@pytest.mark.parametrize(("load_s", "step_s", "is_full"), [(0.0, 0.03, True), (0.06, 0.0, False)])
def test_the_queue_of_workers_is_looked_at(load_s, step_s, is_full):
    """Batches that lie ready when one is taken: many where the loader is faster, few where it is slower."""
    profiler = stages_of_fit(SleepingPyDataset(load_s, 40), step_s, workers=2)
    stages = profiler.profile.input_stages
    assert (stages.queue_depth > 4) is is_full
    assert stages.queue_empty_fraction < 0.3 or not is_full


def test_each_of_two_profilers_looks_at_the_queue():
    """The second does not take it from the first."""
    model = make_scripted_model(0.0)
    profilers = [BottleneckProfiler(report=None) for _ in range(2)]
    fit_with_workers(model, SleepingPyDataset(0.01, 40), 2, verbose=0, callbacks=profilers)
    depths = [profiler.profile.input_stages.queue_depth for profiler in profilers]
    assert depths[0] == depths[1] is not None


def test_what_a_worker_could_not_do_is_the_users_to_see():
    """Keras hands on an exception of a worker through the queue that is counted."""
    orders = SimpleNamespace(queue=[ValueError("the user's"), SimpleNamespace(ready=lambda: False)])
    adapter = SimpleNamespace(enqueuer=SimpleNamespace(future_queue=orders))
    fit = SimpleNamespace(arguments={"epoch_iterator": SimpleNamespace(data_adapter=adapter)})
    assert compat.queued_batches(fit)() == 1


@pytest.mark.backends
def test_a_queue_that_cannot_be_read_ends_nothing():
    """It is Keras' own, and may look different in the next version."""
    calls = []

    class Spoils(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            profiler._measurement.probe.before_pull.append(fail)

    def fail():
        calls.append(1)
        raise AttributeError("a fault on purpose")

    profiler = BottleneckProfiler(report=None)
    make_scripted_model(0.0).fit(free_dataset(30), verbose=0, callbacks=[profiler, Spoils()])
    assert calls == [1]
    assert profiler.profile.steps.num_steps == 30


def test_without_workers_there_is_no_queue():
    """None is not zero."""
    profiler = stages_of_fit(sleeping_dataset(0.02, 30))
    stages = profiler.profile.input_stages
    assert stages is None or stages.queue_depth is None


def test_faults_of_ours_are_told(monkeypatch):
    """A stage that cannot be timed is a reason in the profile, and the training ends as it would."""

    def failing(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(StageBlame, "conclude", failing)
    profiler = stages_of_fit(sleeping_dataset(0.02, 30))
    assert profiler.profile.not_measured["input_stages"] == "RuntimeError: broken"
    assert profiler.diagnosis.verdict == "input-bound"


def test_arrays_are_nothing_to_take_apart():
    """A tuple cannot be held weakly, and has no stages."""
    blame = StageBlame((1, 2), "arrays", None)
    assert blame.conclude(0.0) is None
    assert blame.stages() is None


def test_the_data_are_not_kept_alive():
    """A profiler outlives its data."""
    import weakref

    data = SleepingPyDataset(0.0, 3)
    gone = weakref.ref(data)
    blame = StageBlame(data, "py-dataset", None)
    del data
    assert gone() is None
    assert blame.conclude(0.0) is None
