"""autofix itself: what it decides, says, refuses and leaves alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import make_profile
from keras_api import keras, tf
from PIL import Image
from repair.generators import ARTICLE, make_generator, write_images

from kerasdiag import RunProfile, autofix
from kerasdiag.errors import (
    BadImagesError,
    KerasDiagError,
    NotAGeneratorError,
    ParityError,
    StoreError,
    UnsupportedOptionError,
)
from kerasdiag.input_identity import identify_input
from kerasdiag.repair import convert, request
from kerasdiag.repair.pipeline.augment import Augmenter
from kerasdiag.repair.pipeline.batches import BatchMaker

pytestmark = pytest.mark.keras
HERE = Path(__file__).parent


def evidence_about(generator, wait_s=0.1, **facts):
    return make_profile(wait_s, 0.05, training_input=identify_input(generator), **facts)


def test_bottleneck_is_repaired(images, capsys):
    """Evidence, conversion, and lines on stderr that say what was done; nothing on stdout."""
    generator = make_generator(*images, options=ARTICLE)
    dataset = autofix(generator, evidence_about(generator, planned_steps_per_epoch=3), storage="disk")
    assert isinstance(dataset, tf.data.Dataset)
    assert len(dataset) == dataset.steps_per_epoch == 3  # what fit planned
    report = dataset.repair_report
    assert (report.outcome, report.verdict, report.converted, report.kernel) == (
        "repaired",
        "input-bound",
        24,
        "compiled",
    )
    assert report.certificate.rows == 24
    assert report.certificate.is_exact
    assert report.not_measured == ()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "autofix repairs this input: input-bound: the training waited for data 67% of its time" in printed.err
    assert "autofix converted 24 images" in printed.err
    assert "24 rows compared with the generator: images, labels and weights equal in every bit" in printed.err


@pytest.mark.parametrize("wait_s", [0.0, 0.006])
def test_no_bottleneck_keeps_the_generator(images, cache, capsys, wait_s):
    """The very same object, one line, nothing written, and the four attributes."""
    generator = make_generator(*images)
    kept = autofix(generator, evidence_about(generator, wait_s))
    assert kept is generator
    assert not (cache / "stores").exists()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "kept the generator" in lines[0]
    assert (kept.num_classes, kept.steps_per_epoch, kept.set_epoch(3)) == (3, 57, None)
    assert kept.repair_report.outcome == "kept"
    assert kept.repair_report.verdict == ("partly-input-bound" if wait_s else "compute-bound")


def test_a_repair_is_used_again_whatever_the_evidence_says(images, capsys):
    """After a repair the next profile is compute-bound; that must not bring the slow path back."""
    generator = make_generator(*images)
    autofix(generator, when="always")
    capsys.readouterr()
    for evidence in (None, evidence_about(generator, 0.0), evidence_about(generator, count=8)):
        dataset = autofix(make_generator(*images, batch_size=4, seed=1), evidence)
        assert (dataset.repair_report.outcome, dataset.repair_report.converted) == ("reused", 0)
    assert "reuses the repair of an earlier call: 24 images" in capsys.readouterr().err


def test_training_and_validation_share_a_store(images, cache):
    """Folds, labels, batch sizes and subsets convert no image twice; other loader options do."""
    frame, folder = images
    options = {"validation_split": 0.25}
    reports = [
        autofix(make_generator(frame, folder, options=options, subset=subset), when="always").repair_report
        for subset in ("training", "validation")
    ]
    assert [report.converted for report in reports] == [18, 6]
    for fold in range(5):
        part = frame[np.arange(24) % 5 != fold]
        report = autofix(make_generator(part, folder, class_mode="sparse", batch_size=3), when="always").repair_report
        assert report.converted == 0
    assert len(list((cache / "stores").iterdir())) == 1
    assert autofix(make_generator(*images, color_mode="grayscale"), when="always").repair_report.converted == 24
    assert len(list((cache / "stores").iterdir())) == 2


def test_a_changed_image_is_converted_again(tmp_path):
    """Touching files changes nothing; another content does, and is what the dataset then yields."""
    frame = write_images(tmp_path / "images")
    generator = make_generator(frame, tmp_path / "images", shuffle=False)
    autofix(generator, when="always", verbose=0)
    for name in frame["file"]:
        os.utime(tmp_path / "images" / name, (1, 1))
    assert autofix(generator, when="always", verbose=0).repair_report.converted == 0
    Image.new("RGB", (40, 40), (200, 10, 30)).save(tmp_path / "images" / frame["file"][0])
    assert autofix(generator, verbose=0) is generator  # no evidence, and not all of it lies in the store
    dataset = autofix(generator, when="always", verbose=0)
    assert dataset.repair_report.converted == 1
    assert next(iter(dataset))[0][0].numpy().reshape(-1, 3).mean(0) == pytest.approx([200, 10, 30], abs=3)


def test_a_home_that_cannot_be_written(images, tmp_path, monkeypatch, capsys):
    """The store goes elsewhere, one line says where and how to choose; a finished one in the home is still used."""
    monkeypatch.delenv("KERASDIAG_CACHE_DIR")
    folders = (tmp_path / "home", tmp_path / "elsewhere")
    monkeypatch.setattr(request, "cache_directories", lambda: folders)
    generator = make_generator(*images)
    dataset = autofix(generator, when="always")
    assert dataset.repair_report.store.startswith(str(folders[1]))
    printed = capsys.readouterr().err
    assert f"{folders[0]} cannot be written, so the store goes to {folders[1]}" in printed
    assert "cache_dir=...) or KERASDIAG_CACHE_DIR" in printed
    (folders[1]).rename(folders[0])
    dataset = autofix(generator)
    assert dataset.repair_report.store.startswith(str(folders[0]))
    assert "cannot be written, so" not in capsys.readouterr().err


def test_recheck_false_looks_at_no_file(tmp_path):
    """A store is believed where its sources are on a disk that is slow to ask, or gone."""
    frame = write_images(tmp_path / "images")
    generator = make_generator(frame, tmp_path / "images")
    autofix(generator, when="always", verbose=0)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    dataset = autofix(generator, recheck=False, verbose=0)
    assert dataset.repair_report.outcome == "reused"
    assert dict(dataset.repair_report.not_measured) == {"certificate": "recheck=False"}
    assert len(list(dataset)) == 4


def test_unsupported_option_is_an_error_only_once_a_repair_is_decided(images, cache):
    """A generator that need not be repaired may do what it likes; one that must not be changed is not."""
    generator = make_generator(*images, save_to_dir="/nowhere")
    attributes = set(vars(generator))
    with pytest.raises(UnsupportedOptionError, match="save_to_dir"):
        autofix(generator, when="always")
    # Keras 3.6 adds these by itself, when somebody asks for workers.
    assert set(vars(generator)) - attributes <= {"_workers", "_use_multiprocessing", "_max_queue_size"}
    assert not cache.exists()
    assert autofix(generator, verbose=0) is generator


def test_on_error_keep(images, capsys):
    """The training goes on with the generator, and one line says what happened."""
    generator = make_generator(*images, save_to_dir="/nowhere")
    kept = autofix(generator, when="always", on_error="keep")
    assert kept is generator
    assert "kept the generator: UnsupportedOptionError" in capsys.readouterr().err
    assert "save_to_dir" in kept.repair_report.reason
    with pytest.raises(KeyboardInterrupt):  # Ctrl-C is no error of ours
        autofix(_Interrupting(generator), on_error="keep")


class _Interrupting:
    def __init__(self, generator):
        self._generator = generator

    @property
    def __class__(self):
        raise KeyboardInterrupt


def test_disabled(images, monkeypatch, capsys):
    """KERASDIAG_DISABLE=1 returns anything as it is, with the four attributes, and says nothing."""
    monkeypatch.setenv("KERASDIAG_DISABLE", "1")
    generator = make_generator(*images)
    assert autofix(generator, when="always") is generator
    assert generator.repair_report.outcome == "disabled"
    assert generator.steps_per_epoch == 4
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("thing", [[1], (1, 2), np.zeros(3), (number for number in range(3))])
def test_disabled_takes_anything(thing, monkeypatch):
    """The switch breaks no script, whatever is passed, and whatever is misspelt."""
    monkeypatch.setenv("KERASDIAG_DISABLE", "1")
    assert autofix(thing, when="sometimes") is thing


@pytest.mark.parametrize("thing", [[1], np.zeros(3), (number for number in range(3))])
def test_on_error_keep_takes_anything(thing, capsys):
    """The line says what was wrong, not that attributes could not be set."""
    assert autofix(thing, on_error="keep") is thing
    assert "NotAGeneratorError" in capsys.readouterr().err


def test_numpy_numbers_as_steps(images):
    """Counts come from pandas and NumPy."""
    dataset = autofix(make_generator(*images), when="always", verbose=0, steps_per_epoch=np.int64(3))
    assert len(dataset) == 3
    assert "3 batches an epoch (steps_per_epoch)" in dataset.repair_report.steps


def test_unsupported_generator_is_kept_where_no_repair_is_decided(images):
    """A store that somebody else made does not turn a running script into an error."""
    autofix(make_generator(*images), when="always", verbose=0)
    generator = make_generator(*images, save_to_dir="/nowhere")
    assert autofix(generator, verbose=0) is generator


def test_a_copy_gets_a_store_of_its_own(tmp_path):
    """A folder and its copy, of which a few images were exchanged with size and time kept, are never mixed up."""
    import shutil

    frame = write_images(tmp_path / "one", 12)
    frame["file"] = [f"{number}.bmp" for number in range(12)]
    for number in range(12):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / "one" / f"{number}.bmp")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    old = os.stat(tmp_path / "one" / "3.bmp")
    Image.new("RGB", (20, 20), (200, 0, 0)).save(tmp_path / "two" / "3.bmp")
    os.utime(tmp_path / "two" / "3.bmp", ns=(old.st_atime_ns, old.st_mtime_ns))
    for _ in range(2):
        for name, red in (("one", 3), ("two", 200)):
            generator = make_generator(frame, tmp_path / name, shuffle=False)
            dataset = autofix(generator, when="always", recheck=False, verbose=0)
            assert float(next(iter(dataset))[0][3, 0, 0, 0]) == red
    shutil.rmtree(tmp_path / "one")
    (tmp_path / "two").rename(tmp_path / "one")  # another folder under the known name, times kept
    dataset = autofix(make_generator(frame, tmp_path / "one", shuffle=False), when="always", verbose=0)
    assert float(next(iter(dataset))[0][3, 0, 0, 0]) == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"when": "sometimes"}, "when must be one of: 'bottleneck', 'always'. Received: 'sometimes'"),
        ({"mode": "replay", "bad_images": "skip"}, 'mode="replay" gives every row'),
        ({"mode": "replay", "when": "always", "steps_per_epoch": 3}, "which would leave the rest of each epoch out"),
        ({"mode": "near"}, "mode must be one of: 'exact', 'replay'"),
        ({"storage": "none", "bad_images": "skip"}, 'storage="none" loads each image when its batch is made'),
        ({"storage": "cloud"}, "storage must be one of"),
        ({"bad_images": "ignore"}, "bad_images must be one of"),
        ({"on_error": "pass"}, "on_error must be one of"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be a whole number above 0"),
        ({"steps_per_epoch": 2.5}, "steps_per_epoch must be a whole number above 0"),
        ({"steps_per_epoch": True}, "steps_per_epoch must be a whole number above 0"),
        ({"evidence": "always"}, r'is a value of another one\. Type autofix\(generator, when="always"\)\. Received'),
        ({"evidence": "bottleneck"}, r'Type autofix\(generator, when="bottleneck"\)'),
        ({"evidence": "replay"}, r'Type autofix\(generator, mode="replay"\)'),
        ({"evidence": "raise"}, r'bad_images="raise"\) or autofix\(generator, on_error="raise"\)'),
    ],
)
def test_wrong_arguments(images, arguments, words):
    """One ValueError that names the argument, what it may be, and what it was."""
    with pytest.raises(ValueError, match=words):
        autofix(make_generator(*images), **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"verbose": "no"}, r"verbose must be 0 \(say nothing\) or 1\. Received: 'no'"),
        ({"verbose": None}, r"verbose must be 0"),
        ({"recheck": "no"}, r"recheck must be True or False\. Received: 'no'"),
    ],
)
def test_arguments_of_the_wrong_type(images, arguments, words):
    """A text is true, whatever it says."""
    with pytest.raises(TypeError, match=words):
        autofix(make_generator(*images), **arguments)


def test_numbers_of_numpy_are_switches(images, capsys):
    """As bool and int are."""
    autofix(make_generator(*images), verbose=np.int64(0), recheck=np.bool_(True))
    assert capsys.readouterr().err == ""


def test_a_profile_may_be_called_as_a_value_is(images, tmp_path, monkeypatch):
    """A file of that name is evidence."""
    monkeypatch.chdir(tmp_path)
    generator = make_generator(*images)
    evidence_about(generator, 0.0).save("always")
    assert autofix(generator, "always", verbose=0).repair_report.verdict == "compute-bound"


NO_EPOCHS = [("4", TypeError), (2.5, TypeError), (None, TypeError), (True, TypeError), (-1, ValueError)]


@pytest.mark.parametrize(("epoch", "error"), NO_EPOCHS)
@pytest.mark.parametrize("when", ["always", "bottleneck"])
def test_set_epoch_takes_whole_numbers(images, when, epoch, error):
    """It decides which draws a resumed training gets; a generator that was kept refuses the same."""
    data = autofix(make_generator(*images), when=when, verbose=0)
    assert data.repair_report.outcome == ("kept" if when == "bottleneck" else "repaired")
    with pytest.raises(error, match=rf"epoch must be a whole number, 0 for the first epoch\. Received: {epoch!r}"):
        data.set_epoch(epoch)
    for number in (0, 3, np.int64(3), np.uint8(3)):
        assert data.set_epoch(number) is None


def test_disabled_takes_any_epoch(images, monkeypatch):
    """The switch breaks no script."""
    monkeypatch.setenv("KERASDIAG_DISABLE", "1")
    assert autofix(make_generator(*images)).set_epoch("4") is None


def test_what_is_no_generator():
    """The error is a TypeError, too."""
    with pytest.raises(NotAGeneratorError, match="flow_from_dataframe"):
        autofix(np.zeros(3))
    assert issubclass(NotAGeneratorError, TypeError)


def test_no_rows(images):
    """A DataFrame whose files were not found is the user's mistake, and is called so."""
    frame, folder = images
    with pytest.raises(KerasDiagError, match=r"no images.*x_col, directory"):
        autofix(make_generator(frame.assign(file="absent.jpg"), folder), when="always")


