"""The parent's side of the conversion workers: start, feed, replace one that died, stop."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import kerasdiag
from kerasdiag.errors import StoreError
from kerasdiag.repair.conversion.bad_images import printable
from kerasdiag.repair.conversion.job import Job
from kerasdiag.repair.conversion.shard import WideImageError
from kerasdiag.repair.conversion.worker import pillow_settings
from kerasdiag.repair.pixel_store.lock import StoreLock

# Nothing is imported before the path is the parent's: `-c` and PYTHONPATH may put the current directory first, and a
# user's json.py may lie there.
_BOOTSTRAP = (
    "import sys; sys.path[:] = bytes.fromhex(sys.stdin.buffer.readline().decode()).decode('utf-8', 'surrogateescape')"
    ".split(chr(0)); from kerasdiag.repair.conversion.worker import main; main()"
)
_START_TIMEOUT_S = 120.0  # NumPy from a cold network disk


class CannotStartError(Exception):
    """No worker can be started here; the text says why."""


def convert_with_workers(
    job: Job, numbers: Iterable[int], *, count: int, lock: StoreLock, on_images: Callable[[int], None]
) -> None:
    """Make shards of a job in child processes.

    Args:
        job: The job, frozen to disk.
        numbers: Its shards to make.
        count: How many processes.
        lock: The store's lock, held.
        on_images: Called with the number of images done; negative where a worker died over them.

    Raises:
        CannotStartError: Not one worker came up; nothing is converted.
        StoreError: A worker died twice over one shard.
        WideImageError: A source has values that the store's dtype does not hold.
        OSError: A worker could not write.
    """
    _Pool(job, deque(numbers), count, lock, on_images).run()


class _Pool:
    def __init__(
        self, job: Job, pending: deque[int], count: int, lock: StoreLock, on_images: Callable[[int], None]
    ) -> None:
        self.job, self.pending, self.count, self.lock, self.on_images = job, pending, count, lock, on_images
        self.events: queue.Queue[tuple[_Child, dict[str, Any] | None]] = queue.Queue()
        self.children: set[_Child] = set()
        self.died_over: set[int] = set()
        self.any_ready = False

    def run(self) -> None:
        try:
            for _ in range(min(self.count, len(self.pending))):
                self._start()
            waited_s = 0.0
            while self.children:
                try:
                    child, message = self.events.get(timeout=1.0)
                except queue.Empty:
                    self.lock.check()
                    waited_s += 1.0
                    if not self.any_ready and waited_s > _START_TIMEOUT_S:
                        raise CannotStartError(f"a child process said nothing for {waited_s:.0f} s") from None
                    continue
                if message is None:
                    self._replace(child)
                else:
                    self._hear(child, message)
            if self.pending:
                raise CannotStartError("no child process stayed alive")
        finally:
            for child in list(self.children):
                child.stop(at_once=True)

    def _start(self) -> None:
        try:
            child = _Child(self.job, self.lock, self.events)
        except OSError as error:
            if self.children:
                return  # fewer will do
            raise CannotStartError(f"a child process cannot be started ({error})") from None
        self.children.add(child)

    def _hear(self, child: _Child, message: dict[str, Any]) -> None:
        if "images" in message:
            child.images += message["images"]
            self.on_images(message["images"])
        elif "ready" in message or "done" in message:
            self.any_ready = True
            self.lock.check()
            child.images = 0
            child.shard = self.pending.popleft() if self.pending else None
            if child.shard is None:
                self.children.discard(child)
                child.stop(at_once=False)
            else:
                child.order(child.shard)
        elif "oserror" in message:
            number, text, name, other = message["oserror"]
            raise OSError(number, text, name, None, other)
        elif "wide" in message:
            raise WideImageError(*message["wide"])
        elif "lost" in message:
            self.lock.check()
            raise StoreError(f"The lock {self.lock.path} was lost during the conversion. Run again.")
        else:
            raise StoreError(f"A conversion worker failed; this is a fault of kerasdiag:\n{message.get('error')}")

    def _replace(self, child: _Child) -> None:
        """Start another worker for the shard over which this one died."""
        self.children.discard(child)
        ending = child.stop(at_once=True)
        if child.shard is None:
            if not self.any_ready:
                raise CannotStartError(f"a child process ended before it began: {ending}")
            return
        self.on_images(-child.images)
        if child.shard in self.died_over:
            names = [printable(name) for name in self.job.names(child.shard)]
            raise StoreError(
                f"Two conversion workers died over the same {len(names)} images ({names[0]} ... {names[-1]}): {ending}."
                " Too little memory, or an image that crashes Pillow. The other images are kept; run again with more"
                " memory, or remove the image."
            )
        self.died_over.add(child.shard)
        self.pending.appendleft(child.shard)
        self._start()


class _Child:
    """One worker process and the threads that hear it."""

    def __init__(self, job: Job, lock: StoreLock, events: queue.Queue[tuple[_Child, dict[str, Any] | None]]) -> None:
        self.shard: int | None = None
        self.images = 0
        self._last_words = deque[str](maxlen=12)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BOOTSTRAP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._threads = [
            threading.Thread(target=self._hear, args=(events,), name="kerasdiag-worker-out", daemon=True),
            threading.Thread(target=self._collect, name="kerasdiag-worker-err", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        where = {"store": str(job.store), "lock": str(lock.path), "token": lock.token, "pillow": pillow_settings()}
        self._send("\0".join(import_path()).encode("utf-8", "surrogateescape").hex())
        self._send(json.dumps(where))

    def order(self, shard: int) -> None:
        self._send(str(shard))

    def stop(self, *, at_once: bool) -> str:
        """End the process and say how it ended."""
        if at_once:
            self.process.kill()
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        code = self.process.wait()
        for thread in self._threads:
            thread.join()
        words = " | ".join(line for line in self._last_words if line)
        return _ending(code) + (f", last words: {words}" if words else "")

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode("ascii") + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it died; its reader says so

    def _hear(self, events: queue.Queue[tuple[_Child, dict[str, Any] | None]]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                try:
                    message = json.loads(line)
                except ValueError:
                    continue
                if isinstance(message, dict):
                    events.put((self, message))
        events.put((self, None))

    def _collect(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self._last_words.append(line.decode("utf-8", "replace").strip()[:300])


def why_not_here() -> str | None:
    """Return why this interpreter cannot have workers, or None."""
    if not sys.executable:
        return "this Python does not know its own executable"
    if getattr(sys, "frozen", False):
        return "this is a frozen application, whose executable is not a Python interpreter"
    return None


def import_path() -> list[str]:
    """Return where this process imports from, for a child: absolute, and what depends on the directory last."""
    given = [str(entry) for entry in sys.path]
    absolute = [entry for entry in given if os.path.isabs(entry)]
    relative = [os.path.abspath(entry) for entry in given if not os.path.isabs(entry)]
    home = os.path.dirname(os.path.dirname(os.path.abspath(kerasdiag.__file__)))
    return list(dict.fromkeys([*absolute, *relative, home]))


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
