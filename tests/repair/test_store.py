"""Opening, finding and checking finished stores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conversions import LOADER, content, convert, write_pictures

from kerasdiag.errors import StoreError
from kerasdiag.repair.pixel_store.find_store import list_stores
from kerasdiag.repair.pixel_store.store import open_store


@pytest.fixture
def prepared(tmp_path):
    return convert(write_pictures(tmp_path / "data", 40), tmp_path / "cache" / "stores", directory=tmp_path / "data")


def damage(path, change):
    data = bytearray(Path(path).read_bytes())
    change(data)
    Path(path).write_bytes(bytes(data))


def test_columns_describe_every_record(prepared):
    """Offsets, lengths and files cover the shards exactly, without gap or overlap."""
    store = open_store(prepared.store.directory)
    assert store.num_records == 40
    assert store.loader == LOADER
    assert store.file.dtype == np.int32
    for column in (store.data_offset, store.record_offset, store.record_length):
        assert column.dtype == np.int64
        assert column.shape == (40,)
    for number, file in enumerate(store.files):
        assert os.path.isabs(file)
        of_file = store.file == number
        ends = store.record_offset[of_file] + store.record_length[of_file]
        assert store.record_offset[of_file].tolist() == [0, *ends[:-1]]
        assert ends[-1] == os.path.getsize(file)
    assert store.num_bytes == sum(map(os.path.getsize, store.files))
    assert store.dead_bytes == 0


def test_lookup_is_minus_one_where_absent(prepared):
    """Known names have their record, unknown ones -1."""
    store = prepared.store
    found = store.lookup([store.names[7], "nothing.png", store.names[0]])
    assert found.tolist() == [7, -1, 0]
    assert found.dtype == np.int64


def test_records_are_in_random_order_in_shards_of_many_rows(prepared):
    """Neighbours in the store are no neighbours on the disk, and small sets have several shards."""
    names = list(prepared.store.names)
    assert names != sorted(names)
    assert np.abs(np.diff([int(name[8:11]) for name in names])).mean() > 6
    assert len(prepared.store.files) == 3


def test_directory_is_private_and_says_what_it_is(prepared):
    """Mode 0700, and a description for whoever finds it."""
    directory = prepared.store.directory
    assert directory.stat().st_mode & 0o777 == 0o700
    assert "TFRecordDataset" in json.loads((directory / "store.json").read_text())["about"]


def test_nothing_of_the_moment_is_in_the_files(tmp_path, prepared):
    """Two stores of the same images are the same bytes."""
    again = convert(
        [prepared.store.root + "/" + name for name in sorted(prepared.store.names)],
        tmp_path / "other" / "stores",
        directory=tmp_path / "data",
    )
    assert content(tmp_path / "cache") == content(tmp_path / "other")
    assert again.converted == 40


def test_verify_names_what_is_damaged(prepared):
    """A flipped bit in the pixels is found by the full check and named; the sound store has nothing to say."""
    store = prepared.store
    seen = []
    assert store.verify(progress=seen.append) == []
    assert sum(seen) == 40
    assert store.verify(sample=5, progress=seen.append) == []
    assert sum(seen) == 45
    place = int(store.data_offset[3]) + 100
    damage(store.files[store.file[3]], lambda data: data.__setitem__(place, data[place] ^ 1))
    (problem,) = store.verify()
    assert store.names[3] in problem
    assert "checksum" in problem


def test_verify_sees_exchanged_records(prepared):
    """A record in another's place has a sound checksum and is still wrong."""
    store = prepared.store
    first, second = (int(store.record_offset[record]) for record in (0, 1))
    length = int(store.record_length[0])
    assert length == store.record_length[1]

    def exchange(data):
        data[first : first + length], data[second : second + length] = (
            data[second : second + length],
            data[first : first + length],
        )

    damage(store.files[0], exchange)
    assert len(store.verify()) == 2


def test_verify_reports_a_missing_file(prepared):
    """A shard that vanished after opening is one sentence."""
    os.unlink(prepared.store.files[1])
    (problem,) = prepared.store.verify()
    assert prepared.store.files[1] in problem


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("store.json", None, "no pixel store"),
        ("store.json", b"{}", "not that of a pixel store"),
        ("store.json", b"not json", "not that of a pixel store"),
        ("store.json", b'{"kerasdiag_pixel_store": 99}', "Upgrade kerasdiag"),
        ("store.json", b'{"kerasdiag_pixel_store": 1, "loader": 3, "root": ""}', "cannot be understood"),
        ("index.json", None, "not finished"),
        ("index.json", b"[]", "cannot be read"),
        ("shards/pixels-00001.json", None, "cannot be read"),
        ("shards/pixels-00001.json", b"{}", "damaged"),
        ("shards/pixels-00001.tfrecord", None, "cannot be read"),
        ("shards/pixels-00001.tfrecord", b"short", "truncated"),
    ],
)
def test_what_is_no_store_is_one_clear_error(prepared, file, change, said):
    """Missing, foreign, newer, unfinished and truncated stores each say what they are and where."""
    path = prepared.store.directory / file
    path.unlink() if change is None else path.write_bytes(change)
    with pytest.raises(StoreError, match=said) as raised:
        open_store(prepared.store.directory)
    assert str(prepared.store.directory) in str(raised.value)


def test_list_shows_every_store_and_what_ails_it(tmp_path, prepared):
    """Size, records, root, last use; a broken one with its reason instead of an exception."""
    broken = tmp_path / "cache" / "stores" / "broken"
    broken.mkdir()
    (broken / "rubbish").write_bytes(b"12345")
    sound, bad = sorted(list_stores(tmp_path / "cache"), key=lambda entry: entry.problem is not None)
    assert (sound.directory, sound.loader, sound.num_records) == (prepared.store.directory, LOADER, 40)
    assert sound.root == str(tmp_path / "data")
    assert sound.num_bytes > prepared.store.num_bytes
    assert sound.last_used_s == pytest.approx(prepared.store.directory.joinpath("local/used").stat().st_mtime)
    assert bad.directory == broken
    assert bad.num_bytes == 5
    assert bad.num_records is None
    assert "no store.json" in bad.problem
    assert list_stores(tmp_path / "nothing") == []