@pytest.mark.parametrize("arguments", [{}, {"storage": "none"}, {"bad_images": "skip"}])
def test_a_wrong_directory_is_called_so(images, tmp_path, cache, arguments):
    """Where none of the files is there the images are not to blame; nothing is written, and all of them are in the error."""
    generator = make_generator(images[0], tmp_path / "elsewhere", validate_filenames=False)
    with pytest.raises(BadImagesError) as error:
        autofix(generator, when="always", verbose=0, **arguments)
    message = str(error.value)
    assert (
        f"None of the 24 images exists, for example {tmp_path / 'elsewhere' / images[0]['file'][0]} (row 0)" in message
    )
    assert "directory= names the folder that the file names in x_col are relative to" in message
    assert 'bad_images="skip"' not in message
    assert len(message.splitlines()) == 1
    assert len(error.value.images) == 24
    assert not cache.exists()


@pytest.fixture
def spoilt(tmp_path):
    """24 rows of which four cannot be loaded: truncated, empty, no image, gone."""
    frame = write_images(tmp_path / "images")
    generator_frame = frame.copy()
    paths = [tmp_path / "images" / name for name in frame["file"][:4]]
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    paths[1].write_bytes(b"")
    paths[2].write_text("not an image")
    generator = make_generator(generator_frame, tmp_path / "images", class_mode="sparse")
    paths[3].unlink()
    return generator, paths


