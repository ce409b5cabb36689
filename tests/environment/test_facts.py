"""What the repair takes from a machine."""

from __future__ import annotations

import dataclasses
import os

import pytest

from kerasdiag.environment.facts import POLICY, Environment
from kerasdiag.environment.memory import MemoryLimit
from kerasdiag.environment.storage import StorageClass

MIB = 1024**2
GIB = 1024**3


def machine(cores=4, available=GIB):
    return Environment(cores, None, cores, MemoryLimit(available, None, 64 * GIB))


def test_a_container_is_seen_as_it_is(tmp_path, monkeypatch):
    """Quota, affinity, memory and storage come from one tree."""
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\n",
        "proc/self/mountinfo": "1 0 0:5 / /scratch rw - tmpfs tmpfs rw\n",
        "sys/devices/system/cpu/online": "0-15,32-47\n",
        "sys/fs/cgroup/cpu.max": "250000 100000",
        "sys/fs/cgroup/memory.max": str(2 * GIB),
        "sys/fs/cgroup/memory.current": str(GIB),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    found = Environment.collect(tmp_path)
    assert found == Environment(3, 2.5, 16, MemoryLimit(GIB, 2 * GIB, 8 * GIB), tmp_path, 32)
    assert found.storage("/scratch/stores").storage_class is StorageClass.MEMORY
    assert found.tf_data_cpu_budget == 3
    assert found.tf_data_ram_budget_bytes == GIB // 2


def test_affinity_is_none_where_the_system_does_not_say(tmp_path, monkeypatch):
    """Not known is not zero."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert Environment.collect(tmp_path).affinity_cores is None


@pytest.mark.parametrize(("cores", "threads"), [(1, 2), (2, 2), (6, 6), (32, 32), (256, 32)])
def test_reader_threads(cores, threads):
    """One thread a core; two where there is one; not more than any training takes."""
    assert machine(cores).reader_threads == threads


@pytest.mark.parametrize(
    ("available", "ram_budget", "pool"),
    [
        (0, 64 * MIB, 64 * MIB),
        (100 * MIB, 64 * MIB, 64 * MIB),
        (4 * GIB, 2 * GIB, GIB // 2),
        (500 * GIB, 8 * GIB, 2 * GIB),
    ],
)
def test_memory_budgets(available, ram_budget, pool):
    """Shares of what is left, with a floor (0 would mean "half of the host" to tf.data) and a ceiling."""
    found = machine(available=available)
    assert (found.tf_data_ram_budget_bytes, found.buffer_pool_bytes) == (ram_budget, pool)


def test_every_policy_says_why():
    """A number without a reason cannot be argued with."""
    assert all(len(share.why) > 20 and share.least <= share.most for share in POLICY.values())


def test_facts_do_not_change():
    """What was collected stays what it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        machine().cores = 99


def test_this_machine():
    """The real machine has cores, and the place of this file is somewhere."""
    found = Environment.collect()
    assert found.cores >= 1
    assert found.storage(__file__).reason
