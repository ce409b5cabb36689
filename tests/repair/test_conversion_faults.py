"""Whatever ends a conversion, nothing is half visible, nothing finished is lost, and one sentence says what to do."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from cli.running import default_signals
from conversions import LOADER, content, convert, keras_like, own_loader, stored_pixels, write_picture, write_pictures
from PIL import Image

import kerasdiag
from kerasdiag.environment.cores import usable_cores
from kerasdiag.errors import BadImagesError, StoreError
from kerasdiag.repair.conversion import workers
from kerasdiag.repair.conversion.job import in_random_order
from kerasdiag.repair.conversion.prepare import find_finished
from kerasdiag.repair.pixel_store import store_files
from kerasdiag.repair.pixel_store.sources import find_sources
from kerasdiag.spec import LoaderOptions

SCRIPT = Path(__file__).with_name("convert_script.py")
HOME = str(Path(kerasdiag.__file__).parents[1])


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def stores(tmp_path):
    return tmp_path / "cache" / "stores"


def start_script(tmp_path, images, stores, **options):
    fields = {"images": images, "stores": str(stores), "log": str(tmp_path / "log"), "helpers": str(SCRIPT.parents[1])}
    with default_signals():
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps({**fields, **options})],
            env={**os.environ, "PYTHONPATH": HOME},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def run_script(tmp_path, images, stores, **options):
    child = start_script(tmp_path, images, stores, **options)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    return json.loads(out)


def half_written(stores):
    """Return what only a running or killed conversion may leave."""
    data = {path for path in stores.rglob("pixels-*.tfrecord") if not path.with_suffix(".json").exists()}
    return sorted({*stores.rglob("*.tmp"), *stores.rglob("*.lock"), *data})


def finished(stores):
    return {path: path.read_bytes() for path in stores.rglob("pixels-*.json")}


# ---- killed ----


def test_killed_at_random_moments_the_store_is_the_same(tmp_path, data, stores):
    """20 SIGKILLs, parent alone or the whole group: the next call finishes the very same bytes and keeps all shards."""
    images = write_pictures(data, 240, size=(300, 220))
    undisturbed = tmp_path / "undisturbed"
    assert run_script(tmp_path, images, undisturbed)["converted"] == 240
    expected = content(undisturbed)
    moments = random.Random(4)
    in_the_middle = 0
    for trial in range(20):
        stores = tmp_path / f"killed_{trial}"
        child = start_script(tmp_path, images, stores)
        shards = moments.randint(0, 14)  # of 15: random moments of the conversion, however busy the machine is
        while len(finished(stores)) < shards and child.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.03 if shards else 0.5))
        offspring = psutil.Process(child.pid).children(recursive=True) if child.poll() is None else []
        if trial % 2:
            with suppress(ProcessLookupError):  # it was faster
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.communicate()
        assert not psutil.wait_procs(offspring, timeout=20)[1], "an orphan did not end by itself"
        kept = finished(stores)
        begun = [path for path in half_written(stores) if "pixels" in path.name and ".json" not in path.name]
        assert len(begun) <= usable_cores()
        images_kept = sum(len(json.loads(manifest)["names"]) for manifest in kept.values())
        in_the_middle += 0 < images_kept < 240
        answer = run_script(tmp_path, images, stores)
        assert answer["converted"] == 240 - images_kept
        assert kept.items() <= finished(stores).items()
        assert content(stores) == expected
    assert in_the_middle >= 8


def test_killed_again_and_again_it_still_finishes(tmp_path, data, stores):
    """A conversion that is never allowed to finish in one go arrives all the same."""
    images = write_pictures(data, 240, size=(300, 220))
    convert(images, tmp_path / "undisturbed")
    for _ in range(30):
        child = start_script(tmp_path, images, stores)
        before = len(finished(stores))
        while child.poll() is None and len(finished(stores)) < before + 3:
            time.sleep(0.01)
        child.kill()
        out, _ = child.communicate()
        if out:
            break
    assert content(stores) == content(tmp_path / "undisturbed")


def test_what_is_left_by_a_kill_is_no_store(tmp_path, data, stores):
    """An unfinished store is found by nobody, and says what it is."""
    images = write_pictures(data, 240, size=(300, 220))
    child = start_script(tmp_path, images, stores)
    while not finished(stores) and child.poll() is None:
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert find_finished(find_sources(images, None), LOADER, stores_dir=stores) is None


def test_fewer_images_wanted_after_a_kill(tmp_path, data, stores):
    """Shards of a dropped job are kept: only what is really missing is converted."""
    images = write_pictures(data, 240, size=(300, 220))
    child = start_script(tmp_path, images, stores)
    while len(finished(stores)) < 4 and child.poll() is None:
        time.sleep(0.005)
    child.kill()
    child.communicate()
    time.sleep(0.5)
    names = {name for manifest in finished(stores).values() for name in json.loads(manifest)["names"]}
    wanted = images[:120]
    prepared = convert(wanted, stores, directory=data)
    assert prepared.converted == len([path for path in wanted if Path(path).name not in names])
    assert prepared.store.verify() == []
    assert half_written(stores) == []


def test_ctrl_c_ends_workers_and_keeps_shards(tmp_path, data, stores):
    """SIGINT to the group: KeyboardInterrupt in the script, no worker left, no lock, and the rest comes next time."""
    images = write_pictures(data, 600, size=(300, 220))  # some seconds: a busy machine must not be late
    child = start_script(tmp_path, images, stores)
    while not finished(stores):
        time.sleep(0.005)
    offspring = psutil.Process(child.pid).children(recursive=True)
    os.killpg(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    assert not psutil.wait_procs(offspring, timeout=20)[1]
    assert half_written(stores) == []
    kept = len(finished(stores))
    assert kept >= 1
    assert 0 < run_script(tmp_path, images, stores)["converted"] < 600


def test_ctrl_c_in_this_process(data, stores):
    """Interrupted in the generator's own loader: the same, without workers."""
    images = write_pictures(data, 60)

    def load(path):
        if len(finished(stores)) == 2:
            raise KeyboardInterrupt
        return own_loader(path)

    with pytest.raises(KeyboardInterrupt):
        convert(images, stores, generator_load=load)
    assert half_written(stores) == []
    assert len(finished(stores)) == 2
    assert convert(images, stores, generator_load=own_loader).converted == 60 - 32


