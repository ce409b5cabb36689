"""Reading single records: with and without positioned reads, many shards, damaged shards."""

from __future__ import annotations

import os
import shutil
import threading

import numpy as np
import pytest
from repair.stores import make_store

from kerasdiag.errors import StoreError
from kerasdiag.repair.pipeline import reader
from kerasdiag.repair.pipeline.reader import PixelReader


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path, count=60)


def read_all(store, pixels=None):
    pixel_reader = PixelReader(store)
    images = []
    for record in range(store.num_records):
        buffer = np.zeros(store.loader.image_bytes + 8, np.uint8)
        pixel_reader.read(record, buffer)
        assert not buffer[-8:].any()
        images.append(buffer[:-8])
    return np.stack(images)


def test_pixels_are_those_that_were_written(store):
    """Each record's pixels are what Pillow makes of its file."""
    from PIL import Image

    for record, pixels in enumerate(read_all(store)):
        with Image.open(os.path.join(store.root, store.names[record])) as image:
            wanted = np.asarray(image.convert("RGB").resize((12, 10), Image.NEAREST))
        assert np.array_equal(pixels.reshape(10, 12, 3), wanted)


@pytest.mark.parametrize("hidden", ["preadv", "both"])
def test_platform_without_positioned_reads(store, monkeypatch, hidden):
    """Windows seeks and reads; from many threads at once every one gets its own record."""
    wanted = read_all(store)
    monkeypatch.delattr(os, "preadv")
    if hidden == "both":
        monkeypatch.delattr(os, "pread")
    pixel_reader = PixelReader(store)
    assert pixel_reader.pread_address == 0
    wrong = []

    def read(seed):
        for record in np.random.default_rng(seed).permutation(store.num_records):
            buffer = np.zeros(store.loader.image_bytes, np.uint8)
            pixel_reader.read(int(record), buffer)
            if not np.array_equal(buffer, wanted[record]):
                wrong.append(record)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_open_files_are_limited(store, monkeypatch):
    """A store of thousands of shards does not use up the files that a process may open."""
    monkeypatch.setattr(reader, "MAX_OPEN_FILES", 2)
    assert len(store.files) > 2
    before = len(os.listdir("/proc/self/fd"))
    pixel_reader = PixelReader(store)
    for record in range(store.num_records):
        pixel_reader.read(record, np.zeros(store.loader.image_bytes, np.uint8))
        assert len(os.listdir("/proc/self/fd")) <= before + 3
    with pixel_reader.places(np.arange(store.num_records)) as (descriptors, _):
        assert len(np.unique(descriptors)) == len(store.files)  # all that a batch needs stay open
    del pixel_reader
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("positioned", [True, False])
def test_truncated_and_missing_shards(store, monkeypatch, positioned):
    """What happened to which file, and what to type."""
    if not positioned:
        monkeypatch.delattr(os, "preadv")
    os.truncate(store.files[0], store.record_offset[3] + 40)
    buffer = np.zeros(store.loader.image_bytes, np.uint8)
    with pytest.raises(
        StoreError, match=r"pixels-00000.tfrecord cannot be read: it ends inside record 3.*store verify"
    ):
        PixelReader(store).read(3, buffer)
    os.unlink(store.files[0])
    with pytest.raises(StoreError, match=r"pixels-00000.tfrecord cannot be read: No such file"):
        PixelReader(store).read(3, buffer)


@pytest.mark.parametrize("positioned", [True, False])
def test_a_shard_that_was_exchanged_is_noticed(store, tmp_path, monkeypatch, positioned):
    """A store that is made anew under a running training has the same names and other images."""
    if not positioned:
        monkeypatch.delattr(os, "preadv")
    pixel_reader = PixelReader(store)
    shutil.copy(store.files[0], tmp_path / "new")
    os.replace(tmp_path / "new", store.files[0])
    with pytest.raises(StoreError, match="another file has taken its place"):
        pixel_reader.read(0, np.zeros(store.loader.image_bytes, np.uint8))
    if positioned:
        with pytest.raises(StoreError, match="another file has taken its place"), pixel_reader.places(np.arange(2)):
            pass
