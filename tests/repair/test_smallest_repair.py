"""autofix with evidence makes the smallest repair that is enough, on every Keras; the rule itself is in test_choice.py."""

from __future__ import annotations

import dataclasses
import re
import threading
import time

import numpy as np
import pytest
from builders import make_profile
from keras_api import IS_KERAS_2, keras, tf
from repair.generators import ARTICLE, ImageDataGenerator, make_generator, write_images

from kerasdiag import BottleneckProfiler, autofix, compat
from kerasdiag.errors import StoreError
from kerasdiag.input_identity import identify_input
from kerasdiag.repair import build
from kerasdiag.repair.choice import choose
from kerasdiag.repair.choice.remember import list_choices
from kerasdiag.repair.pipeline.pixels import StorePixels

pytestmark = pytest.mark.keras


@pytest.fixture
def accelerator(monkeypatch):
    """As if the model computed on a GPU: then a training is as fast as the slower of model and input."""
    monkeypatch.setattr(compat, "computes_on_accelerator", lambda generator: True)


def evidence_about(generator, gets, could_take, workers=1, **facts):
    """A training that got so many images a second, and would have taken so many."""
    batch = generator.batch_size
    identity = dataclasses.replace(identify_input(generator), workers=workers)
    wait_s, step_s = batch / gets - batch / could_take, batch / could_take
    facts = {"planned_steps_per_epoch": len(generator), **facts}
    return make_profile(wait_s, step_s, training_input=identity, **facts)


def wait_a_little(image):
    """A preprocessing_function that waits, as for a slow disk: the more threads the better."""
    time.sleep(0.01)
    return image


LOCK = threading.Lock()


def hold_everybody_up(image):
    """One that only one thread at a time can be in."""
    with LOCK:
        time.sleep(0.01)
    return image


def in_order(text, *parts):
    """Whether these parts stand in a text in this order."""
    places = [text.find(part) for part in parts]
    assert -1 not in places, (parts[places.index(-1)], text)
    return places == sorted(places)


# --- More workers ------------------------------------------------------------------------------------


@pytest.fixture
def waiting(images, accelerator):
    """A generator of some 100 images/s with one worker, for a training that gets 30 and could take 45."""

    def make(**arguments):
        return make_generator(*images, options={"preprocessing_function": wait_a_little}, **{"seed": None, **arguments})

    return make


def test_more_workers_where_they_are_enough(waiting, cache, capsys):
    """The generator itself comes back; Keras 3 has the number on it, on Keras 2 the line to type is printed."""
    generator = waiting()
    before = (generator.total_batches_seen, generator.batch_index, np.random.get_state()[2])
    result = autofix(generator, evidence_about(generator, 30, 45))
    assert result is generator
    assert (generator.total_batches_seen, generator.batch_index, np.random.get_state()[2]) == before
    report = result.repair_report
    assert (report.outcome, report.workers, report.storage, report.choice.chosen.workers) == ("workers", 2, None, 2)
    assert not (cache / "stores").exists()
    printed = capsys.readouterr().err
    assert in_order(
        printed,
        "autofix repairs this input: input-bound",
        "autofix compares repairs",
        "this training gets 30 images/s and could take 45",
        "workers=2 ",
        "<- chosen",
        "compiled, over the original files",
        "store on disk",
        "chosen: workers=2; the smallest one",
        "the generator 2 workers",
    )
    if IS_KERAS_2:
        assert "type: model.fit(train_data, workers=2)" in printed
    else:
        assert generator.workers == 2
    # Each candidate was measured, too: 100 images/s for each thread.
    measured = {one.text: one.measured for one in report.choice.candidates}
    assert 120 < measured["workers=2"] < 205
    assert report.images_per_s == measured["workers=2"]
    assert report.gain == pytest.approx(45 / 30, rel=0.01)
    assert "seed" not in printed
    model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(result, epochs=1, verbose=0, **({"workers": 2} if IS_KERAS_2 else {}))


@pytest.mark.thorough
def test_the_number_is_remembered(waiting, capsys):
    """The next run has no evidence, or good news; later still waiting with them asks for more."""
    generator = waiting()
    autofix(generator, evidence_about(generator, 30, 45), verbose=0)
    for evidence in (None, evidence_about(generator, 44, 45)):
        again = waiting()
        result = autofix(again, evidence)
        assert result is again
        assert (result.repair_report.outcome, result.repair_report.workers) == ("workers", 2)
        assert IS_KERAS_2 or again.workers == 2
        printed = capsys.readouterr().err
        assert "2 workers: as an earlier run found on 20" in printed
        assert "compares repairs" not in printed
    # A training that had them, after they were chosen, and waited still.
    later = evidence_about(generator, 30, 45, workers=2, created_at="2099-01-01T00:00:00+00:00")
    result = autofix(waiting(), later)
    assert in_order(capsys.readouterr().err, "compares repairs", "workers=4 ")
    assert result.repair_report.workers != 2