def test_eight_processes_write_one_store(tmp_path, data, stores):
    """All are served the same records, and every image is converted once."""
    images = write_pictures(data, 100, size=(200, 150))
    children = [start_script(tmp_path, images, stores, verbose=1) for _ in range(8)]
    answers, told = [], []
    for child in children:
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
        answers.append(json.loads(out))
        told.append(err)
    assert sorted(answer["converted"] for answer in answers) == [0] * 7 + [100]
    assert len({tuple(answer["records"]) for answer in answers}) == 1
    assert any("waiting for process" in err for err in told)
    assert half_written(stores) == []
    assert len(content(stores)) == len(content_of_one(tmp_path, images))


def content_of_one(tmp_path, images):
    convert(images, tmp_path / "one")
    return content(tmp_path / "one")


# ---- workers ----


def watch_and_kill(stop, most):
    """Kill up to ``most`` worker processes of this one as they get to work."""
    killed = set()
    while not stop.is_set() and len(killed) < most:
        for child in psutil.Process().children():
            if child.pid not in killed and len(killed) < most and child.cpu_times().user > 0.05:
                child.kill()
                killed.add(child.pid)
        time.sleep(0.005)


@pytest.fixture
def killer():
    stop = threading.Event()
    threads = []

    def begin(most):
        threads.append(threading.Thread(target=watch_and_kill, args=(stop, most)))
        threads[0].start()

    yield begin
    stop.set()
    for thread in threads:
        thread.join()


