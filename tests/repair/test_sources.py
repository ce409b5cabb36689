"""The distinct files of a generator and their root."""

from __future__ import annotations

import os

import pytest

from kerasdiag.errors import StoreError
from kerasdiag.repair.pixel_store.sources import find_sources


def test_rows_may_name_a_file_many_times(tmp_path):
    """Repeated rows share a source; names stand in order of first appearance."""
    rows = [str(tmp_path / name) for name in ("b/2.png", "a/1.png", "b/2.png", "a/1.png", "c.png")]
    sources = find_sources(rows, str(tmp_path))
    assert sources.names == ("b/2.png", "a/1.png", "c.png")
    assert sources.source_of_row.tolist() == [0, 1, 0, 1, 2]
    assert sources.source_of_row.dtype == "int64"
    assert sources.root == str(tmp_path)
    assert sources.path("a/1.png") == rows[1]


def test_two_spellings_are_one_source(tmp_path, monkeypatch):
    """Relative, doubled and dotted paths name the same file."""
    monkeypatch.chdir(tmp_path)
    rows = ["d/1.png", "./d//1.png", str(tmp_path / "d" / "1.png"), "d/e/../1.png"]
    assert find_sources(rows, None).names == ("1.png",)


def test_a_link_and_dots_lead_where_the_system_goes(tmp_path):
    """`link/..` is the parent of the link's target, as for open()."""
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "inner")
    (tmp_path / "far" / "1.png").write_bytes(b"x")
    sources = find_sources([str(tmp_path / "link" / ".." / "1.png")], None)
    assert os.path.samefile(sources.path(sources.names[0]), tmp_path / "far" / "1.png")


def test_root_is_the_directory_or_the_common_parent(tmp_path):
    """Rows outside of the directory move the root up; one row's root is its folder."""
    rows = [str(tmp_path / "train" / "1.png"), str(tmp_path / "other" / "2.png")]
    assert find_sources(rows, str(tmp_path / "train")).root == str(tmp_path)
    assert find_sources(rows, None).names == ("train/1.png", "other/2.png")
    assert find_sources(rows[:1], None).root == str(tmp_path / "train")
    assert find_sources(rows[:1], str(tmp_path)).names == ("train/1.png",)
    # "train2" does not lie under "train".
    assert find_sources([str(tmp_path / "train2" / "1.png")], str(tmp_path / "train")).root == str(tmp_path / "train2")


def test_links_among_the_names_stay_names(tmp_path):
    """A linked data directory keeps the names that the user gave."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert find_sources([str(tmp_path / "link" / "1.png")], str(tmp_path / "link")).root == str(tmp_path / "link")


def test_no_rows_is_one_clear_error():
    """An empty DataFrame says so."""
    with pytest.raises(StoreError, match="no rows"):
        find_sources([], None)
