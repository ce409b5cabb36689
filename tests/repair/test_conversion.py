"""What is converted, what is not converted again, and what the user is told."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conversions import (
    LOADER,
    OLD,
    content,
    convert,
    keras_like,
    own_loader,
    stored_pixels,
    write_picture,
    write_pictures,
)
from PIL import Image

import kerasdiag
from kerasdiag.errors import BadImagesError, StoreError
from kerasdiag.repair.conversion import estimate
from kerasdiag.repair.conversion.job import in_random_order, rows_per_shard
from kerasdiag.repair.conversion.prepare import find_finished
from kerasdiag.repair.pixel_store import unchanged
from kerasdiag.repair.pixel_store.sources import find_sources
from kerasdiag.repair.progress import Progress
from kerasdiag.spec import LoaderOptions


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def stores(tmp_path):
    return tmp_path / "cache" / "stores"


def find(paths, stores, directory=None, **options):
    return find_finished(find_sources(paths, directory and str(directory)), LOADER, stores_dir=stores, **options)


def test_every_row_finds_its_own_pixels(data, stores):
    """Rows, repeated ones included, lead to exactly what the generator's loader makes of their file."""
    paths = write_pictures(data, 40)
    rows = [*paths, paths[3], paths[3]]
    prepared = convert(rows, stores)
    assert prepared.converted == 40
    assert prepared.seconds > 0
    assert prepared.in_process_reason is None
    assert prepared.skipped == ()
    assert prepared.record_of_row.shape == (42,)
    for row, path in enumerate(rows):
        np.testing.assert_array_equal(stored_pixels(prepared, row), keras_like()(path))
    assert prepared.store.verify() == []


@pytest.mark.parametrize("color_mode", ["grayscale", "rgba"])
def test_other_colour_modes(data, stores, color_mode):
    """One and four channels are stored as the loader yields them."""
    paths = write_pictures(data, 3)
    loader = LoaderOptions(color_mode, (24, 32))
    prepared = convert(paths, stores, loader=loader)
    expected = keras_like(loader)(paths[1]).reshape(loader.image_shape)
    np.testing.assert_array_equal(stored_pixels(prepared, 1), expected)


def test_a_finished_store_is_used(data, stores):
    """The second call converts nothing, writes nothing and finds the same records."""
    paths = write_pictures(data, 20)
    first = convert(paths, stores)
    before = content(stores)
    second = convert(paths, stores)
    assert (second.converted, second.seconds) == (0, None)
    assert second.record_of_row.tolist() == first.record_of_row.tolist()
    assert content(stores) == before
    assert find(paths, stores) is not None


def test_find_finished_never_writes(data, stores):
    """Where nothing is there, nothing is there afterwards."""
    paths = write_pictures(data, 4)
    assert find(paths, stores) is None
    assert not stores.exists()


def test_other_loader_options_are_another_store(data, stores):
    """Pixels of another size are never confused."""
    paths = write_pictures(data, 4)
    first = convert(paths, stores)
    second = convert(paths, stores, loader=LoaderOptions("rgb", (24, 32), "bilinear"))
    assert second.converted == 4
    assert second.store.directory != first.store.directory


def test_touched_files_are_not_converted_again(data, stores, monkeypatch):
    """Another time of change is no other content; afterwards it is remembered and no file is read."""
    paths = write_pictures(data, 20)
    convert(paths, stores)
    for path in paths:
        os.utime(path, (OLD + 999, OLD + 999))
    assert convert(paths, stores).converted == 0
    clock = time.time
    monkeypatch.setattr("kerasdiag.repair.pixel_store.sources.time.time", lambda: clock() + 60)  # the files are old
    assert find(paths, stores) is not None
    read = []
    monkeypatch.setattr(unchanged, "content_hash", lambda content: read.append(content) or "")
    assert find(paths, stores) is not None
    assert not read
    # An exchange that keeps size and time of modification is seen all the same, and looked into.
    before = os.stat(paths[0])
    Path(paths[0]).write_bytes(os.urandom(before.st_size))
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert find(paths, stores) is None
    assert len(read) == 1


def test_a_lost_memory_of_times_costs_no_conversion(data, stores):
    """Without the cache of this machine, content decides."""
    paths = write_pictures(data, 20)
    first = convert(paths, stores)
    shutil.rmtree(first.store.directory / "local")
    assert convert(paths, stores).converted == 0
    (first.store.directory / "local" / "seen.npy").write_bytes(b"damaged")
    assert convert(paths, stores).converted == 0