def test_a_worker_that_dies_is_replaced(tmp_path, data, stores, killer):
    """One worker killed in its work: another makes its shard, and nobody notices."""
    images = write_pictures(data, 400, size=(300, 220))
    killer(1)
    assert convert(images, stores).converted == 400
    convert(images, tmp_path / "undisturbed")
    assert content(stores) == content(tmp_path / "undisturbed")


def test_workers_that_always_die_are_one_error(data, stores, monkeypatch):
    """A shard over which two workers died is named, with how they died; finished shards stay."""
    images = write_pictures(data, 60)
    bad = in_random_order([Path(path).name for path in images])[40]
    monkeypatch.setattr(
        workers,
        "_BOOTSTRAP",
        "import os, signal; from kerasdiag.repair.conversion import shard; real = shard.load_bytes;"
        f" shard.path_of = lambda root, name: os.kill(os.getpid(), 9) if name == {bad!r} else root + '/' + name; "
        + workers._BOOTSTRAP.replace("import sys;", "import sys; sys.stdin.buffer;"),
    )
    monkeypatch.setenv("PYTHONPATH", HOME)
    with pytest.raises(StoreError, match=r"Two conversion workers died.*SIGKILL.*kept"):
        convert(images, stores)
    assert half_written(stores) == []
    assert len(finished(stores)) >= 1
    monkeypatch.undo()
    assert convert(images, stores).converted < 60


# ---- disks ----


def test_a_file_size_limit_is_one_sentence(tmp_path, data, stores):
    """A real RLIMIT_FSIZE in the workers: clear error, nothing half written, and later it goes on."""
    images = write_pictures(data, 66)  # four shards of 16 and one of 2
    answer = run_script(tmp_path, images, stores, fsize=20_000)
    assert "size limit" in answer["error"]
    assert "cache_dir=" in answer["error"]
    assert "KERASDIAG_CACHE_DIR" in answer["error"]
    assert "\n" not in answer["error"]
    assert half_written(stores) == []
    kept = sum(len(json.loads(manifest)["names"]) for manifest in finished(stores).values())
    assert convert(images, stores).converted == 66 - kept


def can_mount():
    if os.name != "posix" or os.geteuid() != 0 or sys.platform != "linux":
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("disk", ["tmpfs"] if can_mount() else [])
def test_a_really_full_disk(tmp_path, data, disk):
    """A small tmpfs fills up half way: clear error, finished shards kept, and with more space only the rest is made."""
    images = write_pictures(data, 66)
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", disk, "-o", "size=128k", disk, str(mount)], check=True)
    try:
        stores = mount / "stores"
        answer = run_script(tmp_path, images, stores, lie_about_space=True)
        assert "the disk is full" in answer["error"]
        assert "kept for the next call" in answer["error"]
        assert half_written(stores) == []
        kept = sum(len(json.loads(manifest)["names"]) for manifest in finished(stores).values())
        assert kept >= 16
        subprocess.run(["mount", "-o", "remount,size=2m", str(mount)], check=True)
        prepared = convert(images, stores)
        assert prepared.converted == 66 - kept
        assert prepared.store.verify() == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_space_while_the_index_is_written(data, stores, monkeypatch, number):
    """Full at the very last file: nothing is visible, nothing is lost."""
    images = write_pictures(data, 40)
    real = store_files.replace

    def refuse(source, target):
        if target.name == "index.json":
            raise OSError(number, os.strerror(number), str(source), None, str(target))
        real(source, target)

    monkeypatch.setattr(store_files, "replace", refuse)
    with pytest.raises(StoreError, match="Cannot write the pixel store"):
        convert(images, stores)
    assert find_finished(find_sources(images, None), LOADER, stores_dir=stores) is None
    monkeypatch.undo()
    assert convert(images, stores).converted == 0
    assert half_written(stores) == []