def test_bad_images_are_listed(spoilt):
    """All of them in one error, with row and reason."""
    generator, paths = spoilt
    with pytest.raises(BadImagesError) as error:
        autofix(generator, when="always", verbose=0)
    assert {image.path for image in error.value.images} == {str(path) for path in paths}
    assert [image.rows for image in sorted(error.value.images, key=lambda image: image.rows)] == [
        (0,),
        (1,),
        (2,),
        (3,),
    ]
    assert all(path.name in str(error.value) for path in paths)


def test_bad_images_are_skipped(spoilt, capsys):
    """Their rows are left out, the others keep their numbers, and the loss is told class by class."""
    generator, paths = spoilt
    dataset = autofix(generator, when="always", bad_images="skip")
    assert [len(image) for image, _ in dataset] == [7, 7, 6, 7]  # the generator's four steps, 20 rows a pass
    printed = capsys.readouterr().err
    assert "4 of 24 rows are left out" in printed
    assert "rows lost by class: cat 2, dog 1, emu 1" in printed
    assert "keeps its number of steps" in printed
    assert len(dataset.repair_report.skipped) == 4
    assert (dataset.n, dataset.samples, len(dataset.filenames), len(dataset.classes)) == (20, 20, 20, 20)
    assert dataset.labels == generator.labels[4:]
    again = autofix(generator, bad_images="skip", verbose=0)
    assert again.repair_report.converted == 0
    assert len(again.repair_report.skipped) == 4
    Image.new("RGB", (30, 30)).save(paths[0])
    assert autofix(generator, when="always", bad_images="skip", verbose=0).repair_report.converted == 1


