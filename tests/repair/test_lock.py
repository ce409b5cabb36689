"""One writer at a time, whoever dies or sleeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kerasdiag.repair.pixel_store import lock as lock_module
from kerasdiag.repair.pixel_store.lock import LockLostError, StoreLock

SCRIPT = Path(__file__).with_name("lock_script.py")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.lock"


@pytest.fixture
def impatient(monkeypatch):
    """Locks are abandoned after moments."""
    monkeypatch.setattr(lock_module, "ABANDONED_S", 0.5)
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(lock_module, "POLL_S", 0.02)


def leave_behind(path, age_s=0, **fields):
    """Write the lock of somebody who is no longer there."""
    owner = {"token": "stale", "machine": lock_module.machine(), "pid": dead_pid(), "started": 1.0, "host": "there"}
    path.write_text(json.dumps({**owner, **fields}))
    os.utime(path, (time.time() - age_s, time.time() - age_s))


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_holds_it_and_the_other_waits(path):
    """The second holder comes after the first, is told once who it waits for, and the file is gone at the end."""
    order, told = [], []
    inside, leave = threading.Event(), threading.Event()

    def first():
        with StoreLock(path):
            inside.set()
            leave.wait(10)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.5, leave.set).start()
    with StoreLock(path, on_wait=told.append) as second:
        order.append("second")
        assert second.held
        assert second.waited
    thread.join()
    assert order == ["first", "second"]
    assert told == [f"process {os.getpid()} on {os.uname().nodename}"]
    assert left_in(path.parent) == []


def test_without_waiting_a_busy_lock_is_not_held(path):
    """``wait=False`` says that the lock is taken and leaves it alone."""
    with StoreLock(path) as first, StoreLock(path, wait=False) as second:
        assert first.held
        assert not second.held
        first.check()
    assert left_in(path.parent) == []


def test_many_processes_lose_no_step(path, tmp_path):
    """Six processes count to 120 under the lock."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, str(SCRIPT), str(path), str(counter), "20"]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(6)]
    for child in children:
        assert child.wait(120) == 0, child.stderr.read()
        child.stderr.close()
    assert counter.read_text() == "120"


def test_a_dead_owner_on_this_machine_is_replaced_at_once(path):
    """A killed process' lock does not have to grow old."""
    leave_behind(path)
    with StoreLock(path, wait=False) as lock:
        assert lock.held
    assert left_in(path.parent) == []


def test_a_process_id_given_to_another_process_counts_as_dead(path):
    """The start time tells the owner from whoever got its number later."""
    leave_behind(path, pid=os.getpid())
    with StoreLock(path, wait=False) as lock:
        assert lock.held


def test_an_owner_elsewhere_counts_by_its_heartbeat(path):
    """Another machine's lock is respected while fresh and replaced after a minute, by the file system's clock."""
    leave_behind(path, machine="another", age_s=30)
    with StoreLock(path, wait=False) as lock:
        assert not lock.held
    leave_behind(path, machine="another", age_s=90)
    with StoreLock(path, wait=False) as lock:
        assert lock.held


def test_a_lock_that_was_never_fully_written_grows_old(path):
    """A crash between making and filling the file does not block for ever."""
    path.write_text("")
    with StoreLock(path, wait=False) as lock:
        assert not lock.held
    os.utime(path, (time.time() - 90, time.time() - 90))
    with StoreLock(path, wait=False) as lock:
        assert lock.held


def test_a_living_owner_without_heartbeat_is_replaced_after_a_minute_of_watching(path, impatient):
    """A lock that its owner failed to remove does not block for ever, and the old owner notices."""
    first = StoreLock(path)
    with first:
        first._stop.set()  # the heart stops, the process lives
        first._heart.join()
        with StoreLock(path) as second:
            assert second.held
            with pytest.raises(LockLostError, match="Run again"):
                first.check()
            second.check()
    assert left_in(path.parent) == []


def test_a_beating_lock_is_never_taken(path, impatient):
    """While the heart beats, watching longer than the limit changes nothing."""
    with StoreLock(path) as first:
        second = StoreLock(path)
        thread = threading.Thread(target=second.__enter__)
        thread.start()
        time.sleep(1.5)  # three limits
        first.check()
        assert not second.held
    thread.join(10)
    second.__exit__(None, None, None)


def test_many_who_see_an_abandoned_lock_become_one_owner_at_a_time(path):
    """Sixteen waiters take over the same dead lock: never two hold it together."""
    leave_behind(path)
    inside, most, turns = [], [], []
    start = threading.Barrier(16)

    def take():
        start.wait()
        with StoreLock(path) as lock:
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            lock.check()
            inside.pop()
            turns.append(1)

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(turns) == 16
    assert max(most) == 1
    assert left_in(path.parent) == []


def test_a_late_judgement_does_not_hit_the_next_owner(path):
    """Who judged the dead lock before somebody else took it over finds another token and leaves it."""
    leave_behind(path)
    late = StoreLock(path)
    judged = lock_module._read_owner(path)
    with StoreLock(path, wait=False) as fast:
        assert fast.held
        assert not late._take_over(judged)
        fast.check()
    assert left_in(path.parent) == []


def test_a_takeover_that_was_killed_halfway_does_not_block(path):
    """A guard file that is left behind is itself abandoned after a while."""
    leave_behind(path)
    guard = path.with_name("store.lock.stale.takeover")
    guard.touch()
    with StoreLock(path, wait=False) as lock:
        assert not lock.held
    os.utime(guard, (time.time() - 60, time.time() - 60))
    with StoreLock(path) as lock:
        assert lock.held
    assert left_in(path.parent) == []


def test_release_leaves_another_owners_lock_alone(path):
    """Who lost the lock does not remove the new owner's."""
    with StoreLock(path):
        leave_behind(path)
    assert json.loads(path.read_text())["token"] == "stale"


def test_a_process_that_cannot_be_looked_at_is_judged_by_its_heartbeat(path, monkeypatch):
    """Another user's process, where the system hides it: fresh is alive, old is abandoned."""
    import psutil

    own = psutil.Process

    def process(pid):
        if pid == os.getpid():
            return own(pid)
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(psutil, "Process", process)
    leave_behind(path)
    with StoreLock(path, wait=False) as lock:
        assert not lock.held
    leave_behind(path, age_s=lock_module.ABANDONED_S + 60)
    with StoreLock(path, wait=False) as lock:
        assert lock.held