def unwritable(tmp_path):
    """A directory in which this user cannot write, root or not."""
    if os.geteuid() == 0:
        return Path("/sys/kerasdiag-test")
    folder = tmp_path / "readonly"
    folder.mkdir(mode=0o500)
    return folder


def test_a_read_only_place_names_both_settings(tmp_path, data):
    """The error says where, why, and what to choose instead."""
    with pytest.raises(StoreError, match=r"cache_dir=.*KERASDIAG_CACHE_DIR") as raised:
        convert(write_pictures(data, 4), unwritable(tmp_path) / "stores")
    assert "Cannot write the pixel store" in str(raised.value)


def test_a_file_in_the_way(tmp_path, data):
    """A cache path that is a file is one clear error, too."""
    (tmp_path / "file").write_text("here")
    with pytest.raises(StoreError, match="KERASDIAG_CACHE_DIR"):
        convert(write_pictures(data, 4), tmp_path / "file" / "stores")


def test_a_read_only_store_is_still_read(data, stores):
    """Somebody else's finished store serves without a single write."""
    images = write_pictures(data, 20)
    directory = convert(images, stores).store.directory
    (directory / "local" / "seen.npy").unlink(missing_ok=True)
    (directory / "local" / "used").unlink()
    (directory / "local").rmdir()
    (directory / "local").write_text("in the way")  # for root, who can write anywhere else
    assert convert(images, stores).converted == 0


