"""Measuring a sample of images: the process that does it, what it may take, and what it leaves alone."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from builders import make_input, make_profile, write_photos

from kerasdiag.environment import child_process
from kerasdiag.environment.throughput import child, measure
from kerasdiag.environment.throughput.asked import KERAS_TARGET_SIZE, WorkRequest, image_work
from kerasdiag.environment.throughput.facts import STAGES, ImageFile, ImageWork, ReadRate
from kerasdiag.environment.throughput.measure import Answer, Sample, facts_of, measure_throughput, thread_counts
from kerasdiag.environment.throughput.pixel_work import PixelWork
from kerasdiag.environment.throughput.side_by_side import read_side_by_side
from kerasdiag.environment.throughput.threads import pace_of

WORK = ImageWork((48, 64), ("affine", "flip"), "--target-size", "--augmentation")


def sample(files, **facts):
    defaults = {"num_read": 0, "cores": 2, "memory_bytes": 10**9, "seconds": 4.0}
    return Sample(tuple(map(str, files)), **{**defaults, **facts})


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", 24, (60, 80))


def test_on_this_machine(photos, tmp_path):
    """For real: stages, rates by several threads, a census; the folder stays as it was."""
    (tmp_path / "photos/bad.jpg").write_bytes(b"no image")
    (tmp_path / "photos/cut.jpg").write_bytes(photos[0].read_bytes()[:1500])
    files = sorted((tmp_path / "photos").iterdir())
    before = [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    facts = measure_throughput(sample(files, seconds=20.0), WORK)
    assert facts.not_measured == ""
    assert [stage.name for stage in facts.stages] == list(STAGES)
    assert all(stage.seconds > 0 for stage in facts.stages)
    assert all(stage.held_fraction is None or 0 <= stage.held_fraction <= 1 for stage in facts.stages)
    assert [rate.threads for rate in facts.rates] == [1, 2, 4]
    assert sum(stage.seconds for stage in facts.stages) == pytest.approx(1 / facts.rates[0].images_per_s)
    problems = {os.path.basename(file.path): file.problem for file in facts.census if file.problem}
    assert problems["bad.jpg"] == "no image that Pillow knows"
    assert "truncated" in problems["cut.jpg"]
    assert (len(problems), len(facts.census), facts.num_timed) == (2, 26, 24)
    assert [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in files] == before
    assert sorted((tmp_path / "photos").iterdir()) == files


def test_the_bounds():
    """5 s and 256 MB, and 2 threads for each core up to 16."""
    assert (measure.MAX_S, measure.MAX_BYTES) == (5.0, 256 * 1024**2)
    assert [thread_counts(cores) for cores in (1, 2, 4, 64)] == [[1, 2], [1, 2, 4], [1, 2, 4, 8], [1, 2, 4, 8, 16]]


@pytest.mark.parametrize(
    ("files", "seconds", "why"),
    [(["a.tfrecord", "b.npy"], 5.0, "no image files"), (["a.jpg"], 0.4, "no time was left")],
)
def test_what_is_not_begun(files, seconds, why, monkeypatch):
    """No process is started for what cannot be measured."""
    monkeypatch.setattr(child_process.subprocess, "Popen", None)
    assert why in measure_throughput(sample(files, seconds=seconds), WORK).not_measured


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by itself (SIGKILL)"),
        ("raise SystemExit(3)", "ended by itself (exit code 3)"),
        ("import time; print('{', flush=True); time.sleep(60)", "did not come to an end within 3 s"),
    ],
)
def test_a_process_that_dies_or_hangs(script, why, monkeypatch, photos):
    """It is a result, and nothing of it stays behind."""
    monkeypatch.setattr(child_process, "_command", lambda module: [sys.executable, "-c", script])
    monkeypatch.setattr(measure, "GRACE_S", 1.0)
    running = threading.active_count()
    facts = measure_throughput(sample(photos, seconds=1.6), WORK)
    assert why in facts.not_measured
    assert not facts.is_measured
    assert threading.active_count() == running


def test_a_process_that_cannot_be_started(monkeypatch, photos):
    """No Python to start: said, and nothing raised."""
    monkeypatch.setattr(sys, "executable", "/absent/python")
    assert "cannot be started" in measure_throughput(sample(photos), WORK).not_measured


@pytest.mark.parametrize(("module", "package", "census"), [("PIL", "pillow", 0), ("scipy", "scipy", 24)])
def test_packages_that_are_missing(module, package, census, monkeypatch, photos):
    """Said with the command that brings them; without SciPy the files are known all the same."""
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    said = order(photos)
    assert f"pip install {package}" in said[-1]["not_measured"]
    assert sum("file" in one for one in said) == census


def test_a_numpy_that_is_broken(photos, tmp_path, monkeypatch):
    """It is named, as the other packages are."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "numpy.py").write_text("raise ImportError('built for another Python')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    why = measure_throughput(sample(photos), WORK).not_measured
    assert why.startswith("NumPy cannot be imported here (ImportError: built for another Python): ")
    assert why.endswith("pip install numpy")


