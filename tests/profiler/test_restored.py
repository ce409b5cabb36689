"""Whatever ends a fit, ``model.train_function`` is Keras' own again, and what was measured is not lost."""

from __future__ import annotations

import gc
import time
import weakref

import numpy as np
import pytest
from keras_api import PyDataset, keras, tf
from trainings import BATCH_SIZE, STEPS, Batches, are_equal, fit_arguments, make_arrays, make_model, outcome

from kerasdiag import BottleneckProfiler
from kerasdiag.profiler.data_probe.probe import _TimedTrainFunction

pytestmark = pytest.mark.keras


class Boom(Exception):
    """Raised on purpose."""


class Raising(keras.callbacks.Callback):
    """Raises in one hook, the n-th time it is called."""

    def __init__(self, hook, at, error=Boom):
        super().__init__()
        self.calls = 0

        def raise_here(*args, **kwargs):
            self.calls += 1
            if self.calls == at:
                raise error

        setattr(self, hook, raise_here)

    def _implements_train_batch_hooks(self):
        return True


def train_function_of(model):
    """What Keras would call now; made if it is not there."""
    function = model.make_train_function() or model.train_function
    assert not isinstance(function, _TimedTrainFunction)
    return function


def fit(model, callbacks, **arguments):
    return model.fit(**{**fit_arguments("arrays"), "verbose": 0, **arguments}, callbacks=callbacks)


def assert_is_original(model, original):
    assert vars(model)["train_function"] is original


def wait_until(is_so, limit_s=10.0):
    end_s = time.monotonic() + limit_s
    while not is_so() and time.monotonic() < end_s:
        time.sleep(0.01)


def test_after_a_plain_fit():
    """on_train_end leaves nothing."""
    model = make_model()
    original = train_function_of(model)
    fit(model, [BottleneckProfiler(report=None)])
    assert_is_original(model, original)


HOOKS = [
    ("on_train_batch_begin", 1),
    ("on_train_batch_begin", 4),
    ("on_train_batch_end", 1),
    ("on_train_batch_end", 4),
    ("on_epoch_begin", 1),
    ("on_epoch_begin", 2),
    ("on_epoch_end", 1),
    ("on_test_begin", 1),
    ("on_train_end", 1),
]


