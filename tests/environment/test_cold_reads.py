"""Reads of files that are not in memory: on this machine, and where the kernel helps less."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest
from builders import make_reads

from kerasdiag.environment import cold_reads
from kerasdiag.environment.cold_reads import MAX_READS, Read, ReadFacts, cached_pages, measure_reads


@pytest.fixture
def photos(tmp_path):
    """Files that lie on the disk, and whose pages are not waiting to be written."""
    paths = []
    for number in range(20):
        path = tmp_path / f"{number}.jpg"
        with open(path, "wb") as file:
            file.write(os.urandom(60_000))
            os.fsync(file.fileno())
        paths.append(str(path))
    return paths


def test_reads_of_this_machine(photos):
    """Every file is evicted, verified, read whole, and left as it was."""
    before = [os.stat(path) for path in photos]
    facts = measure_reads(photos)
    assert [read.num_bytes for read in facts.reads] == [60_000] * 20
    if facts.is_measured:  # a disk in memory, as /tmp often is, cannot forget
        assert facts.not_cold == ""
        assert 0 < facts.latency_s() <= facts.latency_s(90)
    else:
        assert facts.not_cold
    assert [(now.st_size, now.st_mtime_ns) for now in map(os.stat, photos)] == [
        (b.st_size, b.st_mtime_ns) for b in before
    ]


def test_pages_in_memory(photos):
    """Both ways to ask see a file come into memory, and looking does not bring it there."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(photos[0], os.O_RDONLY)
    try:
        known = [
            ask
            for ask in (cold_reads._ask_cachestat, cold_reads._ask_mincore)
            if ask(library, descriptor) is not None  # kernels before 6.5 have no cachestat
        ]
        assert known
        for ask in known:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            left = ask(library, descriptor)
            assert ask(library, descriptor) == left
            os.pread(descriptor, 60_000, 0)
            assert ask(library, descriptor) == -(-60_000 // os.sysconf("SC_PAGESIZE"))
    finally:
        os.close(descriptor)


def test_mincore_of_an_empty_file(tmp_path):
    """Nothing cannot be in memory."""
    (tmp_path / "empty").touch()
    descriptor = os.open(tmp_path / "empty", os.O_RDONLY)
    try:
        assert cold_reads._ask_mincore(ctypes.CDLL(None, use_errno=True), descriptor) == 0
    finally:
        os.close(descriptor)


def test_a_kernel_before_cachestat(photos, monkeypatch):
    """mincore is asked instead; without either nobody knows, and the reads are no evidence."""
    monkeypatch.setattr(cold_reads, "_ask_cachestat", lambda library, descriptor: None)
    monkeypatch.setattr(cold_reads, "_ask_mincore", lambda library, descriptor: 0)
    assert measure_reads(photos).is_measured
    monkeypatch.setattr(cold_reads, "_ask_mincore", lambda library, descriptor: None)
    facts = measure_reads(photos)
    assert {read.is_cold for read in facts.reads} == {None}
    assert not facts.is_measured
    assert "does not say" in facts.not_cold


def test_files_that_stay_in_memory(photos, monkeypatch):
    """Pages that somebody else holds are not evicted: such reads are not counted as the disk's."""
    pages = iter([0, 15] * 20)
    monkeypatch.setattr(cold_reads, "cached_pages", lambda descriptor: next(pages))
    facts = measure_reads(photos)
    assert (len(facts.cold), len(facts.reads), facts.is_measured) == (10, 20, True)
    assert facts.not_cold.startswith("10 of 20 files stayed in memory")


def test_a_platform_that_cannot_evict(photos, monkeypatch):
    """macOS and Windows: nothing is read for a number that would be wrong."""
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    facts = measure_reads(photos)
    assert (facts.reads, facts.is_measured) == ((), False)
    assert "this platform" in facts.not_cold


def test_no_answer_where_there_is_no_linux(photos, monkeypatch):
    """The system calls are Linux' own."""
    monkeypatch.setattr(sys, "platform", "darwin")
    descriptor = os.open(photos[0], os.O_RDONLY)
    try:
        assert cached_pages(descriptor) is None
    finally:
        os.close(descriptor)


def test_limits(photos, monkeypatch):
    """At most so many files, bytes and seconds."""
    assert len(measure_reads(photos * 10).reads) == MAX_READS
    monkeypatch.setattr(cold_reads, "MAX_BYTES", 150_000)
    assert len(measure_reads(photos).reads) == 3
    monkeypatch.setattr(cold_reads, "MAX_BYTES", 10**9)
    seconds = iter(range(1000))
    monkeypatch.setattr(cold_reads, "MAX_S", 9.0)  # four looks at this clock for each file
    assert len(measure_reads(photos, clock=lambda: float(next(seconds))).reads) == 2


def test_files_that_cannot_be_read(photos, tmp_path):
    """They are passed over, and so are empty ones; if there are no others, that is said."""
    (tmp_path / "empty.jpg").touch()
    assert measure_reads([str(tmp_path / "empty.jpg")]).reads == ()
    assert len(measure_reads([*photos[:3], str(tmp_path / "gone.jpg")]).reads) == 3
    assert measure_reads([str(tmp_path / "gone.jpg")]).not_cold == "no file of the sample could be read in 1.5 s"


def test_large_files(photos, monkeypatch):
    """Records of a gigabyte are not read: their length would be taken for the disk's latency."""
    monkeypatch.setattr(cold_reads, "MAX_FILE_BYTES", 50_000)
    facts = measure_reads(photos)
    assert facts.reads == ()
    assert facts.not_cold.startswith("files of more than")


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 5.0), (90, 9.0), (91, 10.0), (100, 10.0)])
def test_percentiles(percent, expected):
    """Nearest rank: a latency that was really measured."""
    facts = make_reads([4.0, 1.0, 2.0, 3.0, 5.0, 10.0, 9.0, 8.0, 7.0, 6.0], count=10)
    assert facts.latency_s(percent) == expected


def test_what_a_read_takes_beyond_its_length():
    """The length of a file at a hard disk's own rate is taken out; less than nothing is nothing."""
    reads = tuple(Read(seconds, 20_000_000, is_cold=True) for seconds in [0.112] * 8 + [0.05] * 7)
    assert ReadFacts(reads).seek_s == pytest.approx(0.012)
    assert ReadFacts(reads[8:]).seek_s == 0


@pytest.mark.parametrize(("count", "is_measured"), [(7, False), (8, True)])
def test_enough_reads(count, is_measured):
    """Of fewer than 8 reads one slow one turns the median."""
    assert make_reads(count=count).is_measured is is_measured