def test_a_moved_root_is_found_again(tmp_path, data, stores):
    """The same images elsewhere convert nothing, and more of them join the same store."""
    paths = write_pictures(data, 20)
    first = convert(paths, stores, directory=data)
    moved = tmp_path / "elsewhere" / "photos"
    shutil.copytree(data, moved, copy_function=shutil.copyfile)
    shutil.rmtree(data)
    paths = [str(moved / Path(path).name) for path in paths]
    second = convert(paths, stores, directory=moved)
    assert second.converted == 0
    assert second.store.directory == first.store.directory
    more = write_pictures(moved / "more", 4, seed=9)
    third = convert([*paths, *more], stores, directory=moved)
    assert third.converted == 4
    assert third.store.directory == first.store.directory


def test_other_images_of_the_same_names_and_sizes_are_not_mistaken(tmp_path, data, stores):
    """Two cameras that number alike do not share a store: contents decide."""
    kinds = {}
    for kind, seed in (("cats", 1), ("dogs", 2)):
        folder = data / kind
        folder.mkdir(parents=True)
        random = np.random.default_rng(seed)
        for number in range(4):
            Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / f"{number}.bmp")
        kinds[kind] = sorted(map(str, folder.iterdir()))
    first = convert(kinds["cats"], stores, directory=data / "cats")
    second = convert(kinds["dogs"], stores, directory=data / "dogs")
    assert first.store.directory != second.store.directory
    assert convert(kinds["cats"], stores, directory=data / "cats").converted == 0


def test_a_changed_image_is_converted_again_alone(data, stores):
    """One new content is one record; the old one counts no more."""
    paths = write_pictures(data, 20)
    convert(paths, stores)
    write_picture(Path(paths[5]), np.random.default_rng(77), age_s=5)
    prepared = convert(paths, stores)
    assert prepared.converted == 1
    np.testing.assert_array_equal(stored_pixels(prepared, 5), keras_like()(paths[5]))
    assert prepared.store.num_records == 21
    assert prepared.store.dead_bytes == prepared.store.record_length[0]
    assert convert(paths, stores).converted == 0


def test_a_file_rewritten_within_the_same_tick_is_seen(data, stores):
    """The time of a file that was just written is not believed."""
    paths = write_pictures(data, 4, suffix="bmp")  # every file has the same size
    os.utime(paths[0])
    convert(paths, stores)
    now = os.stat(paths[0])
    shutil.copyfile(paths[1], paths[0])
    os.utime(paths[0], ns=(now.st_atime_ns, now.st_mtime_ns))
    assert convert(paths, stores).converted == 1


def test_folds_write_no_image_twice(data, stores):
    """Five training and validation splits, in other orders, all live on the first store."""
    paths = write_pictures(data, 30)
    converted = 0
    for fold in range(5):
        validation = paths[fold::5]
        training = [path for path in reversed(paths) if path not in validation]
        converted += convert(training, stores, directory=data).converted
        converted += convert(validation, stores, directory=data).converted
    assert converted == 30
    assert len([path for path in stores.iterdir() if path.is_dir()]) == 1


def test_a_root_below_a_stores_root_shares_it(data, stores):
    """Validation rows in a sub-directory find the store of the whole."""
    train, val = write_pictures(data / "train", 4), write_pictures(data / "val", 4, seed=1)
    whole = convert([*train, *val], stores, directory=data)
    part = convert(val, stores, directory=data / "val")
    assert part.converted == 0
    assert part.store.directory == whole.store.directory
    assert part.record_of_row.tolist() == whole.record_of_row[4:].tolist()
    more = write_pictures(data / "val" / "more", 2, seed=2)
    assert convert(more, stores, directory=data / "val").converted == 2
    assert convert([*val, *more], stores, directory=data).converted == 0


def test_recheck_false_looks_at_no_source(data, stores):
    """With the originals gone the store still serves; without the promise they are missed."""
    paths = write_pictures(data, 20)
    convert(paths, stores, directory=data)
    shutil.rmtree(data)
    assert find(paths, stores, data, recheck=False) is not None
    assert convert(paths, stores, directory=data, recheck=False).converted == 0
    assert find(paths, stores, data) is None
    with pytest.raises(BadImagesError):
        convert(paths, stores, directory=data)


def test_an_unmounted_disk_costs_no_record(tmp_path, data, stores):
    """Sources that are away for a while are converted no second time when they are back."""
    paths = write_pictures(data, 20)
    convert(paths, stores, directory=data)
    data.rename(tmp_path / "away")
    with pytest.raises(BadImagesError, match="20 of 20"):
        convert(paths, stores, directory=data)
    assert len(convert(paths, stores, directory=data, bad_images="skip").skipped) == 20
    (tmp_path / "away").rename(data)
    assert convert(paths, stores, directory=data).converted == 0