def test_a_scanner_that_holds_every_file_for_a_while(data, stores, monkeypatch):
    """Each rename fails three times before it works: the conversion only takes longer."""
    failures, naps = {}, []
    real = os.replace

    def held(source, target):
        failures[str(target)] = failures.get(str(target), 0) + 1
        if failures[str(target)] <= 3:
            raise PermissionError(errno.EACCES, "held by a scanner", str(source), None, str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(store_files.time, "sleep", naps.append)
    images = write_pictures(data, 20)
    prepared = convert(images, stores, generator_load=own_loader)
    assert prepared.converted == 20
    assert prepared.store.verify() == []
    assert min(failures.values()) == 4
    assert half_written(stores) == []


def test_a_scanner_that_never_lets_go(data, stores, monkeypatch):
    """Then it is one error that names the file and the likely culprit; nothing is half visible."""

    def held(source, target):
        raise PermissionError(errno.EACCES, "held by a scanner", str(source), None, str(target))

    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(store_files.time, "sleep", lambda _: None)
    images = write_pictures(data, 20)
    with pytest.raises(StoreError, match="virus scanner") as raised:
        convert(images, stores, generator_load=own_loader)
    assert "store.json" in str(raised.value)
    monkeypatch.undo()
    assert half_written(stores) == []
    assert convert(images, stores, generator_load=own_loader).converted == 20


def test_directories_that_cannot_be_synced(data, stores, monkeypatch):
    """Some network file systems refuse fsync on directories; files are synced all the same."""
    synced = []
    real = os.fsync

    def sync(handle):
        if os.fstat(handle).st_mode & 0o40000:
            raise OSError(errno.EINVAL, "not on directories")
        synced.append(handle)
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    assert convert(write_pictures(data, 20), stores, generator_load=own_loader).converted == 20
    assert len(synced) >= 6


@pytest.mark.parametrize("change", ["truncate", "remove", "manifest"])
def test_a_damaged_shard_is_made_again(data, stores, change):
    """A truncated or vanished shard costs the conversion of its own images and nothing else."""
    images = write_pictures(data, 40)
    first = convert(images, stores)
    path = Path(first.store.files[1])
    if change == "truncate":
        os.truncate(path, path.stat().st_size - 1)
    elif change == "remove":
        path.unlink()
    else:
        path.with_suffix(".json").write_text("{")
    assert find_finished(find_sources(images, None), LOADER, stores_dir=stores) is None
    second = convert(images, stores)
    assert second.converted == int((first.store.file == 1).sum())
    assert second.store.verify() == []
    for row in (0, 20, 39):
        np.testing.assert_array_equal(stored_pixels(second, row), keras_like()(images[row]))
    assert half_written(stores) == []


# ---- images ----


def spoil(data, paths):
    """Spoil five images in five ways; return their rows."""
    whole = Path(paths[3]).read_bytes()
    Path(paths[3]).write_bytes(whole[: len(whole) // 2])
    Path(paths[8]).write_bytes(b"")
    Path(paths[12]).unlink()
    Path(paths[15]).write_bytes(b"GIF of a kind that nobody knows")
    Path(paths[17]).unlink()
    Path(paths[17]).mkdir()
    return [3, 8, 12, 15, 17]


def test_bad_images_are_listed_after_a_full_pass(data, stores):
    """One error names every bad file with its rows and reason; the good ones are kept for the next call."""
    paths = write_pictures(data, 40)
    bad = spoil(data, paths)
    rows = [*paths, paths[8]]
    with pytest.raises(BadImagesError, match='bad_images="skip"') as raised:
        convert(rows, stores)
    images = raised.value.images
    assert [image.rows[0] for image in images] == bad
    assert images[1].rows == (8, 40)
    assert images[0].path == paths[3]
    reasons = [image.reason for image in images]
    assert "truncated" in reasons[0]
    assert reasons[1] == "the file is empty"
    assert reasons[2] == "No such file or directory"
    assert reasons[3] == "not an image that Pillow can read"
    assert reasons[4] == "Is a directory"
    for image in images:
        assert image.path in str(raised.value)
        assert image.reason in str(raised.value)
    random_pixels = np.random.default_rng(5)
    for row in bad:
        if Path(paths[row]).is_dir():
            Path(paths[row]).rmdir()
        write_picture(Path(paths[row]), random_pixels, age_s=9)
    assert convert(rows, stores).converted == 5


def test_many_bad_images_are_counted(data, stores):
    """The text shows twenty; the attribute holds all."""
    paths = write_pictures(data, 30)
    for path in paths[2:]:
        Path(path).write_bytes(b"bad")
    with pytest.raises(BadImagesError, match=r"28 of 30 images.*(\n.*){20}\n  and 8 more") as raised:
        convert(paths, stores)
    assert len(raised.value.images) == 28


def test_skipped_images_are_remembered_and_repaired_ones_picked_up(data, stores):
    """``"skip"`` leaves them out; the next call does not try again until a file is another."""
    paths = write_pictures(data, 40)
    bad = spoil(data, paths)
    tried = []

    def load(path):
        tried.append(path)
        return keras_like()(path)

    prepared = convert(paths, stores, bad_images="skip")
    assert [image.rows for image in prepared.skipped] == [(row,) for row in bad]
    assert np.flatnonzero(prepared.record_of_row < 0).tolist() == bad
    assert prepared.converted == 35
    again = convert(paths, stores, bad_images="skip", generator_load=load)
    assert (again.converted, tried) == (0, [])
    assert again.skipped == prepared.skipped
    sources = find_sources(paths, None)
    assert find_finished(sources, LOADER, stores_dir=stores) is None
    assert find_finished(sources, LOADER, stores_dir=stores, bad_images="skip").skipped == prepared.skipped
    write_picture(Path(paths[15]), np.random.default_rng(1), age_s=7)
    write_picture(Path(paths[12]), np.random.default_rng(2))
    repaired = convert(paths, stores, bad_images="skip")
    assert repaired.converted == 2
    assert [image.rows[0] for image in repaired.skipped] == [3, 8, 17]
    with pytest.raises(BadImagesError):
        convert(paths, stores)


def test_an_image_that_goes_bad_does_not_show_its_old_pixels(data, stores):
    """A file replaced by rubbish is a bad image, not the image of yesterday."""
    paths = write_pictures(data, 20)
    convert(paths, stores)
    Path(paths[4]).write_bytes(b"rubbish")
    prepared = convert(paths, stores, bad_images="skip")
    assert prepared.record_of_row[4] == -1
    with pytest.raises(BadImagesError):
        convert(paths, stores)


def test_decompression_bombs_are_bad_images(data, stores, monkeypatch):
    """Pillow's limit of this process holds in the workers, too."""
    paths = write_pictures(data, 40)
    Image.new("RGB", (200, 200)).save(paths[2])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15_000)
    with pytest.raises(BadImagesError, match="DecompressionBombError") as raised:
        convert(paths, stores)
    assert [image.rows for image in raised.value.images] == [(2,)]


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("sampled", [True, False])
def test_values_that_no_store_holds_are_an_error_of_their_own(data, stores, sampled, color_mode):
    """Fractions stop everything, whatever ``bad_images`` says, and are named; so does rgb above 255."""
    loader = LoaderOptions(color_mode, (24, 32))
    paths = write_pictures(data, 80)
    order = in_random_order([Path(path).name for path in paths])
    odd = str(data / order[0 if sampled else 70])

    def load(path):
        pixels = 255 - keras_like(loader)(path).astype(np.int64)
        return pixels + (0.5 if color_mode == "grayscale" else 256) if path == odd else pixels

    with pytest.raises(StoreError, match="holds whole numbers") as raised:
        convert(paths, stores, loader=loader, generator_load=load, bad_images="skip")
    assert not isinstance(raised.value, BadImagesError)
    assert odd in str(raised.value)
    assert half_written(stores) == []
    assert stores.exists() != sampled


@pytest.mark.parametrize("times", [1, 99])
def test_a_source_that_changes_while_it_is_read(data, stores, times):
    """Changed once, it is read again and right; changing all the time, it is reported as that."""
    paths = write_pictures(data, 40)
    name = in_random_order([Path(path).name for path in paths])[35]
    changes = []

    def load(path):
        if Path(path).name == name and len(changes) < times:
            pixels = own_loader(path)
            changes.append(1)
            write_picture(Path(path), np.random.default_rng(len(changes)), age_s=len(changes))
            return pixels
        return own_loader(path)

    row = paths.index(str(data / name))
    if times == 1:
        prepared = convert(paths, stores, generator_load=load)
        np.testing.assert_array_equal(stored_pixels(prepared, row), own_loader(paths[row]))
    else:
        with pytest.raises(BadImagesError, match="changed while it was being read") as raised:
            convert(paths, stores, generator_load=load)
        assert [image.rows for image in raised.value.images] == [(row,)]


def test_all_sources_missing(data, stores):
    """A wrong directory is the list of what is missing, and leaves nothing behind."""
    with pytest.raises(BadImagesError, match="3 of 3"):
        convert([data / f"{number}.png" for number in range(3)], stores)
    assert not stores.exists()


def test_the_checksum_package_is_asked_for_before_anything_is_written(data, stores, monkeypatch):
    """Without google-crc32c the error comes first and names the extra."""
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(StoreError, match=r"kerasdiag\[repair\]"):
        convert(write_pictures(data, 4), stores)
    assert not stores.exists()


def test_a_lock_left_by_a_killed_process_is_removed(tmp_path, data, stores):
    """Killed after the last write and before the end: the store is whole, and the next call takes the lock away."""
    images = write_pictures(data, 20)
    run_script(tmp_path, images, stores)
    expected = content(stores)
    store = next(path for path in stores.iterdir() if path.is_dir())
    lock_path = store.with_name(f"{store.name}.lock")
    code = f"import os; from pathlib import Path; from kerasdiag.repair.pixel_store.lock import StoreLock; StoreLock(Path({str(lock_path)!r})).__enter__(); os._exit(1)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": HOME}, timeout=60, check=False)
    assert lock_path.exists()
    assert run_script(tmp_path, images, stores)["converted"] == 0
    assert content(stores) == expected