@pytest.mark.thorough
def test_a_seed_is_a_word_about_reproducibility(waiting, capsys):
    """Workers draw in the order in which they happen to run."""
    generator = waiting(seed=3)
    report = autofix(generator, evidence_about(generator, 30, 45)).repair_report
    assert report.outcome == "workers"
    assert any("with seed=3, too, each run sees other augmentations" in finding for finding in report.findings)
    assert "in the order in which they happen to run" in capsys.readouterr().err


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "facts", "why"),
    [
        ({"mode": "replay"}, {}, 'mode="replay" is the order of one worker'),
        ({"bad_images": "skip"}, {}, "an image that cannot be loaded would end the training"),
        ({}, {"use_multiprocessing": True}, "its workers are processes already"),
    ],
)
def test_no_workers_where_they_would_change_the_training(waiting, capsys, arguments, facts, why):
    """Another repair is made, and the reason is in the table."""
    generator = waiting(seed=3)
    evidence = evidence_about(generator, 30, 45)
    evidence = dataclasses.replace(evidence, training_input=dataclasses.replace(evidence.training_input, **facts))
    result = autofix(generator, evidence, **arguments)
    assert isinstance(result, tf.data.Dataset)
    assert f"not possible: more workers: {why}" in capsys.readouterr().err


@pytest.mark.thorough
def test_one_core_and_two_workers_already(images, accelerator, monkeypatch, capsys):
    """There is no number of workers left to try."""
    monkeypatch.setattr("kerasdiag.environment.facts.usable_cores", lambda root: 1)
    generator = make_generator(*images, options=ARTICLE)
    report = autofix(generator, evidence_about(generator, 20, 200, workers=2)).repair_report
    assert {one.repair for one in report.choice.candidates} == {"none", "disk", "memory"}
    assert "workers" not in capsys.readouterr().err


@pytest.mark.thorough
def test_without_the_compiled_kernel(images, accelerator, monkeypatch, capsys):
    """SciPy is compared under its own name."""
    monkeypatch.setenv("KERASDIAG_KERNEL", "scipy")
    generator = make_generator(*images, options=ARTICLE)
    report = autofix(generator, evidence_about(generator, 20, 50)).repair_report
    assert report.choice.candidates[-3].text == "scipy, over the original files"
    assert "compiled" not in capsys.readouterr().err.partition("chosen:")[0]


# --- Datasets ----------------------------------------------------------------------------------------


def test_no_store_where_the_kernel_is_enough(images, cache, accelerator, capsys):
    """The files are decoded anew in each pass, nothing is written but the choice, and the next run does the same."""
    generator = make_generator(*images, options=ARTICLE, seed=3)
    evidence = evidence_about(generator, 20, 200)
    dataset = autofix(generator, evidence)
    report = dataset.repair_report
    assert (report.outcome, report.storage, report.store, report.choice.chosen.repair) == (
        "repaired",
        "none",
        None,
        "none",
    )
    assert report.certificate.is_exact
    assert report.images_per_s > 200
    assert report.gain == pytest.approx(10, rel=0.01)
    assert not (cache / "stores").exists()
    printed = capsys.readouterr().err
    assert in_order(
        printed,
        "chosen: compiled, over the original files; ",
        "takes 24 images from their files",
        "measured afterwards",
    )
    batches = [part.numpy().tobytes() for batch in dataset for part in batch]
    # The choice is kept like a store: no evidence is asked for, and nothing is compared again.
    again = autofix(make_generator(*images, options=ARTICLE, seed=3))
    assert (again.repair_report.outcome, again.repair_report.storage) == ("reused", "none")
    assert "as an earlier run found on 20" in again.repair_report.reason
    assert "reuses the repair of an earlier call: 24 images from their files" in capsys.readouterr().err
    assert [part.numpy().tobytes() for batch in again for part in batch] == batches
    assert identify_input(again).repaired == "none"


@pytest.mark.thorough
def test_comparing_begins_no_pass(images, accelerator, tmp_path):
    """The first iteration is that of epoch 0, whatever was measured before."""
    compared = autofix(make_generator(*images, options=ARTICLE, seed=3), storage="disk", when="always", verbose=0)
    first = [batch[0].numpy().tobytes() for batch in compared]
    generator = make_generator(*images, options=ARTICLE, seed=3)
    chosen = autofix(generator, evidence_about(generator, 20, 200), cache_dir=tmp_path / "elsewhere", verbose=0)
    assert chosen.repair_report.storage == "none"
    assert [batch[0].numpy().tobytes() for batch in chosen] == first