def test_pixels_that_differ_are_never_handed_over(images, monkeypatch):
    """If the pipeline does not give the generator's pixels, whatever the cause, there is an error and no dataset."""
    generator = make_generator(*images, options=ARTICLE)
    original = BatchMaker.images

    def spoilt(self, positions, parameters):
        result = original(self, positions, parameters)
        result[0, 3, 3, 0] += 1e-6
        return result

    monkeypatch.setattr(BatchMaker, "images", spoilt)
    with pytest.raises(ParityError, match=r"image of .*, 1 values differ") as caught:
        autofix(generator, when="always", verbose=0)
    picture = re.search(r"side by side in (\S+\.png)", str(caught.value))[1]
    assert Image.open(picture).size == (2 * 28 + 8, 32)
    assert autofix(generator, when="always", verbose=0, on_error="keep") is generator


def test_a_compiled_kernel_that_differs_gives_way(images, monkeypatch, capsys):
    """Then SciPy does the work, and one line names the price."""
    generator = make_generator(*images, options=ARTICLE)
    original = Augmenter._compiled

    def spoilt(self, work, rows, places, out):
        broken = original(self, work, rows, places, out)
        out[5] += 1e-6
        return broken

    monkeypatch.setattr(Augmenter, "_compiled", spoilt)
    dataset = autofix(generator, when="always")
    assert dataset.repair_report.kernel == "scipy"
    assert "through SciPy, at the generator's own speed: the compiled kernel differs" in capsys.readouterr().err


