"""What a step does besides changing variables is put back, or the step is not made once more and a reason is told."""

from __future__ import annotations

import random

import numpy as np
import pytest
from keras_api import BACKEND, keras, tf
from profiler.step_effects import KEPT, REFUSED, attribute_counter, in_step
from trainings import are_equal, outcome

from kerasdiag import BottleneckProfiler

pytestmark = [pytest.mark.keras, pytest.mark.backends, pytest.mark.thorough]

X = np.random.default_rng(3).random((48, 8)).astype("float32")


def train_twice(place, make, *, ceilings, compiled=BACKEND == "jax"):
    """Two fits with a profiler each; all that they end with, and the ceilings of the first."""
    keras.backend.clear_session()  # before Keras 3.7 a seed does not reset the generator of seeds
    keras.utils.set_random_seed(5)
    tf.random.set_global_generator(tf.random.Generator.from_seed(9))
    effect, count = make()
    model = place(effect)
    model.compile("sgd", "mse", jit_compile=compiled)
    profilers, ends = [BottleneckProfiler(report=None, ceilings=ceilings) for _ in range(2)], []
    for profiler in profilers:
        history = model.fit(X, X[:, :1], batch_size=2, shuffle=False, verbose=0, callbacks=[profiler])
        ends += [*outcome(model, history), np.random.random(), random.random(), count()]
    return ends, profilers[0].profile.ceilings


def ceilings_of(place, make, **how):
    """The ceilings, once it is shown that two fits are with them what they are without."""
    plain, _ = train_twice(place, make, ceilings=False, **how)
    assert are_equal(plain, train_twice(place, make, ceilings=False, **how)[0]), "this case proves nothing"
    measured, ceilings = train_twice(place, make, ceilings=True, **how)
    assert are_equal(plain, measured)
    return ceilings


@pytest.mark.parametrize(("place", "make", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_step_that_leaves_something_behind_is_not_made_once_more(place, make, reason):
    """Calls of Python, logs, tables, iterators: as many as the training made, and one line says why."""
    ceilings = ceilings_of(place, make)
    assert ceilings.step_s is None
    assert reason in ceilings.not_measured["step"]
    assert "Error" not in ceilings.not_measured["step"]


@pytest.mark.parametrize(("place", "make"), [case[1:] for case in KEPT], ids=[case[0] for case in KEPT])
def test_what_can_be_put_back_is(place, make):
    """Random numbers of whomever, variables that no model has, buffers, counters; functions said to be pure."""
    assert ceilings_of(place, make).step_s > 0


@pytest.mark.skipif(BACKEND == "tensorflow", reason="is of Keras 3 only, on JAX and torch")
def test_a_train_step_of_python_is_not_made_once_more():
    """Not compiled, it runs line by line each time."""
    ceilings = ceilings_of(in_step, attribute_counter, compiled=False)
    assert "train_step of its own" in ceilings.not_measured["step"]


@pytest.mark.skipif(BACKEND != "jax", reason="is of Keras 3 only, on JAX")
def test_a_kernel_is_no_python():
    """Its effects are on its own memory."""
    from jax.experimental import pallas

    def double(inputs, outputs):
        outputs[...] = inputs[...] * 2

    def effect(_, x):
        import jax

        doubled = pallas.pallas_call(double, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)
        return doubled(jax.lax.stop_gradient(x))

    assert ceilings_of(in_step, lambda: (effect, lambda: 0)).step_s > 0
