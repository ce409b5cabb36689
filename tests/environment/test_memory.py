"""Memory that a process may still take, on fake trees of /proc and /sys."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from kerasdiag.environment.memory import MemoryLimit, memory_limit

MIB = 1024**2
HOST = (
    "MemTotal:       16384000 kB\nMemFree:         1024000 kB\nMemAvailable:    8192000 kB\nHugePages_Total:       0\n"
)
TOTAL, AVAILABLE = 16_384_000 * 1024, 8_192_000 * 1024
V1_UNLIMITED = "9223372036854771712\n"


def tree(root, files):
    for name, text in {"proc/meminfo": HOST, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def v2(folder, limit, current, inactive=0, high="max"):
    """One group of cgroups v2; sizes in MiB, or ``"max"``."""
    size = {
        name: value if isinstance(value, str) else str(value * MIB) for name, value in (("max", limit), ("high", high))
    }
    base = f"sys/fs/cgroup/{folder}".rstrip("/")
    return {
        f"{base}/memory.max": size["max"] + "\n",
        f"{base}/memory.high": size["high"] + "\n",
        f"{base}/memory.current": f"{current * MIB}\n",
        f"{base}/memory.stat": f"anon 1\nfile 2\nactive_file 77\ninactive_file {inactive * MIB}\n",
    }


def v1(folder, limit, usage, inactive=0):
    """One group of cgroups v1; sizes in MiB."""
    base = f"sys/fs/cgroup/memory/{folder}".rstrip("/")
    return {
        f"{base}/memory.limit_in_bytes": limit if isinstance(limit, str) else f"{limit * MIB}\n",
        f"{base}/memory.usage_in_bytes": f"{usage * MIB}\n",
        f"{base}/memory.stat": f"inactive_file 5\ntotal_inactive_file {inactive * MIB}\n",
    }


V2 = {"proc/self/cgroup": "0::/\n"}
V2_NESTED = {"proc/self/cgroup": "0::/pod/box\n"}
V1 = {"proc/self/cgroup": "9:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "limit", "available"),
    [
        pytest.param({}, None, AVAILABLE, id="no cgroup"),
        pytest.param(V2, None, AVAILABLE, id="v2 without limit files"),
        pytest.param({**V2, **v2("", "max", 700)}, None, AVAILABLE, id="v2 max"),
        pytest.param({**V2, **v2("", 1000, 700)}, 1000 * MIB, 300 * MIB, id="v2"),
        pytest.param({**V2, **v2("", 1000, 700, inactive=500)}, 1000 * MIB, 800 * MIB, id="v2 with old page cache"),
        pytest.param({**V2, **v2("", 1000, 100, high=400)}, 400 * MIB, 300 * MIB, id="v2 slowed down before the limit"),
        pytest.param({**V2, **v2("", 1000, 1200)}, 1000 * MIB, 0, id="above its limit"),
        pytest.param({**V2, **v2("", 1000, 100, inactive=300)}, 1000 * MIB, 1000 * MIB, id="more cache than use"),
        pytest.param({**V2, **v2("", 12000, 100)}, 12000 * MIB, AVAILABLE, id="the host has less than the limit leaves"),
        pytest.param({**V2, **v2("", 64000, 100)}, None, AVAILABLE, id="a limit above the host's memory"),
        pytest.param({**V2_NESTED, **v2("pod", 900, 800), **v2("pod/box", 2000, 50)}, 900 * MIB, 100 * MIB, id="parent"),
        pytest.param({**V2_NESTED, **v2("pod", "max", 800), **v2("pod/box", 600, 50)}, 600 * MIB, 550 * MIB, id="child"),
        pytest.param(
            {**V2_NESTED, **v2("pod", 3000, 2900), **v2("pod/box", 500, 50)}, 500 * MIB, 100 * MIB,
            id="the child's limit is lower, its parent is fuller",
        ),
        pytest.param({**V1, **v1("", V1_UNLIMITED, 9000), **v1("docker/abc", V1_UNLIMITED, 9)}, None, AVAILABLE, id="v1 max"),
        pytest.param({**V1, **v1("", V1_UNLIMITED, 9000), **v1("docker/abc", 800, 500, 100)}, 800 * MIB, 400 * MIB, id="v1"),
        pytest.param({**V1, **v1("", 700, 300)}, 700 * MIB, 400 * MIB, id="v1 seen from inside its container"),
        pytest.param({**V2, "sys/fs/cgroup/memory.max": "1048576000"}, 1000 * MIB, 1000 * MIB, id="only the limit is readable"),
        pytest.param({**V2, **v2("", 1000, 1), "sys/fs/cgroup/memory.max": b"\xff\xfe many"}, None, AVAILABLE, id="nonsense"),
        pytest.param({**V2, **v2("", "-5", 1)}, None, AVAILABLE, id="a negative limit"),
        pytest.param({"proc/self/cgroup": b"\xff\n::\nx\n"}, None, AVAILABLE, id="nonsense in the list of groups"),
    ],
)  # fmt: skip
def test_memory_limit(tmp_path, files, limit, available):
    """The least that host, group and all parents leave, old page cache counted as free, never negative."""
    assert memory_limit(tree(tmp_path, files)) == MemoryLimit(available, limit, TOTAL)


def test_a_kernel_that_does_not_estimate_what_is_available(tmp_path):
    """Before Linux 3.14 free memory and caches are added up."""
    files = {"proc/meminfo": "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 3 kB\n"}
    assert memory_limit(tree(tmp_path, files)) == MemoryLimit(123 * 1024, None, 1000 * 1024)


@pytest.mark.parametrize("meminfo", [None, "nonsense\n\nMemTotal: many kB\n"], ids=["absent", "nonsense"])
def test_psutil_answers_where_proc_does_not(tmp_path, monkeypatch, meminfo):
    """macOS and Windows have no /proc."""
    if meminfo is not None:
        tree(tmp_path, {"proc/meminfo": meminfo})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=4000, available=1000))
    assert memory_limit(tmp_path) == MemoryLimit(1000, None, 4000)


def test_nobody_knows_the_memory(tmp_path, monkeypatch):
    """A system that says nothing is no error."""

    def fail():
        raise OSError

    monkeypatch.setattr(psutil, "virtual_memory", fail)
    assert memory_limit(tmp_path) == MemoryLimit(0, None, 0)


def test_this_machine():
    """The real machine has memory, and no more is available than it has."""
    memory = memory_limit()
    assert 0 < memory.available_bytes <= memory.total_bytes
