"""The user's own images: folders, tables, and what is wrong with them."""

from __future__ import annotations

import pytest
from builders import write_photos

from kerasdiag.demo.rows import check_images, find_rows
from kerasdiag.errors import DataError


def read_rows(*arguments, **options):
    """As the demo does: found first, and decoded once TensorFlow is there."""
    rows = find_rows(*arguments, **options)
    check_images([path for path, _ in rows])
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my photos é")
    for name in ("cat", "dog"):
        write_photos(folder / name, 6, size=(20, 30), seed=len(name))
    return folder


def test_a_folder_gives_its_subfolders_as_classes(folder):
    """Every image, the folder as its class."""
    rows = read_rows(folder, 100)
    assert len(rows) == 12
    assert {label for _, label in rows} == {"cat", "dog"}


def test_a_sample_is_taken_evenly(folder):
    """A few of many: all classes stay."""
    rows = read_rows(folder, 4)
    assert [label for _, label in rows] == ["cat", "cat", "dog", "dog"]


def test_a_flat_folder_gets_classes(folder):
    """One class cannot be trained; speed does not depend on labels."""
    assert len({label for _, label in read_rows(folder / "cat", 100)}) == 6


def test_a_table_names_its_columns(folder, tmp_path):
    """Relative paths begin at the file, or at --directory; without a column the first one counts."""
    lines = [f"{kind}/photo_{number:04}.jpg,{kind}" for kind in ("cat", "dog") for number in range(6)]
    (folder / "rows.csv").write_text("\n".join(["image,kind", *lines]), encoding="utf-8")
    rows = read_rows(folder / "rows.csv", 100, y_col="kind")
    assert {label for _, label in rows} == {"cat", "dog"}
    (tmp_path / "rows.csv").write_text("\n".join(["image,kind", *lines]), encoding="utf-8")
    assert read_rows(tmp_path / "rows.csv", 100, x_col="image", y_col="kind", directory=folder) == rows


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a,b\n1,2\n", {"x_col": "path"}, "has the columns a, b, and no path"),
        ("a,b\n1,2\n", {"y_col": "label"}, "and no label"),
        ("a,b\n", {}, "holds no image"),
        ("", {}, "has no header"),
        ("path\nabsent.jpg\n", {}, "1 of 1 images cannot be opened: .*absent.jpg .No such file"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, text, columns, message):
    """Missing columns, no rows, missing files."""
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / "rows.csv", 10, **columns)


def test_rows_without_a_class_are_left_out(folder):
    """An empty cell, or none at all, is no class."""
    lines = [f"cat/photo_{number:04}.jpg,{'cat' if number % 2 else 'dog'}" for number in range(4)]
    text = "\n".join(["image,kind", *lines, "cat/photo_0004.jpg", "cat/photo_0005.jpg,"])
    (folder / "gaps.csv").write_text(text, encoding="utf-8")
    assert len(read_rows(folder / "gaps.csv", 100, y_col="kind")) == 4


def test_what_a_mac_leaves_is_no_image(folder):
    """._photo.jpg holds attributes of photo.jpg."""
    (folder / "cat" / "._photo_0000.jpg").write_bytes(b"Mac OS X")
    try:
        assert len(read_rows(folder, 100)) == 12
    finally:
        (folder / "cat" / "._photo_0000.jpg").unlink()


def test_an_image_that_is_cut_short_is_found_before_the_training(folder, tmp_path):
    """Its header is whole."""
    whole = (folder / "cat" / "photo_0000.jpg").read_bytes()
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "short.jpg").write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"1 of 2 images cannot be opened: .*short\.jpg .*truncated"):
        read_rows(tmp_path, 10)


def test_a_missing_or_empty_folder_is_one_sentence(tmp_path):
    """Nothing there, or nothing in it."""
    with pytest.raises(DataError, match="no such folder"):
        read_rows(tmp_path / "absent", 10)
    with pytest.raises(DataError, match="holds no image"):
        read_rows(tmp_path, 10)


def test_images_that_are_none_are_listed(folder, tmp_path):
    """All of them are looked at; the first three are named."""
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"5 of 5 images cannot be opened: .*0.jpg .no image.*and 2 more"):
        read_rows(tmp_path, 10)
