"""TensorFlow asked in a process of its own: what it sees, and what it dies of. It is never imported here."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PROBE_S = 30.0  # an import takes 2 to 6 s from a warm disk, several times as long from a network
# One that was given less and did not come back may only be slow.
FAIR_S = 20.0
_LEAST_S = 1.0
_MARK = "kerasdiag-probe:"
_MAX_LINES = 400  # of what it prints; TensorFlow prints a few dozen

# Runs in the child. TensorFlow does not say which library it missed (tensorflow #66987): each is tried by name.
_CODE = """
import ctypes, json, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, wherever it hangs
if hasattr(signal, "alarm"):
    signal.alarm(%(alarm_s)d)  # it outlives nobody who has given it up
start = time.perf_counter()
import tensorflow as tf
seen = {"import_s": time.perf_counter() - start, "version": str(tf.__version__)}
seen["gpus"] = [device.name for device in tf.config.list_physical_devices("GPU")]
missing = {}
if not seen["gpus"]:
    for name in %(libraries)r:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            missing[name] = str(error)
seen["missing"] = missing
print(%(mark)r + json.dumps(seen), flush=True)
"""


@dataclass(frozen=True)
class ProbeFacts:
    """What TensorFlow said.

    Attributes:
        version: Its version; None if it never came so far.
        gpus: Names of the GPUs that it sees.
        import_s: Seconds that its import took.
        missing: Library of CUDA that could not be loaded -> what the loader said. Tried only where it sees no GPU.
        failure: What it died of, or that it hung; empty where it answered, and where nobody knows.
        not_asked: Why nobody knows: there was no time, or no process; empty otherwise.
        output: The last lines that it printed.
        command: How to repeat it.
    """

    version: str | None = None
    gpus: tuple[str, ...] = ()
    import_s: float | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    not_asked: str = ""
    output: tuple[str, ...] = ()
    command: str = 'python -c "import tensorflow"'

    @property
    def unanswered(self) -> str:
        """Why it said nothing, of whatever kind; empty where it answered."""
        return self.failure or self.not_asked


def probe_tensorflow(libraries: Sequence[str] = (), timeout_s: float = PROBE_S) -> ProbeFacts:
    """Import TensorFlow in a child process and ask for its GPUs. Never raises.

    Args:
        libraries: Names of libraries to try where it sees no GPU.
        timeout_s: When the child is killed. That is a failure of TensorFlow's only if it had ``FAIR_S``.
    """
    if timeout_s < _LEAST_S:
        return ProbeFacts(not_asked="no time was left for it; --timeout gives more")
    code = _CODE % {"libraries": tuple(libraries), "mark": _MARK, "alarm_s": math.ceil(timeout_s) + 1}
    # So much that it says which library it misses.
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "PYTHONIOENCODING": "utf-8:backslashreplace"}
    begin = time.monotonic()
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables,
        )
    except OSError as error:
        return ProbeFacts(not_asked=f"no process could be started for it ({error.strerror or error})")
    try:
        printed = child.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired as error:
        child.kill()
        child.communicate()
        output = _lines(error.stdout or b"")
        if timeout_s < FAIR_S:
            why = f"it was given up after {timeout_s:.0f} s, which may be too short; --timeout gives more"
            return ProbeFacts(not_asked=why, output=output)
        return ProbeFacts(failure=f"its import did not come back within {timeout_s:.0f} s", output=output)
    except BaseException:
        child.kill()
        raise
    return read_answer(printed, child.returncode, time.monotonic() - begin)


def read_answer(printed: bytes, code: int, took_s: float) -> ProbeFacts:
    """Return what a child printed, as facts.

    Args:
        printed: All of its output.
        code: Its exit code; below zero the signal that killed it.
        took_s: How long it ran, in seconds.
    """
    lines = _lines(printed)
    answer = next((line for line in lines if line.startswith(_MARK)), None)
    said = tuple(line for line in lines if not line.startswith(_MARK))
    seen: dict[str, Any] = {}  # Any: JSON values
    if answer is not None:
        try:
            seen = json.loads(answer[len(_MARK) :])
        except ValueError:
            answer = None
    if answer is None:
        return ProbeFacts(failure=_failure(said, code), output=said[-20:])
    return ProbeFacts(
        version=seen["version"],
        gpus=tuple(seen["gpus"]),
        import_s=min(float(seen["import_s"]), took_s),
        missing=seen["missing"],
        # The answer is there: what happens afterwards (a crash at the exit) costs a training nothing.
        output=said[-20:],
    )


def _failure(lines: Sequence[str], code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"it was killed by {name}"
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.strip()[:300] or f"it ended with code {code} and said nothing"


def _lines(printed: bytes) -> tuple[str, ...]:
    return tuple(printed.decode("utf-8", "backslashreplace").splitlines()[-_MAX_LINES:])