def test_files_of_the_current_directory_are_not_run(photos, tmp_path, monkeypatch):
    """A json.py beside the user's script does not take the place of Python's."""
    (tmp_path / "json.py").write_text("raise SystemExit('it was run')")
    monkeypatch.chdir(tmp_path)
    assert measure_throughput(sample(photos), WORK).is_measured


def order(files, **facts):
    """Measure in this process."""
    said = []
    defaults = {
        "files": list(map(str, files)), "unread": [], "target_size": (48, 64), "steps": ("affine", "flip"),
        "threads": [1, 2], "seconds": 3.0, "until": time.time() + 3.0, "max_bytes": 10**8, "memory_bytes": 10**9,
    }  # fmt: skip
    child.measure({**defaults, **facts}, lambda **fields: said.append(fields))
    return said


@pytest.mark.parametrize(
    "steps", [(), ("affine",), ("flip",), ("channel-shift", "brightness"), ("affine", "channel-shift", "flip", "brightness")]
)  # fmt: skip
@pytest.mark.parametrize("size", [(48, 64), (1, 1), (7, 300)])
def test_every_step_gives_a_row_of_a_batch(photos, steps, size):
    """Whatever the steps, an image ends in the target size, with its height first."""
    work = PixelWork(size, steps)
    pixels = work.augment(work.resize(work.decode(photos[0].read_bytes())))
    assert (pixels.shape, str(pixels.dtype)) == ((*size, 3), "float32")
    work.batches()(pixels)


@pytest.mark.keras
def test_the_work_is_that_of_keras(photos):
    """Decoded and resized, the image is that of Keras' own loader."""
    import numpy as np
    from keras_api import keras

    work = PixelWork((48, 64), ())
    ours = work.augment(work.resize(work.decode(photos[0].read_bytes())))
    theirs = keras.preprocessing.image.load_img(str(photos[0]), target_size=(48, 64))
    assert np.array_equal(ours, np.asarray(theirs, "float32"))


def test_files_that_cannot_be_decoded(tmp_path):
    """Nothing to time is said, with the number that was tried."""
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"nothing")
    said = order(sorted(tmp_path.iterdir()))
    assert said[-1] == {"not_measured": "none of 3 files tried is an image that could be decoded"}


def test_files_that_vanish_while_they_are_measured(photos, monkeypatch):
    """The measurement ends with a word, whenever it happens."""
    look = child.census.look

    def look_and_remove(image_module, path):
        known = look(image_module, path)
        os.remove(path)
        return known

    monkeypatch.setattr(child.census, "look", look_and_remove)
    said = order(photos)
    assert {one["file"]["problem"] for one in said if "file" in one} == {"", "No such file or directory"}
    assert "none of 24 files" in said[-1]["not_measured"]


def test_an_image_that_is_read_is_gone_when_it_is_timed(photos):
    """What the threads raise comes out of the clock."""

    def fail():
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError):
        pace_of(lambda: fail, 3, 0.1)


def test_the_pace_of_threads():
    """Images of all threads, each with its own share of the time."""
    counts = []
    pace = pace_of(lambda: lambda: counts.append(time.sleep(0.001)), 3, 0.1)
    assert pace.threads == 3
    assert 0 < pace.images_per_s <= 3000
    assert pace.cpu_s < pace.image_s
    assert len(counts) > 3


