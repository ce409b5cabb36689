"""Facts of machine and process on fake trees and environments."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from kerasdiag.environment.cache_directory import cache_directories, cache_directory
from kerasdiag.environment.cores import affinity_cores, cgroup_quota, usable_cores, visible_cores
from kerasdiag.environment.process_rank import process_rank


def tree(root, **files):
    """Write a small /proc and /sys."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "400000 100000", "sys/fs/cgroup/a/b/cpu.max": "50000 100000"}, 0.5),
        ({"proc/self/cgroup": "3:cpu,cpuacct:/job\n", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "250000", "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000"}, 2.5),
        ({"proc/self/cgroup": "3:cpu,cpuacct:/job\n", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000"}, None),
        ({"proc/self/cgroup": "nonsense\n", "sys/fs/cgroup/cpu.max": "x y"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_cgroup_quota(tmp_path, files, quota):
    """The strictest limit of the group and its parents, in both versions of cgroups."""
    assert cgroup_quota(tree(tmp_path, **files)) == quota


def test_cores_respect_affinity_and_quota(tmp_path, monkeypatch):
    """A container with 2 of 64 cores has 2."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert usable_cores(tree(tmp_path / "none")) == 64
    limited = tree(tmp_path / "limited", **{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000"})
    assert usable_cores(limited) == 2
    small = tree(tmp_path / "small", **{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000"})
    assert usable_cores(small) == 1


def test_cores_without_affinity(tmp_path, monkeypatch):
    """Windows and macOS have no affinity call."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert usable_cores(tmp_path) == 12


@pytest.mark.parametrize(
    ("online", "allowed", "visible", "bound"),
    [
        ("0-63\n", "Cpus_allowed_list:\t0-63", 64, 64),
        ("0-63\n", "Name:\tpython\nCpus_allowed_list:\t0,2-3,10", 64, 4),
        ("0-3,8-11\n", "Cpus_allowed_list:\t0-127", 8, 8),  # the mask names cores that are switched off
        ("nonsense", "Cpus_allowed_list:\t0-1", 48, 2),
        ("0-3", "Cpus_allowed_list:\tx", 4, 16),
        ("", "", 48, 16),
    ],
)
def test_cores_of_another_machine(tmp_path, monkeypatch, online, allowed, visible, bound):
    """A tree says what it shows and what the process is bound to; what it does not say, this system is asked."""
    monkeypatch.setattr(os, "cpu_count", lambda: 48)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    root = tree(tmp_path, **{"sys/devices/system/cpu/online": online, "proc/self/status": allowed})
    assert (visible_cores(root), affinity_cores(root)) == (visible, bound)


def test_cores_of_this_machine():
    """The running system is asked itself."""
    assert visible_cores() == os.cpu_count()
    assert affinity_cores() in (None, *range(1, os.cpu_count() + 1))


CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "3", "WORLD_SIZE": "8"}, (3, 8)),
        ({"RANK": "3"}, (0, 1)),
        ({"RANK": "x", "WORLD_SIZE": "8"}, (0, 1)),
        ({"RANK": "9", "WORLD_SIZE": "8"}, (0, 1)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, (1, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (0, 1)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}, (1, 4)),
        ({"TF_CONFIG": json.dumps({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}})}, (0, 4)),
        ({"TF_CONFIG": json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 1}})}, (2, 4)),
        ({"TF_CONFIG": json.dumps({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}})}, (0, 1)),
        ({"TF_CONFIG": "{not json"}, (0, 1)),
        ({"TF_CONFIG": "[]"}, (0, 1)),
    ],
)
def test_process_rank(environ, expected):
    """Every launcher's way of saying which process this is; nonsense is a single process."""
    assert process_rank(environ) == expected


def test_cache_directory(monkeypatch, tmp_path):
    """The user's choice, else the platform's place; it is not created by asking."""
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_directory() == tmp_path / "mine"
    assert not (tmp_path / "mine").exists()
    monkeypatch.delenv("KERASDIAG_CACHE_DIR")
    assert cache_directory().name == "kerasdiag"
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", "~/diag")
    assert cache_directory() == Path.home() / "diag"


def test_cache_directory_without_a_home_that_can_be_written(monkeypatch, tmp_path):
    """A read-only home is looked into, and something private among the temporary files is written to."""
    import platformdirs

    monkeypatch.delenv("KERASDIAG_CACHE_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(home / "cache" / "kerasdiag"))
    assert cache_directories() == (home / "cache" / "kerasdiag",)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)
    mine = tmp_path / "tmp" / f"kerasdiag-{os.getuid()}"
    assert cache_directories() == (home / "cache" / "kerasdiag", mine)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/kerasdiag")  # no home at all
    assert cache_directories() == (mine,)
    mine.symlink_to("/")  # laid there by somebody else
    assert cache_directory() == tmp_path / "tmp" / f"kerasdiag-{os.getuid()}-1"
