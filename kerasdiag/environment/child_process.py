"""A Python in a process of its own, for what may crash, hang or print without end. It answers in lines.

The child finds the modules that this process finds, but none in the current directory: a ``json.py`` or a
``tensorflow.py`` of the user may lie there, and is nobody's to run. It ends when this process does, however that ends.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any  # Any: what JSON can hold

# Of what a child prints without a line break, so many bytes come at a time.
LINE_BYTES = 65_536
# A process that has ended may leave its output open: something that it started holds the other end.
_LISTEN_S = 1.0
_KILLED_S = 1.5  # one that hangs in the kernel is left to it

_ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Ending:
    """How a child ended.

    Attributes:
        code: Its exit code; below zero the signal that killed it. None where it was given up or never started.
        not_started: Why it could not be started; empty otherwise.
        took_s: How long it ran, in seconds.
    """

    code: int | None = None
    not_started: str = ""
    took_s: float = 0.0

    @property
    def is_given_up(self) -> bool:
        """Whether it did not come to an end in its time, and was killed."""
        return self.code is None and not self.not_started

    def in_words(self) -> str:
        """Return the exit code or the signal; only of a child that came to an end."""
        code = self.code or 0
        if code >= 0:
            return f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"


def run_child(
    module: str,
    order: Mapping[str, Any],
    hear: Callable[[bytes], None],
    seconds: float,
    environ: Mapping[str, str] | None = None,
    *,
    hears_errors: bool = False,
) -> Ending:
    """Run ``main()`` of a module in a child process, and wait for its end. Never raises for what the child does.

    Args:
        module: Its ``main`` begins with ``take_order``.
        order: What ``take_order`` returns there; it must be JSON.
        hear: Called with each line that the child prints, in another thread; longer ones come in pieces.
        seconds: When the child is killed.
        environ: Its environment variables; None: those of this process.
        hears_errors: Whether what it prints on stderr is heard as well; else nobody hears it.
    """
    begin = time.monotonic()
    try:
        child = subprocess.Popen(
            _command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if hears_errors else subprocess.DEVNULL,
            env=None if environ is None else dict(environ),
        )
    except (OSError, ValueError) as error:
        return Ending(not_started=getattr(error, "strerror", None) or str(error))
    assert child.stdin is not None
    assert child.stdout is not None
    is_over = threading.Event()
    listener = threading.Thread(target=_listen, args=(child.stdout, hear, is_over), daemon=True)
    listener.start()
    code: int | None = None
    try:
        with suppress(OSError):  # it has ended already
            child.stdin.write(json.dumps({**order, "alarm_s": math.ceil(seconds) + 1}).encode() + b"\n")
            child.stdin.flush()
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(seconds)
    finally:
        if child.poll() is None:
            child.kill()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_KILLED_S)
        listener.join(_LISTEN_S)
        is_over.set()
        with suppress(OSError):
            child.stdin.close()
        if not listener.is_alive():
            child.stdout.close()
    return Ending(code, took_s=time.monotonic() - begin)


def take_order() -> Any:
    """Return what the parent orders. For the child: from now on it ends with its parent, and with its time."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, wherever it hangs
    order = json.loads(sys.stdin.buffer.readline())
    if hasattr(signal, "alarm"):
        signal.alarm(order["alarm_s"])  # a thread cannot end what hangs with the interpreter's lock
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what the child starts must not hold the parent's end
    os.close(nothing)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    return order


def answers() -> Callable[[str], None]:
    """Return a function that sends a line to the parent. For the child: what libraries print goes elsewhere from now on."""
    stream = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)

    def answer(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()

    return answer


def _end_with_parent(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os._exit(0)


def _command(module: str) -> list[str]:
    # Before the path is set, only a module that is built in is imported.
    code = f"import sys; sys.path[:] = {_module_path()!a}; from {module} import main; main()"
    return [sys.executable, "-c", code]


def _module_path() -> list[str]:
    """The folders that this process imports from, and that of kerasdiag, which may have come from elsewhere."""
    found = [folder for folder in sys.path if folder]  # the empty one is the current directory
    return found if _ROOT in found else [*found, _ROOT]


def _listen(stream: IO[bytes], hear: Callable[[bytes], None], is_over: threading.Event) -> None:
    with suppress(OSError, ValueError):
        while not is_over.is_set():
            line = stream.readline(LINE_BYTES)
            if not line or is_over.is_set():
                return
            hear(line)