def test_the_plan_is_told_before_writing(data, stores, capsys):
    """Place, exact bytes, free space and time stand on stderr, nothing on stdout; verbose=0 is silent."""
    paths = write_pictures(data, 20)
    prepared = convert(paths, stores, verbose=1)
    told = capsys.readouterr()
    assert told.out == ""
    assert f"converting 20 images, {prepared.store.num_bytes:,} bytes" in told.err
    assert str(prepared.store.directory) in told.err
    assert " free), about 1 s on" in told.err
    convert(write_pictures(data / "more", 2, seed=3), stores, verbose=0)
    assert capsys.readouterr() == ("", "")


def test_too_little_space_is_refused_and_leaves_nothing(data, stores, monkeypatch):
    """A store that would not fit with its reserve is not begun."""
    paths = write_pictures(data, 20)
    needed = estimate.bytes_to_write(LOADER, find_sources(paths, None).names)
    monkeypatch.setattr(estimate, "free_space", lambda _: int(needed * 1.09))
    with pytest.raises(StoreError, match=r"does not fit.*cache_dir=.*KERASDIAG_CACHE_DIR"):
        convert(paths, stores)
    assert not stores.parent.exists()
    monkeypatch.setattr(estimate, "free_space", lambda _: int(needed * 1.11))
    assert convert(paths, stores).converted == 20


def test_much_is_written_only_where_the_user_said(data, stores, monkeypatch):
    """Above the limit the user has to choose the place."""
    paths = write_pictures(data, 20)
    monkeypatch.setattr(estimate, "MOST_BYTES_UNASKED", 10_000)
    with pytest.raises(StoreError, match=r"Nothing was written.*cache_dir=.*KERASDIAG_CACHE_DIR"):
        convert(paths, stores, chosen_dir=False)
    assert not stores.parent.exists()
    assert convert(paths, stores, chosen_dir=True).converted == 20


def test_a_loader_of_the_users_own_converts_in_this_process(data, stores, capsys):
    """Where the generator's pixels differ from Keras', its own loader makes them, and that is said."""
    paths = write_pictures(data, 20)
    prepared = convert(paths, stores, generator_load=own_loader, verbose=1)
    assert "other pixels" in prepared.in_process_reason
    assert "in this process" in capsys.readouterr().err
    np.testing.assert_array_equal(stored_pixels(prepared, 0), own_loader(paths[0]))


@pytest.mark.parametrize("executable", ["", "/bin/true", "/nowhere/python"])
def test_without_child_processes_the_conversion_still_works(data, stores, monkeypatch, executable):
    """No executable, a wrong one, one that is gone: the same store, made in this process, and said."""
    paths = write_pictures(data, 20)
    convert(paths, stores)
    monkeypatch.setattr(sys, "executable", executable)
    prepared = convert(paths, stores.with_name("other"))
    assert prepared.converted == 20
    assert prepared.in_process_reason.startswith("no child process can be started")
    assert content(stores) == content(stores.with_name("other"))


def test_images_that_only_this_process_can_load_are_rescued(data, stores):
    """What Pillow in a worker cannot read but the generator can is converted with the generator's loader."""
    paths = write_pictures(data, 60)
    odd = data / in_random_order([Path(path).name for path in paths])[50]  # not among those compared
    Path(odd).write_bytes(b"a format of which only a plugin of this process knows")

    def load(path):
        return np.full((24, 32, 3), 7, np.uint8) if Path(path) == odd else keras_like()(path)

    prepared = convert(paths, stores, generator_load=load)
    assert prepared.skipped == ()
    assert "1 images load only" in prepared.in_process_reason
    assert (stored_pixels(prepared, paths.index(str(odd))) == 7).all()