def test_little_memory_means_few_threads(photos):
    """A batch for each thread must have room in half of what is free; one thread always runs."""
    threads = [[one["pace"][0] for one in order(photos, memory_bytes=size) if "pace" in one] for size in (10**9, 10**3)]
    assert (set(threads[0]), set(threads[1])) == ({1, 2}, {1})


def test_each_beginning_of_the_sample_is_like_the_whole(tmp_path):
    """Folders and sizes come in their proportion, in the same order each time."""
    files = []
    for number in range(80):
        path = tmp_path / ("large" if number % 4 == 0 else "small") / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * number)
        files.append(str(path))
    ordered = child.stratified(files)
    assert sorted(ordered) == sorted(files)
    assert child.stratified(list(reversed(files))) == ordered
    for count in (8, 16, 32):
        assert sum("large" in name for name in ordered[:count]) in range(count // 4 - 1, count // 4 + 2)


def test_reads_side_by_side(photos):
    """Cold files only; where the disk cannot forget them there is no rate."""
    rate, num_bytes = read_side_by_side(list(map(str, photos)), 4, 10**9, 5.0)
    if rate is not None:
        assert (rate.threads, rate.num_files) == (4, 24)
        assert num_bytes == sum(path.stat().st_size for path in photos)
    assert read_side_by_side(["/absent/a.jpg"] * 20, 2, 10**9, 1.0) == (None, 0)
    assert read_side_by_side(list(map(str, photos)), 2, 0, 1.0)[0] is None


def test_answers_that_are_none(tmp_path):
    """Whatever a dying process wrote: what is whole counts."""
    answer = Answer()
    for line in (
        b"",
        b"[]",
        b"7",
        b'{"pace": ',
        b'{"file": {"foo": 1}}',
        b'{"held": []}',
        b'{"reads": 3}',
        b"\xff\xfe",
    ):
        answer.hear(line)
    assert (answer.files, answer.paces, answer.reads) == ([], [], [])
    answer.hear(b'{"file": {"path": "a.jpg", "problem": ""}}')
    answer.hear(b'{"file": {"path": "a.jpg", "problem": "empty"}}')
    answer.hear(b'{"reads": [4, 900.0, 16]}')
    for rate in (90.0, 100.0, 400.0):
        answer.hear(b'{"pace": [1, %f, 0.01, 0.01, 0.0], "shares": [0.1, 0.2, 0.1, 0.5, 0.1]}' % rate)
    answer.hear(b'{"held": ["decoding", 0.25]}')
    facts = facts_of(answer, WORK)
    assert facts.census == (ImageFile("a.jpg", problem="empty"),)
    assert facts.reads == (ReadRate(4, 900.0, 16),)
    assert facts.rates[0].images_per_s == 100  # the median of the rounds
    assert facts.stages[1] == ("decoding", pytest.approx(0.002), 0.25)


GENERATOR = {"target_size": (300, 200), "augmentation": ("rotation_range", "rescale", "horizontal_flip")}


@pytest.mark.parametrize(
    ("request_", "data", "size", "steps", "left_out"),
    [
        (WorkRequest(), None, KERAS_TARGET_SIZE, ("affine", "flip"), ()),
        (WorkRequest((20, 30), "none"), None, (20, 30), (), ()),
        (WorkRequest(), make_input(**GENERATOR), (300, 200), ("affine", "flip"), ()),
        (WorkRequest(None, "none"), make_input(**GENERATOR), (300, 200), (), ()),
        (WorkRequest(), make_input(target_size=(9, 9)), (9, 9), ("affine", "flip"), ()),  # an older profile
        (WorkRequest(), make_input(augmentation=("brightness_range", "preprocessing_function")), KERAS_TARGET_SIZE,
         ("brightness",), ("preprocessing_function",)),
        (WorkRequest(), make_input("tf-data"), KERAS_TARGET_SIZE, ("affine", "flip"), ()),
    ],
)  # fmt: skip
def test_whose_work_is_measured(request_, data, size, steps, left_out):
    """What the command line says, else what the profile knows of a generator, else the reference."""
    profile = None if data is None else make_profile(0.1, 0.1, training_input=data)
    work = image_work(request_, profile)
    assert (work.target_size, work.steps, work.left_out) == (size, steps, left_out)
