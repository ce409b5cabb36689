"""Grayscale of 16 and 32 bits: the store gets the narrowest dtype that holds all images, and no value changes."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from conversions import LOADER, content, convert, keras_like, stored_pixels, write_pictures, write_wide
from PIL import Image

from kerasdiag.cli import main
from kerasdiag.errors import BadImagesError, StoreError
from kerasdiag.repair.conversion import estimate
from kerasdiag.repair.conversion.job import in_random_order
from kerasdiag.repair.conversion.prepare import find_finished
from kerasdiag.repair.pipeline.reader import PixelReader
from kerasdiag.repair.pixel_store.sources import find_sources
from kerasdiag.repair.pixel_store.store import open_store
from kerasdiag.spec import LoaderOptions

GRAY = LoaderOptions("grayscale", (24, 32))


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def stores(tmp_path):
    return tmp_path / "cache" / "stores"


def in_sample_order(folder, paths):
    """The same files in the order in which a sample takes them; the first 64 at most are looked at beforehand."""
    return [str(folder / name) for name in in_random_order([Path(path).name for path in paths])]


def directories(stores):
    return sorted(path for path in stores.iterdir() if path.is_dir())


def assert_pixels_are_those_of_the_loader(prepared, rows, loader=GRAY):
    for row, path in enumerate(rows):
        expected = keras_like(loader)(path).reshape(loader.image_shape)
        np.testing.assert_array_equal(stored_pixels(prepared, row), expected)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_files_are_stored_as_uint16(data, stores, suffix):
    """PNG and TIFF, with the values of the file, and the records match their checksums."""
    paths = [write_wide(data / f"{number}.{suffix}", seed=number) for number in range(5)]
    prepared = convert(paths, stores, loader=GRAY)
    store = prepared.store
    assert store.loader == LoaderOptions("grayscale", (24, 32), pixel_dtype="uint16")
    assert store.loader.image_bytes == 24 * 32 * 2
    assert_pixels_are_those_of_the_loader(prepared, paths)
    assert stored_pixels(prepared, 0).max() == 65_535
    assert store.verify() == []
    assert prepared.in_process_reason is None
    assert len(directories(stores)) == 1


def test_mode_i_above_65535_and_below_0_is_stored_as_int32(data, stores, capsys):
    """What 16 bits do not hold goes straight to 32, without a conversion to 16 between."""
    paths = [
        write_wide(data / "8.png", "uint8"),
        write_wide(data / "16.png"),
        write_wide(data / "32.tiff", "int32"),
    ]
    prepared = convert(paths, stores, loader=GRAY, verbose=1)
    assert prepared.store.loader.pixel_dtype == "int32"
    assert_pixels_are_those_of_the_loader(prepared, paths)
    assert capsys.readouterr().err.count("instead") == 1
    assert len(directories(stores)) == 1


def test_narrow_values_in_wide_files_need_no_wide_store(data, stores):
    """Values decide and not the mode: 16-bit files whose values end at 255 take one byte each."""
    paths = [str(data / f"{number}.png") for number in range(3)]
    data.mkdir()
    for number, path in enumerate(paths):
        Image.fromarray(np.full((24, 32), 80 * number, np.uint16)).save(path)
    assert convert(paths, stores, loader=GRAY).store.loader == GRAY


def test_a_mix_of_8_and_16_bit_files_shares_one_store(data, stores, capsys):
    """One line says what was found and what the store takes; the sample sees it before a byte is written."""
    paths = [*write_pictures(data, 6), write_wide(data / "wide.png")]
    prepared = convert(paths, stores, loader=GRAY, verbose=1)
    assert prepared.converted == 7
    assert prepared.store.loader.pixel_dtype == "uint16"
    assert_pixels_are_those_of_the_loader(prepared, paths)
    said = [line for line in capsys.readouterr().err.splitlines() if "uint16 instead" in line]
    assert len(said) == 1
    assert "wide.png holds uint16 values from 0 to 65535" in said[0]
    assert "all 7 images" in said[0]
    assert len(directories(stores)) == 1


@pytest.mark.parametrize("filter_name", ["nearest", "bilinear", "lanczos"])
def test_a_wide_image_is_resized_as_pillow_resizes_it(data, stores, filter_name):
    """The filter works on 16 bits, not on 8."""
    path = write_wide(data / "wide.png", size=(50, 41))
    loader = LoaderOptions("grayscale", (24, 32), filter_name)

    def load(path):
        with Image.open(path) as image:
            return np.asarray(image.resize((32, 24), getattr(Image, filter_name.upper())))

    prepared = convert([path], stores, loader=loader, generator_load=load)
    np.testing.assert_array_equal(stored_pixels(prepared, 0)[:, :, 0], load(path))
    assert len(np.unique(stored_pixels(prepared, 0))) > 300


@pytest.mark.parametrize("in_process", [False, True])
@pytest.mark.parametrize("bad_images", ["raise", "skip"])
def test_a_wide_image_outside_the_sample_starts_the_conversion_anew(data, stores, capsys, bad_images, in_process):
    """No image is called bad, nothing of the narrow store is left, and that is said in one line."""
    paths = write_pictures(data, 90)
    write_wide(in_sample_order(data, paths)[70])
    whole = keras_like(GRAY)

    def load(path):  # a loader of the user's own keeps the conversion in this process
        return np.flipud(whole(path))

    loads = {"generator_load": load} if in_process else {}
    prepared = convert(paths, stores, loader=GRAY, bad_images=bad_images, verbose=1, **loads)
    assert prepared.store.loader.pixel_dtype == "uint16"
    assert prepared.skipped == ()
    assert (prepared.in_process_reason is not None) == in_process
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(stored_pixels(prepared, row)[:, :, 0], (load if in_process else whole)(path))
    assert prepared.store.verify() == []
    assert directories(stores) == [prepared.store.directory]
    assert [path.name for path in stores.iterdir()] == [prepared.store.directory.name]
    assert capsys.readouterr().err.count("uint16 instead") == 1


def test_a_conversion_widens_twice_where_it_must(data, stores):
    """16 bits in the sample, 32 bits behind it: uint8, uint16, int32."""
    paths = write_pictures(data, 90)
    ordered = in_sample_order(data, paths)
    write_wide(ordered[0])
    Path(ordered[70]).write_bytes(Path(write_wide(data / "32.tiff", "int32")).read_bytes())
    prepared = convert(paths, stores, loader=GRAY)
    assert prepared.store.loader.pixel_dtype == "int32"
    assert_pixels_are_those_of_the_loader(prepared, paths)
    assert directories(stores) == [prepared.store.directory]


def test_images_that_cannot_be_loaded_are_still_told(data, stores):
    """Beside wide images, a broken one is listed, and it alone."""
    paths = [*write_pictures(data, 4), write_wide(data / "wide.png"), str(data / "broken.png")]
    Path(paths[-1]).write_bytes(b"no image")
    with pytest.raises(BadImagesError) as raised:
        convert(paths, stores, loader=GRAY)
    assert [image.path for image in raised.value.images] == paths[-1:]
    prepared = convert(paths, stores, loader=GRAY, bad_images="skip")
    assert [image.path for image in prepared.skipped] == paths[-1:]
    assert prepared.converted == 0


def test_the_second_call_finds_the_wide_store(data, stores):
    """It converts nothing, writes nothing, and a part of the rows finds it, too, where no narrower store has them."""
    paths = [*write_pictures(data, 4), write_wide(data / "wide.png")]
    first = convert(paths, stores, loader=GRAY, directory=data)
    before = content(stores)
    second = convert(paths, stores, loader=GRAY, directory=data)
    assert (second.converted, second.store.directory) == (0, first.store.directory)
    found = find_finished(find_sources(paths[:2], str(data)), GRAY, stores_dir=stores)
    assert found.store.loader.pixel_dtype == "uint16"
    assert content(stores) == before


def test_further_rows_join_the_wide_store_at_once(data, stores, capsys):
    """Validation rows of the same directory need no narrow store first; without wide ones a narrow store stays."""
    paths = [*write_pictures(data, 4), write_wide(data / "wide.png")]
    first = convert(paths, stores, loader=GRAY, directory=data)
    more = write_pictures(data / "more", 3, seed=4)
    second = convert(more, stores, loader=GRAY, directory=data, verbose=1)
    assert (second.converted, second.store.directory) == (3, first.store.directory)
    assert "instead" not in capsys.readouterr().err


def test_a_finished_narrow_store_stays_beside_the_wide_one(data, stores):
    """Its rows are found in it as before; rows with a wide image among them get a store of their own."""
    paths = write_pictures(data, 8)
    narrow = convert(paths[:6], stores, loader=GRAY, directory=data)
    before = content(narrow.store.directory)
    wide = convert([*paths, write_wide(data / "wide.png")], stores, loader=GRAY, directory=data)
    assert wide.store.loader.pixel_dtype == "uint16"
    assert content(narrow.store.directory) == before
    again = convert(paths[:6], stores, loader=GRAY, directory=data)
    assert (again.converted, again.store.directory) == (0, narrow.store.directory)


def test_an_interrupted_wide_conversion_goes_on_wide(data, stores, monkeypatch):
    """What was finished of the uint16 store is kept; the next call does not begin with uint8 again."""
    paths = write_pictures(data, 90)
    ordered = in_sample_order(data, paths)
    write_wide(ordered[70])
    calls = []

    def load(path):
        pixels = np.flipud(keras_like(GRAY)(path))
        calls.append(path)
        if pixels.max() > 255 and calls.count(path) > 1:  # once in the narrow store, once in the wide one
            raise KeyboardInterrupt
        return pixels

    with pytest.raises(KeyboardInterrupt):
        convert(paths, stores, loader=GRAY, generator_load=load)
    (left,) = directories(stores)
    kept = len(list((left / "shards").glob("*.json")))
    assert json.loads((left / "store.json").read_bytes())["loader"]["pixel_dtype"] == "uint16"
    assert kept > 0
    prepared = convert(paths, stores, loader=GRAY, generator_load=lambda path: np.flipud(keras_like(GRAY)(path)))
    assert prepared.store.directory == left
    assert 0 < prepared.converted < 90


def test_who_waits_for_a_wide_conversion_takes_it_over(data, stores, capsys):
    """Whoever waits for the narrow store waits until the wide one is done, or goes on with it where it is left."""
    paths = write_pictures(data, 90)
    write_wide(in_sample_order(data, paths)[70])
    is_wide, goes_on, calls, ended = threading.Event(), threading.Event(), [], []
    whole = keras_like(GRAY)

    def load_and_stop(path):
        pixels = np.flipud(whole(path))
        calls.append(path)
        if pixels.max() > 255 and calls.count(path) > 1:  # once in the narrow store, once in the wide one
            is_wide.set()
            goes_on.wait(60)
            raise KeyboardInterrupt
        return pixels

    def first():
        with pytest.raises(KeyboardInterrupt):
            convert(paths, stores, loader=GRAY, generator_load=load_and_stop)
        ended.append(True)

    other = threading.Thread(target=first)
    other.start()
    assert is_wide.wait(60)
    timer = threading.Timer(0.5, goes_on.set)
    timer.start()
    prepared = convert(paths, stores, loader=GRAY, generator_load=lambda path: np.flipud(whole(path)), verbose=1)
    other.join()
    timer.join()
    assert ended == [True]
    said = capsys.readouterr().err
    assert "waiting for process" in said
    assert "instead" not in said
    assert 0 < prepared.converted < 90
    assert [path.name for path in stores.iterdir()] == [prepared.store.directory.name]


def test_the_prediction_counts_the_bytes_of_the_wide_store(data, stores, monkeypatch, capsys):
    """Size and space are those of uint16; a store that fits with one byte a value only is refused."""
    paths = [write_wide(data / f"{number}.png", seed=number) for number in range(20)]
    names = find_sources(paths, None).names
    wide = LoaderOptions("grayscale", (24, 32), pixel_dtype="uint16")
    needed = estimate.bytes_to_write(wide, names)
    assert needed > 1.9 * estimate.bytes_to_write(GRAY, names)
    monkeypatch.setattr(estimate, "free_space", lambda _: int(needed * 1.09))
    with pytest.raises(StoreError, match="does not fit"):
        convert(paths, stores, loader=GRAY)
    assert not stores.parent.exists()
    monkeypatch.setattr(estimate, "free_space", lambda _: int(needed * 1.11))
    prepared = convert(paths, stores, loader=GRAY, verbose=1)
    assert prepared.store.num_bytes == needed
    assert f"converting 20 images, {needed:,} bytes" in capsys.readouterr().err


def test_colour_never_becomes_wide(data, stores):
    """Keras converts 16-bit files to 8 bits for rgb and rgba; so does the store."""
    path = write_wide(data / "wide.png")
    for color_mode in ("rgb", "rgba"):
        loader = LoaderOptions(color_mode, (24, 32))
        assert convert([path], stores, loader=loader).store.loader == loader


def test_the_key_of_uint8_stores_is_that_of_stores_without_a_dtype(data, stores):
    """A store from before there were dtypes has the same directory, and its header is read as uint8."""
    paths = write_pictures(data, 4)
    prepared = convert(paths, stores, directory=data)
    old_fields = {
        "color_mode": "rgb",
        "target_size": [24, 32],
        "interpolation": "nearest",
        "keep_aspect_ratio": False,
    }
    identity = json.dumps([old_fields, str(data)], separators=(",", ":")).encode() + b"\n"
    assert prepared.store.directory.name == hashlib.sha256(identity).hexdigest()[:12]
    header = json.loads((prepared.store.directory / "store.json").read_bytes())
    assert header["loader"] == old_fields
    assert open_store(prepared.store.directory).loader == LOADER
    wide = convert([write_wide(data / "w.png")], stores, loader=GRAY, directory=data).store
    assert open_store(wide.directory).loader == wide.loader
    fields = json.loads((wide.directory / "store.json").read_bytes())
    fields["loader"]["pixel_dtype"] = "float16"
    (wide.directory / "store.json").write_text(json.dumps(fields))
    with pytest.raises(StoreError, match="cannot be understood"):
        open_store(wide.directory)


def test_the_reader_gives_the_bytes_of_wide_records(data, stores):
    """The reader knows bytes only; seen as the store's dtype they are the pixels."""
    paths = [write_wide(data / f"{number}.png", seed=number) for number in range(3)]
    prepared = convert(paths, stores, loader=GRAY)
    loader = prepared.store.loader
    buffer = np.zeros(loader.image_bytes, np.uint8)
    for row, path in enumerate(paths):
        PixelReader(prepared.store).read(int(prepared.record_of_row[row]), buffer)
        np.testing.assert_array_equal(buffer.view(loader.pixel_dtype).reshape(24, 32), keras_like(GRAY)(path))


def test_info_and_verify_of_a_wide_store(data, stores, capsys):
    """info names the dtype, verify finds the records whole, and a damaged one damaged."""
    wide = convert([write_wide(data / "wide.png")], stores, loader=GRAY).store
    narrow = convert(write_pictures(data, 2), stores, loader=LOADER).store
    assert main(["store", "info", str(wide.directory)]) == 0
    assert "grayscale 24x32 nearest, uint16" in capsys.readouterr().out
    assert main(["store", "info", str(narrow.directory)]) == 0
    assert "uint" not in capsys.readouterr().out
    assert main(["store", "info", "--json", str(wide.directory)]) == 0
    assert json.loads(capsys.readouterr().out)["loader"]["pixel_dtype"] == "uint16"
    assert main(["store", "verify", str(wide.directory)]) == 0
    content = bytearray(Path(wide.files[0]).read_bytes())
    content[len(content) // 2] ^= 1
    Path(wide.files[0]).write_bytes(content)
    assert main(["store", "verify", str(wide.directory)]) == 1