@pytest.mark.thorough
def test_a_store_where_the_files_are_too_slow(images, cache, accelerator, capsys):
    """A training that takes everything gets the store; it is measured afterwards."""
    generator = make_generator(*images, options=ARTICLE)
    report = autofix(generator, evidence_about(generator, 20, 10**6)).repair_report
    assert (report.outcome, report.converted) == ("repaired", 24)
    assert report.choice.chosen.repair == report.storage
    assert report.storage in ("disk", "memory")
    assert report.gain > 5
    measured = {one.repair: one.measured for one in report.choice.candidates if one.repair != "workers"}
    assert measured["none"] > 0
    printed = capsys.readouterr().err
    assert re.search(
        r"chosen: store on disk \(\d\d.\d kB, about 1 s to make\); with anything smaller .* would reach", printed
    )
    assert "If the disk turns out too slow for it, the store is read into memory once it is made." in printed
    assert ("chosen instead" in printed) is (report.storage == "memory")
    assert "so the training should run" in printed
    assert identify_input(autofix(make_generator(*images, options=ARTICLE))).repaired in ("disk", "memory")


@pytest.mark.thorough
def test_memory_where_the_disk_is_too_slow(images, accelerator, monkeypatch, capsys):
    """That shows only when the store is there; the next run knows it."""
    measure = build.rate_of_plan

    def slow_disk(plan, pixels, kernel, environment):
        rate = measure(plan, pixels, kernel, environment)
        return dataclasses.replace(rate, images_per_s=50) if isinstance(pixels, StorePixels) else rate

    monkeypatch.setattr(build, "rate_of_plan", slow_disk)
    generator = make_generator(*images, options=ARTICLE)
    report = autofix(generator, evidence_about(generator, 20, 10**6)).repair_report
    assert (report.storage, report.reading, report.converted) == ("memory", "memory", 24)
    assert report.images_per_s > 50
    assert (report.choice.chosen.repair, report.choice.chosen.text) == ("memory", "that store, in memory")
    assert {one.repair: one.measured for one in report.choice.candidates}["disk"] == 50
    printed = capsys.readouterr().err
    assert in_order(
        printed,
        "<- chosen\nkerasdiag:   that store, in memory",
        "chosen: store on disk",
        "If the disk turns out too slow for it",
        "the store is there, and from the disk this dataset gives 50 images/s, which is not enough.",
        "chosen instead: that store, in memory; from the disk the training would reach ",
        ", from memory up to ",
        "measured afterwards",
    )
    assert " only" not in printed
    assert "from the disk the training would reach" in list_choices()[0][1].reason
    again = autofix(make_generator(*images, options=ARTICLE)).repair_report
    assert (again.outcome, again.storage, again.converted) == ("reused", "memory", 0)


@pytest.mark.thorough
def test_no_room_for_a_store(images, accelerator, monkeypatch, capsys):
    """The best of the others, if that helps; else the error that says how to make room."""

    def is_full(*_, **__):
        raise StoreError("The pixel store does not fit: 9 GB. Nothing was written. Choose another place.")

    monkeypatch.setattr(choose, "check_fits", is_full)
    monkeypatch.setattr("kerasdiag.repair.conversion.estimate.check_fits", is_full)
    generator = make_generator(*images, options=ARTICLE)
    report = autofix(generator, evidence_about(generator, 20, 10**6)).repair_report
    assert report.choice.chosen.repair in ("none", "workers")
    assert "not possible: store on disk" in capsys.readouterr().err
    slow = make_generator(*images, options={"preprocessing_function": hold_everybody_up})
    with pytest.raises(StoreError, match="Choose another place"):
        autofix(slow, evidence_about(slow, 95, 10**6), verbose=0)