def test_a_damaged_store_is_not_used(images, cache):
    """A flipped bit is found when the store is opened, and the error names the remedy."""
    generator = make_generator(*images)
    dataset = autofix(generator, when="always", verbose=0)
    shard = next(Path(dataset.repair_report.store).glob("shards/*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[500] ^= 4
    shard.write_bytes(content)
    with pytest.raises(StoreError, match="store clean"):
        autofix(generator, verbose=0)


def test_a_shard_truncated_while_training(images):
    """The training ends with a sentence that names the file."""
    generator = make_generator(*images)
    dataset = autofix(generator, when="always", verbose=0)
    for shard in Path(dataset.repair_report.store).glob("shards/*.tfrecord"):
        os.truncate(shard, 100)
    with pytest.raises(tf.errors.OpError, match=r"pixels-0000\d.tfrecord cannot be read"):
        list(dataset)


def test_names_of_all_kinds(tmp_path):
    """Spaces, quotes, other scripts, backslashes and long paths."""
    folder = tmp_path / "Bilder \"für\" 'uns'" / ("tief" * 30) / ("tiefer" * 20)
    frame = write_images(folder)
    names = ["a b.jpg", "c\"d'.jpg", "東京.jpg", "back\\slash.jpg", "%s{0}.jpg", "\N{SNOWMAN}" * 60 + ".jpg"]
    for place, name in enumerate(names):
        (folder / frame["file"][place]).rename(folder / name)
    frame["file"] = [*names, *frame["file"][len(names) :]]
    generator = make_generator(frame, folder, shuffle=False, class_mode="sparse")
    dataset = autofix(generator, when="always", verbose=0)
    for step, (image, label) in enumerate(dataset):
        assert np.array_equal(image, generator[step][0])
        assert np.array_equal(label, generator[step][1])


def test_steps_of_a_fit_are_found_across_runs(images):
    """The profiler saves, and the next process finds: verdict and steps."""
    from kerasdiag.profile_cache import save_last_profile

    generator = make_generator(*images)
    save_last_profile(evidence_about(generator, planned_steps_per_epoch=9))
    assert len(autofix(generator, verbose=0)) == 9
    assert len(autofix(generator, verbose=0, steps_per_epoch=2)) == 2


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
import numpy as np
from keras_api import keras
from repair.generators import make_generator
import pandas as pd
from kerasdiag import BottleneckProfiler, autofix

frame = pd.read_csv({csv!r})
train_data = make_generator(frame, {folder!r}, options={options!r}, batch_size=2, target_size=(96, 96))
model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")])
model.compile("sgd", "categorical_crossentropy")

profiler = BottleneckProfiler(report=None)
train_data = autofix(train_data, profiler)
history = model.fit(train_data, epochs=4, callbacks=[profiler], verbose=0)
print("RESULT", train_data.repair_report.outcome, type(train_data).__name__, len(history.history["loss"]))
"""


def test_two_lines_in_a_script_run_three_times(tmp_path, cache):
    """Run 1 measures, run 2 repairs, run 3 reuses; each says so. No main guard, nothing else changed."""
    frame = write_images(tmp_path / "images", 24, size=(150, 200))
    frame.to_csv(tmp_path / "train.csv", index=False)
    script = tmp_path / "train.py"
    script.write_text(
        SCRIPT.format(
            paths=[str(HERE.parents[1]), str(HERE.parent)],
            csv=str(tmp_path / "train.csv"),
            folder=str(tmp_path / "images"),
            options=ARTICLE,
        )
    )
    outcomes = []
    for line in ("no run with BottleneckProfiler", "from an earlier run", "reuses the repair of an earlier call"):
        result = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
        )
        assert result.returncode == 0, result.stderr
        assert line in result.stderr
        outcomes += [row.split()[1:] for row in result.stdout.splitlines() if row.startswith("RESULT")]
    assert [outcome for outcome, *_ in outcomes] == ["kept", "repaired", "reused"]
    assert [epochs for *_, epochs in outcomes] == ["4", "4", "4"]


def test_profile_of_a_fit_is_evidence(images, tmp_path):
    """The whole story on one generator in one process, with the profiler's own verdict."""
    from kerasdiag import BottleneckProfiler

    frame = write_images(tmp_path / "images", 24, size=(150, 200))
    generator = make_generator(frame, tmp_path / "images", options=ARTICLE, batch_size=2, target_size=(96, 96))
    model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    profiler = BottleneckProfiler(report=None)
    model.fit(generator, epochs=4, callbacks=[profiler], verbose=0)
    assert profiler.diagnosis.verdict == "input-bound"
    dataset = autofix(generator, profiler, verbose=0)
    assert dataset.repair_report.outcome == "repaired"
    model.fit(dataset, epochs=2, callbacks=[profiler], verbose=0)
    assert isinstance(profiler.profile, RunProfile)
    # The profile is now about the dataset; the repair is used all the same.
    assert autofix(generator, profiler, verbose=0).repair_report.outcome == "reused"


def test_the_signature_is_the_promised_one():
    """Scripts rely on every name and default."""
    import inspect

    parameters = inspect.signature(convert.autofix).parameters
    assert {name: parameter.default for name, parameter in list(parameters.items())[1:]} == {
        "evidence": None, "when": "bottleneck", "cache_dir": None, "mode": "exact", "steps_per_epoch": None,
        "storage": "auto", "bad_images": "raise", "on_error": "raise", "recheck": True, "verbose": 1,
    }  # fmt: skip