@pytest.mark.parametrize("order", ["profiler first", "profiler last"])
@pytest.mark.parametrize(("hook", "at"), HOOKS)
def test_after_an_exception_in_another_callback(hook, at, order):
    """At once, while the exception is still being handled, wherever in the fit it was raised."""
    model = make_model()
    original = train_function_of(model)
    profiler = BottleneckProfiler(report=None)
    callbacks = [profiler, Raising(hook, at)]
    x, y = make_arrays()
    with pytest.raises(Boom) as caught:
        fit(model, callbacks if order == "profiler first" else callbacks[::-1], epochs=2, validation_data=(x, y))
    assert_is_original(model, original)
    assert caught.value is not None  # the traceback, and with it the frame of fit, is still alive
    expected = {"on_train_batch_begin": at - 1, "on_train_batch_end": at, "on_epoch_begin": (at - 1) * STEPS}.get(hook)
    if expected is not None:
        assert profiler.profile.steps.num_steps == expected
    finished = hook == "on_train_end" and order == "profiler first"
    assert profiler.profile.state == ("completed" if finished else "interrupted")


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_after_an_exception_in_the_loader_or_the_step(error):
    """Ctrl-C while Python code of the training runs: nothing left, nothing lost."""

    class Interrupted(keras.Model):
        def train_step(self, data):
            if vars(self).get("steps_left") == 0:
                raise error
            object.__setattr__(self, "steps_left", vars(self).get("steps_left", 3) - 1)
            return super().train_step(data)

    inputs = keras.Input((8,))
    model = Interrupted(inputs, keras.layers.Dense(3)(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=True)
    original = train_function_of(model)
    profiler = BottleneckProfiler(report=None)
    with pytest.raises(error):
        fit(model, [profiler])
    assert_is_original(model, original)
    assert profiler.profile.steps.num_steps == 3
    assert profiler.profile.state == "interrupted"


def test_after_a_loader_that_raises():
    """The loader's own exception comes through; the steps before it are kept."""

    class Broken(Batches):
        def __getitem__(self, index):
            if index == 5:
                raise Boom("a broken image")
            return super().__getitem__(index)

    model = make_model()
    original = train_function_of(model)
    profiler = BottleneckProfiler(report=None)
    with pytest.raises(Exception, match=r"a broken image|Boom"):
        fit(model, [profiler], x=Broken(), y=None, batch_size=None, shuffle=False)
    assert_is_original(model, original)
    assert profiler.profile.state == "interrupted"
    assert profiler.profile.steps.num_steps == 5


def test_between_two_steps_it_is_keras_own():
    """Any callback that looks, or trains on a batch of its own, finds the original."""
    seen = []

    class Looks(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(vars(self.model)["train_function"])

        def on_train_batch_end(self, batch, logs=None):
            if batch != 0:  # after the first step Keras' TensorBoard may be shown the traced graph
                seen.append(vars(self.model)["train_function"])

    model = make_model()
    original = train_function_of(model)
    for callbacks in ([BottleneckProfiler(report=None), Looks()], [Looks(), BottleneckProfiler(report=None)]):
        fit(model, callbacks, epochs=2)
    assert len(seen) > 4 * STEPS
    assert all(function is original for function in seen)


def test_a_callback_may_train_on_a_batch_of_its_own():
    """train_on_batch inside a hook is not taken for a step of the fit."""

    class Trains(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch in (0, 1, 3):  # 0: when TensorBoard may look at the traced graph
                x, y = make_arrays()
                self.model.train_on_batch(x[:BATCH_SIZE], y[:BATCH_SIZE])

    def run(callbacks):
        model = make_model(dropout=False)
        return outcome(model, fit(model, [*callbacks, Trains()]))

    profiler = BottleneckProfiler(report=None)
    assert are_equal(run([]), run([profiler]))
    assert profiler.profile.steps.num_steps == STEPS


def test_two_profilers_share_one_measurement():
    """Both see every step once; the training is the same; the original is back."""
    plain = make_model()
    expected = outcome(plain, fit(plain, [], epochs=2))
    model = make_model()
    original = train_function_of(model)
    first, second = BottleneckProfiler(report=None), BottleneckProfiler(report=None)
    assert are_equal(expected, outcome(model, fit(model, [first, second], epochs=2)))
    assert_is_original(model, original)
    assert first.profile.steps.wait_s == second.profile.steps.wait_s
    assert first.profile.steps.period_s == second.profile.steps.period_s
    assert first.profile.steps.num_steps == 2 * STEPS


def test_before_and_in_a_second_fit_without_profiler():
    """A fit without the profiler runs Keras' own function, also after an interrupted one."""
    model = make_model()
    profiler = BottleneckProfiler(report=None)
    with pytest.raises(Boom):
        fit(model, [profiler, Raising("on_train_batch_end", 3)])
    before = profiler.profile
    fit(model, [])
    assert profiler.profile.steps == before.steps
    fit(model, [profiler])
    assert profiler.profile.steps.num_steps == STEPS
    assert profiler.profile.state == "completed"


@pytest.mark.parametrize("traceback", ["kept", "dropped"])
def test_a_function_left_armed_passes_on_and_goes(traceback):
    """Ctrl-C in the instant between arming and the call leaves ours behind: it goes with the fit, or at the next one."""
    model = make_model()
    original = train_function_of(model)
    profiler = BottleneckProfiler(report=None)
    for next_callbacks in ([], [BottleneckProfiler(report=None)]):
        with pytest.raises(KeyboardInterrupt) as caught:
            fit(model, [ArmsAndLeaves(profiler)])
        if traceback == "kept":  # as in a notebook, where sys.last_traceback keeps the frame of fit
            assert isinstance(vars(model)["train_function"], _TimedTrainFunction)
        else:
            del caught
            gc.collect()
            # Keras 3.6 has a pool of threads for its callbacks, and one of these may be the last that holds the fit.
            wait_until(lambda: vars(model)["train_function"] is original)
            assert_is_original(model, original)
        steps_before = profiler.profile.steps.num_steps
        fit(model, next_callbacks)
        assert_is_original(model, original)
        assert profiler.profile.steps.num_steps == steps_before
        assert profiler.profile.state == "interrupted"


class ArmsAndLeaves(BottleneckProfiler):
    """Stands for a Ctrl-C that hits right after arming: the container's hook raises with our function in place."""

    def __init__(self, profiler):
        super().__init__(report=None)
        self.profiler = profiler

    def on_train_begin(self, logs=None):
        self.profiler.set_model(self.model)
        self.profiler.on_train_begin()
        probe = self.profiler._measurement.probe
        steps = []

        def begin(batch, logs=None):
            probe._on_batch_begin(batch, logs)
            steps.append(batch)
            if len(steps) == 3:
                raise KeyboardInterrupt

        probe._container().on_train_batch_begin = begin


def test_a_function_made_anew_in_the_middle_is_measured_too():
    """Unfreezing layers in a callback makes Keras build a new step; the profiler follows."""

    class Remakes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.train_function = None
                made = self.model.make_train_function(force=True)
                self.model.train_function = made or self.model.train_function

    def run(callbacks):
        model = make_model(dropout=False)
        return outcome(model, fit(model, [*callbacks, Remakes()], epochs=2))

    plain = run([])
    profiler = BottleneckProfiler(report=None)
    assert are_equal(plain, run([profiler]))
    assert profiler.profile.steps.num_steps == 2 * STEPS


def test_neither_data_nor_model_are_kept_alive():
    """A profiler that is kept for its numbers does not keep gigabytes of images or weights with it."""

    def what_stays(profiler):
        model, data = make_model(), Batches()
        references = [weakref.ref(model), weakref.ref(data)]
        model.fit(data, verbose=0, callbacks=[profiler] if profiler else [])
        if profiler:
            profiler.set_model(None)
        del model, data
        for _ in range(3):
            gc.collect()
        return [reference() is not None for reference in references]

    profiler = BottleneckProfiler(report=None)
    assert what_stays(profiler) == what_stays(None)  # Keras alone may keep something, too
    assert profiler.profile.steps.num_steps == STEPS
    assert profiler.profile.method == "one-step-function"


@pytest.mark.parametrize("executions", [1, 4])
def test_keras_tensorboard_works_beside(tmp_path, executions):
    """It reads the traced graph of the step right after the first execution, and still finds it."""
    pytest.importorskip("tensorboard")
    for callbacks in ([BottleneckProfiler(report=None)], []):
        model = make_model(steps_per_execution=executions)
        folder = tmp_path / str(len(callbacks))
        board = keras.callbacks.TensorBoard(folder, write_graph=True, update_freq=1, profile_batch=0)
        fit(model, [*callbacks, board])
    files = [sorted(path.name.split(".")[0] for path in (tmp_path / str(n)).rglob("events*")) for n in (0, 1)]
    assert files[0] == files[1]
    tags = [_summary_tags(tmp_path / str(n)) for n in (0, 1)]
    assert tags[0] == tags[1]


def test_an_error_of_the_script_does_not_end_in_our_frames():
    """Keras leaves its own frames out of a traceback; with ours at its end the user would look for the mistake here."""

    class Mistaken(keras.Model):
        def call(self, inputs):
            return inputs + undefined_name  # noqa: F821

    model = Mistaken()
    model.compile("sgd", "mse")
    with pytest.raises(NameError) as caught:
        model.fit(np.zeros((8, 2)), np.zeros((8, 2)), verbose=0, callbacks=[BottleneckProfiler(report=None)])
    assert not [
        entry for entry in caught.traceback if "/kerasdiag/" in str(entry.path) and "/tests/" not in str(entry.path)
    ]


def _summary_tags(folder):
    tags = set()
    for file in folder.rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            tags |= {value.tag for value in event.summary.value}
            if event.graph_def:
                tags.add("<graph>")
    return tags


def test_batches_that_come_late_are_seen_as_they_are():
    """The wait is the loader's, the step the model's, however the fit was entered."""

    class Slow(PyDataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            time.sleep(0.02)
            return np.zeros((4, 8), "float32"), np.zeros(4, "int64")

    profiler = BottleneckProfiler(report=None)
    make_model().fit(Slow(), verbose=0, callbacks=[profiler])
    assert profiler.diagnosis.data_wait_fraction > 0.6


def test_a_function_made_anew_in_the_middle_of_an_epoch_is_no_compute_time():
    """Its tracing is neither a step nor waiting."""

    class Remakes(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 30:
                self.model.train_function = None
                made = self.model.make_train_function(force=True)
                self.model.train_function = made or self.model.train_function

    model = make_model()
    profiler = BottleneckProfiler(report=None)
    model.fit(Batches(examples=8 * 60), verbose=0, callbacks=[profiler, Remakes()])
    steps = profiler.profile.steps
    assert steps.num_steps == 60
    assert sum(steps.warm_up) == 6
    assert max(steps.measured.period_s) < 0.3 * max(steps.period_s) or max(steps.measured.period_s) < 0.05


def test_slow_generator_is_not_stalled_by_us():
    """No gap between two steps is longer by the model's own stamps than in the profile."""
    from scripted import make_scripted_model, sleeping_generator

    model = make_scripted_model(0.0)
    profiler = BottleneckProfiler(report=None)
    model.fit(sleeping_generator(0.1, 30), steps_per_epoch=30, verbose=0, callbacks=[profiler])
    gaps = [later - earlier for earlier, later in zip(model.stamps[1:], model.stamps[2:])]
    assert max(gaps) < 0.4
    assert max(profiler.profile.steps.period_s[1:]) == pytest.approx(max(gaps), abs=0.08)


def test_a_vocabulary_in_the_model_costs_no_ceiling():
    """Keras 2 has its handler among the variables of the model."""
    lookup = keras.layers.StringLookup()
    lookup.adapt(np.array(["a", "b"]))
    words = keras.Input((1,), dtype="string")
    outputs = keras.layers.Flatten()(keras.layers.Embedding(6, 4)(lookup(words)))
    model = keras.Model(words, keras.layers.Dense(1)(outputs))
    model.compile("sgd", "mse")
    data = tf.data.Dataset.from_tensor_slices((np.array([["a"], ["z"]] * 48), np.zeros((96, 1), "float32"))).batch(4)
    profiler = BottleneckProfiler(report=None, ceilings=True)
    model.fit(data, verbose=0, callbacks=[profiler])
    assert profiler.profile.ceilings.step_s > 0