@pytest.mark.thorough
def test_arrays_stay_where_they_are(accelerator, capsys):
    """Workers, or the kernel over the array; there is no store to make."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3)).astype("float32")
    source = ImageDataGenerator(**ARTICLE)
    generator = source.flow(pixels, np.arange(40), batch_size=8, seed=3)
    report = autofix(generator, evidence_about(generator, 20, 10**6)).repair_report
    assert (report.outcome, report.storage, report.reading) == ("repaired", "memory", "memory")
    assert "chosen: compiled, over the array" in capsys.readouterr().err
    again = autofix(source.flow(pixels, np.arange(40), batch_size=8, seed=3)).repair_report
    assert (again.outcome, again.storage) == ("reused", "memory")


@pytest.mark.thorough
def test_images_that_cannot_be_loaded_are_all_named(tmp_path, accelerator):
    """Neither workers nor files would train on; the conversion lists them."""
    frame = write_images(tmp_path / "images", 8)
    for name in frame["file"]:
        (tmp_path / "images" / name).write_bytes(b"no image")
    generator = make_generator(frame, tmp_path / "images")
    with pytest.raises(Exception, match="8 of 8 images"):
        autofix(generator, evidence_about(generator, 20, 200), verbose=0)


@pytest.mark.thorough
def test_little_gain_is_said(images, accelerator, capsys):
    """Where the time goes into a function that only one thread can be in, no repair helps."""
    generator = make_generator(*images, options={"preprocessing_function": hold_everybody_up}, seed=None)
    report = autofix(generator, evidence_about(generator, 95, 10**6)).repair_report
    assert report.gain < 1.2
    assert any("as fast only" in finding for finding in report.findings)
    assert "as fast only" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_validation_is_judged_by_the_training(images, accelerator, capsys):
    """It takes about three times as many images a second; what it gets nobody has measured."""
    training, validation = make_generator(*images, options=ARTICLE), make_generator(*images, batch_size=5)
    evidence = evidence_about(training, 20, 100, validation_input=identify_input(validation))
    report = autofix(validation, evidence).repair_report
    assert report.choice.need.images_per_s == pytest.approx(300)
    assert report.gain is None
    assert "validation could take about 300 images/s" in capsys.readouterr().err


@pytest.mark.thorough
@pytest.mark.parametrize("storage", ["disk", "none", "memory"])
def test_storage_forces_one(images, accelerator, capsys, storage):
    """Nothing is compared, and nothing is remembered as a choice."""
    generator = make_generator(*images, options=ARTICLE)
    report = autofix(generator, evidence_about(generator, 20, 200), storage=storage).repair_report
    assert (report.storage, report.choice) == (storage, None)
    assert "compares" not in capsys.readouterr().err
    assert list_choices() == []


# --- What is a dataset already -----------------------------------------------------------------------


def test_a_dataset_that_the_evidence_is_not_about(capsys):
    """Nothing repairs a dataset, so no line says that something does."""
    dataset = tf.data.Dataset.range(3)
    assert autofix(dataset, make_profile(0.1, 0.05)) is dataset
    printed = capsys.readouterr().err
    assert "about another input" in printed
    assert "anyway" not in printed


def test_a_dataset_comes_back_with_its_findings(capsys):
    """As it is; the advice of its verdict is in the report and on stderr."""
    dataset = tf.data.Dataset.from_tensor_slices(np.zeros((8, 2), "float32")).map(lambda row: row).batch(2)
    identity = identify_input(dataset)
    profile = make_profile(0.1, 0.05, training_input=identity)
    assert autofix(dataset, profile) is dataset
    report = dataset.repair_report
    assert (report.outcome, report.verdict, dataset.steps_per_epoch) == ("kept", "input-bound", 4)
    assert "num_parallel_calls=tf.data.AUTOTUNE" in report.findings[0]
    printed = capsys.readouterr().err
    assert "autofix kept the dataset: it is a tf.data.Dataset already; input-bound" in printed
    assert report.findings[0] in printed
    assert [batch.shape[0] for batch in dataset] == [2, 2, 2, 2]


@pytest.mark.thorough
def test_a_dataset_without_evidence(capsys):
    """One line; its length is unknown and stays so."""
    dataset = tf.data.Dataset.from_tensor_slices(np.zeros((8, 2))).filter(lambda row: True)
    assert autofix(dataset, when="always") is dataset
    assert dataset.repair_report.findings == ()
    assert dataset.steps_per_epoch is None
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.thorough
def test_our_own_dataset_is_left_alone(images, capsys):
    """A script may call autofix twice."""
    dataset = autofix(make_generator(*images), when="always", verbose=0)
    report = dataset.repair_report
    assert autofix(dataset, when="always") is dataset
    assert dataset.repair_report is report
    assert "autofix made it" in capsys.readouterr().err


def test_a_profile_of_our_dataset_says_what_is_left_to_do(images):
    """Its advice is never cache(): that would freeze the augmentation."""
    dataset = autofix(make_generator(*images, options=ARTICLE), when="always", storage="none", verbose=0)
    model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    profiler = BottleneckProfiler(report=None)
    model.fit(dataset, epochs=2, verbose=0, callbacks=[profiler])
    assert profiler.profile.training_input.repaired == "none"
    profile = make_profile(0.1, 0.05, training_input=profiler.profile.training_input)
    from kerasdiag.diagnosis import diagnose

    assert diagnose(profile).next_step.code == ('train_data = autofix(train_generator, when="always", storage="disk")',)