def test_workers_import_no_tensorflow_no_pool_and_not_the_script(tmp_path, data, stores):
    """The worker's whole import list: NumPy and Pillow are there, the heavy and the user's are not."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, sys\n"
        "if 'KERASDIAG_TEST_IMPORTS' in os.environ and sys.argv[0] == '-c':\n"
        "    real = os._exit\n"
        "    def leave(code):\n"
        "        with open(os.environ['KERASDIAG_TEST_IMPORTS'], 'a') as file:\n"
        "            file.write('\\n'.join(sys.modules) + '\\n')\n"
        "        real(code)\n"
        "    os._exit = leave\n"
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import xml.dom; from conversions import convert;"
        " print(convert(sys.argv[3:], sys.argv[2]).in_process_reason)"
    )
    helpers = str(Path(__file__).parent.parent)
    home = Path(kerasdiag.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code, helpers, str(stores), *write_pictures(data, 20)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(home)]),
            "KERASDIAG_TEST_IMPORTS": str(tmp_path / "imports"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "None\n", result.stderr
    loaded = set((tmp_path / "imports").read_text().split())
    assert {"numpy", "PIL.Image", "kerasdiag.repair.conversion.worker"} <= loaded
    unwanted = {"tensorflow", "keras", "tf_keras", "multiprocessing.pool", "concurrent.futures", "__mp_main__"}
    assert not loaded & (unwanted | {"conversions", "xml.dom", "rich", "pandas", "numba", "scipy"})


def test_the_current_directory_cannot_shadow_the_workers_modules(tmp_path, data, stores, monkeypatch):
    """A script's folder may hold a json.py or a queue.py; the worker does not import them."""
    for name in ("json", "queue", "signal", "PIL"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert convert(write_pictures(data, 20), stores).in_process_reason is None


NAMES = [
    "with space.png",
    'quote\'s "double".png',
    "Übung-日本語-🐈.png",
    "back\\slash.png",
    "new\nline.png",
    "-dash.png",
    "%s{}.png",
    os.fsdecode(b"no text \xff\xfe.png"),
    "/".join(["long" * 20] * 6) + "/deep.png",
]


def test_odd_names(data, stores):
    """Spaces, quotes, other scripts, backslashes, line ends, invalid text and 480 characters all work."""
    random = np.random.default_rng(0)
    paths = [data / name for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, random)
    prepared = convert(paths, stores, directory=data)
    assert prepared.converted == len(NAMES)
    assert prepared.in_process_reason is None
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(stored_pixels(prepared, row), keras_like()(path))
    assert sorted(prepared.store.names) == sorted(NAMES)
    assert prepared.store.verify() == []
    assert convert(paths, stores, directory=data).converted == 0
    paths[7].write_bytes(b"bad")
    with pytest.raises(BadImagesError, match="no text") as raised:
        convert(paths, stores, directory=data)
    str(raised.value).encode("utf-8")  # printable anywhere


def test_a_store_in_an_odd_place(tmp_path, data):
    """The store's own path may hold anything, too."""
    stores = tmp_path / 'it\'s a "cache" 日本' / ("deep" * 40) / ("deeper" * 20) / "stores"
    assert convert(write_pictures(data, 20), stores).in_process_reason is None


def test_shard_size_depends_on_bytes_alone(monkeypatch):
    """About 32 MiB; smaller for small sets so that all cores work; larger for huge ones."""
    loader = LoaderOptions("rgb", (300, 300))
    assert rows_per_shard(loader, 10) == 16
    assert rows_per_shard(loader, 320) == 20
    assert 115 <= rows_per_shard(loader, 20_000) <= 125
    assert rows_per_shard(loader, 1_200_000) * loader.image_bytes <= 256 * 2**20
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert rows_per_shard(loader, 320) == 20


def test_the_order_is_a_function_of_the_names():
    """Given in any order, names come out in one; another set is another order of the same kind."""
    names = [f"{number}.png" for number in range(100)]
    ordered = in_random_order(names)
    assert sorted(ordered) == sorted(names)
    assert ordered == in_random_order(names[::-1])
    assert ordered != names


def test_progress_in_a_file_is_a_line_now_and_then(monkeypatch):
    """Rate and time left, no control characters, nothing with verbose=0."""
    clock = iter([0.0, 4.0, 11.0, 12.0])
    monkeypatch.setattr("kerasdiag.repair.progress.time.monotonic", lambda: next(clock, 13.0))
    stream = io.StringIO()
    with Progress(100, "converting", stream=stream) as progress:
        progress.advance(10)
        progress.advance(12)
        progress.advance(1)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("kerasdiag: converting: 22 of 100 (2 a second")
    assert "left" in line
    silent = io.StringIO()
    with Progress(10, "converting", verbose=0, stream=silent) as progress:
        progress.advance(10)
    assert silent.getvalue() == ""


def test_progress_on_a_terminal_is_a_bar():
    """Where somebody looks on, rich draws."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with Progress(10, "converting", stream=stream) as progress:
        progress.advance(5)
        progress._bar.refresh()
    assert "5/10" in stream.getvalue()


STARTS = {
    "unguarded script": [str(Path(__file__).with_name("convert_script.py"))],
    "from stdin": ["-"],
    "module": ["-m", "convert_script"],
}


@pytest.mark.parametrize("start_method", [None, "spawn", "fork"])
@pytest.mark.parametrize("start", STARTS)
def test_scripts_without_a_guard_run_once(tmp_path, data, stores, start, start_method):
    """However the script is started, it converts in workers and its top level runs exactly once."""
    script = Path(__file__).with_name("convert_script.py")
    options = {
        "images": write_pictures(data, 20),
        "stores": str(stores),
        "log": str(tmp_path / "log"),
        "helpers": str(script.parents[1]),
        "start_method": start_method,
    }
    home = str(Path(kerasdiag.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, *STARTS[start], json.dumps(options)],
        input=script.read_text() if start == "from stdin" else None,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([home, str(script.parent)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["converted"], answer["reason"]) == (20, None)
    assert (tmp_path / "log").read_text() == "started\n"
