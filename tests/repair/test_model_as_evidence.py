"""autofix(generator, model): both measured apart in a few seconds, and left as they were."""

from __future__ import annotations

import time

import numpy as np
import pytest
from keras_api import keras
from repair.generators import ARTICLE, make_generator

from kerasdiag import autofix
from kerasdiag.ceilings.apart import measure_apart
from kerasdiag.diagnosis import diagnose
from kerasdiag.errors import BadImagesError, EvidenceError
from kerasdiag.input_identity import identify_input

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

SIZE = (24, 24)


def make_model(*, dropout=True, layers=(), **compile_arguments):
    """A small classifier, the same each time."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((*SIZE, 3))
    outputs = keras.layers.Flatten()(inputs)
    for layer in layers:
        outputs = layer(outputs)
    outputs = keras.layers.Dropout(0.5, seed=3)(outputs) if dropout else outputs
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(outputs))
    model.compile("adam", "categorical_crossentropy", jit_compile=False, **compile_arguments)
    return model


def slow(image):
    time.sleep(0.01)
    return image


def test_a_slow_generator_is_repaired_for_a_fast_model(images, cache, capsys):
    """The verdict, and what the training could take, come from both measured apart."""
    generator = make_generator(
        *images, target_size=SIZE, batch_size=4, options={"preprocessing_function": slow, **ARTICLE}
    )
    data = autofix(generator, make_model())
    said = capsys.readouterr().err
    assert "measures this input and this model apart" in said
    report = data.repair_report
    assert report.verdict == "input-bound"
    assert report.outcome != "kept"
    assert "input and step were measured apart, and a training of them would wait for data" in said
    assert "input and model were measured apart: a training of them would get" in said
    # No fit has run.
    assert "this training gets" not in said
    assert "the training waited" not in said


def test_what_the_first_step_builds_is_built_once(images):
    """Slots of the optimizer and variables of metrics: as many as without the measurement."""

    def variables(measure):
        model = make_model(metrics=["accuracy", keras.metrics.AUC(multi_label=True)])
        generator = make_generator(*images, target_size=SIZE, batch_size=4, options={})
        if measure:
            measure_apart(generator, identify_input(generator), model)
        model.fit(generator, epochs=2, verbose=0)
        of_optimizer = model.optimizer.variables
        of_optimizer = of_optimizer() if callable(of_optimizer) else of_optimizer
        return len(of_optimizer), [len(metric.variables) for metric in model.metrics]

    assert variables(True) == variables(False)


def test_a_fast_generator_is_kept_for_a_slow_model(images, cache, capsys):
    """Nothing to gain, and one line that says so."""
    layers = [keras.layers.Dense(4096) for _ in range(6)]
    generator = make_generator(*images, target_size=SIZE, batch_size=4)
    assert autofix(generator, make_model(layers=layers)) is generator
    assert "compute-bound" in capsys.readouterr().err


@pytest.mark.parametrize("how", [{}, {"steps_per_execution": 3}])
@pytest.mark.parametrize("dropout", [True, False])
def test_nothing_is_moved(images, dropout, how):
    """Weights, optimizer, dropout masks, the generator's counters and NumPy's numbers: a training afterwards is the same."""

    def run(look):
        generator = make_generator(*images, target_size=SIZE, batch_size=4, seed=7, options=ARTICLE)
        model = make_model(dropout=dropout, **how)
        np.random.seed(2)
        if look:
            profile = measure_apart(generator, identify_input(generator), model)
            assert profile.ceilings.step_s > 0
            assert profile.ceilings.input_s > 0
        history = model.fit(generator, epochs=2, shuffle=False, verbose=0)
        return [
            np.asarray(history.history["loss"]),
            *model.get_weights(),
            np.random.random(),
            generator.total_batches_seen,
        ]

    plain = run(False)
    assert all(np.array_equal(one, other) for one, other in zip(plain, run(False))), "this case proves nothing"
    assert all(np.array_equal(one, other) for one, other in zip(plain, run(True)))


def test_the_profile_says_that_nothing_was_trained(images):
    """Its numbers have no interval, and its sentence says how they are known."""
    generator = make_generator(*images, target_size=SIZE, batch_size=4, options={"preprocessing_function": slow})
    diagnosis = diagnose(measure_apart(generator, identify_input(generator), make_model()))
    assert diagnosis.verdict == "input-bound"
    assert "measured apart" in diagnosis.statement
    assert diagnosis.measured_steps == 0
    assert diagnosis.data_wait_interval is None
    assert diagnosis.mean_step_s == pytest.approx(0.04, rel=0.5)


def test_a_store_is_used_without_measuring(images, cache, capsys):
    """A repair that was made before is used whatever the model does."""
    generator = make_generator(*images, target_size=SIZE, batch_size=4)
    autofix(generator, when="always")
    capsys.readouterr()
    autofix(generator, make_model())
    assert "measures this input" not in capsys.readouterr().err


@pytest.mark.parametrize(("spoil", "message"), [("compile", "not compiled"), ("build", "not built")])
def test_models_that_cannot_be_measured(images, cache, spoil, message):
    """One sentence that says what to do."""
    generator = make_generator(*images, target_size=SIZE, batch_size=4)
    if spoil == "compile":
        model = keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    else:
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
        model.compile("sgd", "mse")
    with pytest.raises(EvidenceError, match=message):
        autofix(generator, model)
    assert autofix(generator, model, on_error="keep", verbose=0) is generator


def test_files_that_are_not_there(images, tmp_path, cache):
    """The folder is wrong, and that is said; with a compiled model the generator is asked first."""
    generator = make_generator(images[0], tmp_path, target_size=SIZE, validate_filenames=False)
    with pytest.raises(BadImagesError, match="None of the 24 images exists"):
        autofix(generator, make_model(), verbose=0)


def test_a_model_whose_steps_cannot_be_put_back(images):
    """It is not trained for the sake of a number; the error says why, and what else there is."""
    generator = make_generator(*images, target_size=SIZE, batch_size=4)
    model = make_model(run_eagerly=True)
    before = model.get_weights()
    with pytest.raises(EvidenceError, match=r"run_eagerly.* cannot be put back.* Pass the profiler of a fit"):
        measure_apart(generator, identify_input(generator), model)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights()))
