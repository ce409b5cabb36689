"""Listing the files of a training: folders, CSV files, and the time it may take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from machines import ATA, Machine

from kerasdiag.environment import data_files
from kerasdiag.environment.data_files import SAMPLE_SIZE, DataRequest, find_data
from kerasdiag.environment.storage import StorageClass
from kerasdiag.errors import DoctorUsageError


def files(folder, *names, num_bytes=10):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * num_bytes)
    return str(folder)


def names(data):
    return sorted(Path(name).name for name in data.sample)


def test_a_folder_of_images(tmp_path):
    """Images in all folders below, whatever their case; lists, hidden files and linked folders are not data."""
    path = files(tmp_path, "a/1.jpg", "a/2.JPEG", "b/c/3.png", "labels.csv", "a/.4.jpg", "a/5.txt")
    (tmp_path / "again").symlink_to(tmp_path / "a")
    data = find_data(DataRequest(path))
    assert (data.count, data.is_complete, data.missing) == (3, True, 0)
    assert names(data) == ["1.jpg", "2.JPEG", "3.png"]
    assert (data.mean_bytes, data.total_bytes, data.folder) == (10, 30, path)
    assert data.storage.reason


def test_a_folder_without_images(tmp_path):
    """Records and arrays are data where there are no images."""
    data = find_data(DataRequest(files(tmp_path, "1.tfrecord", "2.tfrecord", "x/3.npy")))
    assert (data.count, len(data.sample)) == (3, 3)


def test_rows_of_a_csv(tmp_path):
    """Each row is a read: images that stand there twice count twice. Names are relative to the CSV."""
    files(tmp_path, "a/1.jpg", "a/2.jpg")
    (tmp_path / "train.csv").write_text("filename,class\na/1.jpg,x\na/2.jpg,y\na/1.jpg,x\n,z\n\n")
    data = find_data(DataRequest(str(tmp_path / "train.csv")))
    assert (data.count, names(data), data.missing) == (3, ["1.jpg", "2.jpg"], 0)


def test_column_and_folder_of_a_csv(tmp_path):
    """As in flow_from_dataframe; a byte order mark and quotes are no part of a name; absolute names stay."""
    files(tmp_path, "images/1.jpg", "other/2, 3.jpg")
    (tmp_path / "lists").mkdir()
    text = f'\ufeffpath,class\n1.jpg,x\n"{tmp_path}/other/2, 3.jpg",y\n'
    (tmp_path / "lists/train.csv").write_text(text, encoding="utf-8")
    data = find_data(DataRequest(str(tmp_path / "lists/train.csv"), "path", str(tmp_path / "images")))
    assert (data.count, names(data)) == (2, ["1.jpg", "2, 3.jpg"])
    assert data.folder == str(tmp_path)  # of the images; the list lies elsewhere


def test_files_that_are_not_there(tmp_path):
    """Some missing files are counted; none of them there is the wrong folder."""
    files(tmp_path, "1.jpg")
    (tmp_path / "train.csv").write_text("filename\n1.jpg\n2.jpg\n3.jpg\n")
    data = find_data(DataRequest(str(tmp_path / "train.csv")))
    assert (data.count, data.missing, names(data)) == (3, 2, ["1.jpg"])
    with pytest.raises(DoctorUsageError, match=r"none of 3 files tried exists, for example .*jpg.*--directory"):
        find_data(DataRequest(str(tmp_path / "train.csv"), directory=str(tmp_path / "absent")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"path,class\n1.jpg,x\n", "no column 'filename'; its columns are: path, class"),
        (b"filename;class\n1.jpg;x\n", "its columns are: filename;class"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "is no text|cannot be read as CSV"),  # before Python 3.11 csv refuses NUL
        (b"\xff\xd8\xff\xe0 \x10JFIF", r"is no text \(UTF-8\)"),
        ("filename,class\n1.jpg,x\n".encode("utf-16"), "is no text|cannot be read as CSV"),
        (b"filename\n", "holds no files"),
        (b'filename\n"' + b"x" * 200_000 + b'"\n', "cannot be read as CSV"),
    ],
)
def test_files_that_are_no_list(tmp_path, content, message):
    """One sentence with what was found and what helps."""
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(DoctorUsageError, match=message):
        find_data(DataRequest(str(tmp_path / "train.csv")))


@pytest.mark.parametrize(
    ("path", "message"), [("absent", "no such folder"), ("empty", "holds no files"), ("", "is empty")]
)
def test_folders_that_hold_nothing(tmp_path, path, message):
    """The same for folders."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(DoctorUsageError, match=message):
        find_data(DataRequest(path and str(tmp_path / path)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_neither_a_folder_nor_a_file(tmp_path):
    """A pipe and /dev/null exist."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DoctorUsageError, match="is neither a folder nor a file"):
        find_data(DataRequest(str(tmp_path / "pipe.csv")))


def test_a_folder_of_links_that_lead_nowhere(tmp_path):
    """--directory is no help there."""
    (tmp_path / "1.jpg").symlink_to(tmp_path / "absent.jpg")
    with pytest.raises(DoctorUsageError, match=r"none of 1 files tried exists, .* Links that lead nowhere"):
        find_data(DataRequest(str(tmp_path)))


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_what_does_not_exist_is_counted(tmp_path, kind):
    """With one name to look for."""
    path = files(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "absent.jpg")
    if kind == "csv":
        path = str(tmp_path / "train.csv")
        Path(path).write_text("filename\n1.jpg\n2.jpg\ngone.jpg\n")
    data = find_data(DataRequest(path))
    assert (data.missing, Path(data.missing_name).name, data.is_list) == (1, "gone.jpg", kind == "csv")


def test_a_folder_that_may_not_be_entered(tmp_path, monkeypatch):
    """It is said as such, not called empty; one further down is passed over."""
    path = files(tmp_path, "1.jpg", "closed/2.jpg")
    scandir, closed = os.scandir, str(tmp_path / "closed")

    def guarded(folder):
        if str(folder) == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DoctorUsageError, match=r"cannot be listed \(Permission denied\)"):
        find_data(DataRequest(closed))
    assert names(find_data(DataRequest(path))) == ["1.jpg"]


def test_the_sample_is_even_and_always_the_same(tmp_path):
    """As many from the end of the list as from its beginning."""
    files(tmp_path, *(f"{number:04}.jpg" for number in range(1000)))
    (tmp_path / "train.csv").write_text("filename\n" + "".join(f"{number:04}.jpg\n" for number in range(1000)))
    request = DataRequest(str(tmp_path / "train.csv"))
    data = find_data(request)
    assert (data.count, len(data.sample)) == (1000, SAMPLE_SIZE)
    rows = [int(Path(name).stem) for name in data.sample]
    assert 40 <= sum(row < 500 for row in rows) <= SAMPLE_SIZE - 40
    assert sum(row < 500 for row in rows[:32]) in range(6, 27)  # in no order: the first of them are read
    assert find_data(request).sample == data.sample


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_listing_stops_when_the_time_is_up(tmp_path, kind):
    """A million files on a network are not counted to the end, and the facts say so."""
    seconds = iter(range(1000))
    path = files(tmp_path, *(f"{number}.jpg" for number in range(100)))
    if kind == "csv":
        path = str(tmp_path / "train.csv")
        Path(path).write_text("filename\n" + "".join(f"{number}.jpg\n" for number in range(100)))
    data = find_data(DataRequest(path), clock=lambda: float(next(seconds)))
    assert not data.is_complete
    assert 0 < data.count < 100
    assert len(data.sample) == data.count


def test_links_to_a_slower_disk(tmp_path, monkeypatch):
    """The slowest disk under the files counts, not the one under the folder of links."""
    monkeypatch.setattr("platform.system", lambda: "Linux")
    machine = Machine(tmp_path, """
        1 0 8:0 / / rw - ext4 /dev/sda rw
        2 1 8:16 / /archive rw - ext4 /dev/sdb rw
    """).disk("sda", "8:0", 0, ATA.format(1)).disk("sdb", "8:16", 1, ATA.format(2))  # fmt: skip
    files(tmp_path, "archive/1.jpg", "sets/2.jpg")
    machine.link("sets/1.jpg", "archive/1.jpg")
    data = find_data(DataRequest("/sets"), tmp_path)
    assert (data.count, data.storage.storage_class, data.storage.device) == (2, StorageClass.ROTATING, "sdb")


def test_the_limit_is_what_a_user_waits_without_asking():
    """Together with the reads it stays below the deadline of a check by far."""
    assert data_files.LISTING_S <= 1.0
