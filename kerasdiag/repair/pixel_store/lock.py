"""One writer per store, on any file system: a lock file made with O_EXCL, and a heartbeat.

``flock`` is not used because network file systems lie about it. The owner writes who it is into the
file and touches it every few seconds. A lock is abandoned when

- its owner ran on this machine and is gone,
- its owner runs elsewhere and has not touched it for a minute, by the clock of the file system,
- its owner lives, but the lock was not touched for a minute in which this process looked on.

Taking over is a rename onto the abandoned file, allowed to the one process that made the guard file
of exactly that lock: whoever comes late finds another lock than the one it judged.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kerasdiag.errors import StoreError
from kerasdiag.repair.pixel_store.store_files import discard, replace

if TYPE_CHECKING:
    from typing_extensions import Self

HEARTBEAT_S = 5.0
ABANDONED_S = 60.0
GUARD_ABANDONED_S = 15.0  # a takeover takes milliseconds
POLL_S = 0.2
SAME_START_S = 5.0


class LockLostError(StoreError):
    """Another process took the lock because this one did not move for a minute."""


class StoreLock:
    """A lock file; a context manager that waits until the lock is its own.

    Args:
        path: The lock file. Its directory must exist.
        on_wait: Called once with the owner's description when the lock is taken.
        wait: False: do not wait; ``held`` says whether the lock was free.
    """

    def __init__(self, path: Path, *, on_wait: Callable[[str], None] | None = None, wait: bool = True) -> None:
        self.path = path
        self.held = False
        self.waited = False
        self._on_wait = on_wait
        self._wait = wait
        self._token = os.urandom(12).hex()
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    def __enter__(self) -> Self:
        watch = _Watch(self.path)
        while not self._try():
            owner = watch.look()
            if owner is not None and watch.abandoned:
                if self._take_over(owner):
                    break
                watch = _Watch(self.path)
            if not self._wait:
                return self
            if not self.waited and self._on_wait is not None and owner is not None:
                self._on_wait(owner.text)
            self.waited = True
            time.sleep(POLL_S)
        self.held = True
        self._heart = threading.Thread(target=self._beat, name="kerasdiag-lock", daemon=True)
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._heart is not None:
            self._heart.join()
        if self.held and self._is_mine():
            discard(self.path)
        self.held = False

    @property
    def token(self) -> str:
        """What the file holds while the lock is this one's."""
        return self._token

    def check(self) -> None:
        """Raise LockLostError if the lock is no longer this one's."""
        if self.held and not self._is_mine():
            self.held = False
            raise LockLostError(
                f"Another process took over {self.path.parent} because this one stood still for more than"
                f" {ABANDONED_S:.0f} s (a suspended computer, a stopped job). Run again: it uses what the other made."
            )

    def _try(self) -> bool:
        """Make the lock file if there is none."""
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        except PermissionError:
            if os.name == "nt" and self.path.exists():  # just being deleted by its owner
                return False
            raise
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._content())
        except BaseException:
            discard(self.path)
            raise
        return True

    def _take_over(self, abandoned: _Owner) -> bool:
        guard = self.path.with_name(f"{self.path.name}.{abandoned.token}.takeover")
        try:
            os.close(os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            age_s = _age_s(guard)
            if age_s is not None and age_s > GUARD_ABANDONED_S:  # killed in the middle of a takeover
                discard(guard)
            return False
        except OSError:
            return False
        mine = self.path.with_name(f"{self.path.name}.{self._token}.new")
        try:
            if _read_owner(self.path, only_token=abandoned.token) is None:
                return False  # somebody else was faster
            mine.write_bytes(self._content())
            replace(mine, self.path)
            return True
        except OSError:
            discard(mine)
            return False
        finally:
            discard(guard)

    def _content(self) -> bytes:
        fields = {"token": self._token, "machine": machine(), "pid": os.getpid(), "started": _started(os.getpid())}
        return json.dumps({**fields, "host": socket.gethostname()}).encode()

    def _is_mine(self) -> bool:
        return is_locked_by(self.path, self._token)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(OSError):  # a network that is away for a moment
                if self._is_mine():
                    os.utime(self.path)


def is_locked_by(path: Path, token: str) -> bool:
    """Whether the lock file at ``path`` is that of ``token``."""
    return _read_owner(path, only_token=token) is not None


class _Owner:
    def __init__(self, fields: dict[str, Any]) -> None:  # Any: what JSON holds
        self.token = str(fields.get("token", ""))
        self.pid = fields.get("pid")
        self.text = f"process {self.pid} on {fields.get('host')}"
        self.here = fields.get("machine") == machine()
        started = None
        if self.here and isinstance(self.pid, int):
            try:
                started = _started(self.pid)
            except PermissionError:  # another user's process: only its heartbeat tells whether it lives
                self.here = False
        # The start time is told relative to the boot time, which an adjusted clock moves by a second or so.
        self.alive = started is not None and abs(started - float(fields.get("started") or 0)) < SAME_START_S


class _Watch:
    """What one waiting process has seen of a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.abandoned = False
        self._last: tuple[str, int] | None = None
        self._since = time.monotonic()

    def look(self) -> _Owner | None:
        """Return the owner, and set ``abandoned``; None where the lock is gone by now."""
        owner = _read_owner(self.path)
        try:
            beat = (owner.token if owner else "", os.stat(self.path).st_mtime_ns)
        except OSError:
            return None
        if beat != self._last:
            self._last, self._since = beat, time.monotonic()
        unmoved = time.monotonic() - self._since > ABANDONED_S
        if owner is None:
            return None
        if owner.here and owner.token:
            self.abandoned = not owner.alive or unmoved
        else:
            age_s = _age_s(self.path)
            self.abandoned = unmoved or (age_s is not None and age_s > ABANDONED_S)
        return owner


def _read_owner(path: Path, only_token: str | None = None) -> _Owner | None:
    """Return who wrote the lock; one that is not fully written has an owner without token."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    try:
        fields = json.loads(content)
    except ValueError:
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    if only_token is not None:
        return _Owner(fields) if fields.get("token", "") == only_token else None
    return _Owner(fields)


def _age_s(path: Path) -> float | None:
    """Return how long ago ``path`` was touched, by the clock of its own file system."""
    probe = path.with_name(f"{path.name}.{os.urandom(6).hex()}.clock")
    try:
        probe.touch(mode=0o600, exist_ok=False)
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return None
    finally:
        discard(probe)


def machine() -> str:
    """Return what tells apart machines, boots and containers: within one, process ids mean the same."""
    parts = [socket.gethostname()]
    if sys.platform == "linux":
        try:
            parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
            parts.append(os.readlink("/proc/self/ns/pid"))
        except OSError:
            pass
    return " ".join(parts)


def _started(pid: int) -> float | None:
    """Return when a process started, or None if there is none with this id.

    Raises:
        PermissionError: There is one, and the system does not say more about it.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.AccessDenied as error:
        raise PermissionError(str(error)) from error
    except psutil.Error:
        return None
