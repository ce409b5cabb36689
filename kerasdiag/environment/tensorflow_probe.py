"""TensorFlow asked in a process of its own: what it sees, and what it dies of. It is never imported here."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kerasdiag.environment.child_process import Ending, run_child, take_order

PROBE_S = 30.0  # an import takes 2 to 6 s from a warm disk, several times as long from a network
# One that was given less and did not come back may only be slow.
FAIR_S = 20.0
_LEAST_S = 1.0
_MARK = "kerasdiag-probe:"
_KEPT_LINES = 20  # of what it prints, the last ones
_KEPT_LETTERS = 2000  # of a line


def main() -> None:
    """Import TensorFlow and say what it sees; the child's part."""
    order = take_order()
    begin = time.perf_counter()
    import tensorflow as tf

    seen: dict[str, Any] = {"import_s": time.perf_counter() - begin, "version": str(tf.__version__)}
    seen["gpus"] = [str(device.name) for device in tf.config.list_physical_devices("GPU")]
    # TensorFlow does not say which library it missed (tensorflow #66987): each is tried by name.
    seen["missing"] = {} if seen["gpus"] else _missing(order["libraries"])
    sys.stdout.write(f"{_MARK}{json.dumps(seen)}\n")
    sys.stdout.flush()


def _missing(libraries: Sequence[str]) -> dict[str, str]:
    missing = {}
    for name in libraries:
        try:
            ctypes.CDLL(name)
        except OSError as error:  # noqa: PERF203
            missing[name] = str(error)
    return missing


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
        lacks_time: Whether that is for lack of time.
        output: The last lines that it printed.
    """

    version: str | None = None
    gpus: tuple[str, ...] = ()
    import_s: float | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    not_asked: str = ""
    lacks_time: bool = False
    output: tuple[str, ...] = ()

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
        return ProbeFacts(not_asked="no time was left for it; --timeout gives more", lacks_time=True)
    heard = Heard()
    # So much that it says which library it misses.
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "PYTHONIOENCODING": "utf-8:backslashreplace"}
    order = {"libraries": list(libraries)}
    ending = run_child(__name__, order, heard.hear, timeout_s, {**variables, **_keras_home()}, hears_errors=True)
    if ending.not_started:
        return ProbeFacts(not_asked=f"no process could be started for it ({ending.not_started})")
    if ending.is_given_up and heard.answer is None:
        if timeout_s < FAIR_S:
            why = f"it was given up after {timeout_s:.0f} s, which may be too short; --timeout gives more"
            return ProbeFacts(not_asked=why, lacks_time=True, output=tuple(heard.lines))
        return ProbeFacts(failure=f"its import did not come back within {timeout_s:.0f} s", output=tuple(heard.lines))
    return read_answer(heard, ending)


class Heard:
    """What a child printed: its answer, and the last lines of all else."""

    def __init__(self) -> None:
        self.answer: str | None = None
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def hear(self, line: bytes) -> None:
        """Take one line; of an endless one only the beginning is kept."""
        text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        if text.startswith(_MARK):
            self.answer = text[len(_MARK) :]
        else:
            self.lines.append(text[:_KEPT_LETTERS])


def read_answer(heard: Heard, ending: Ending) -> ProbeFacts:
    """Return what a child printed, as facts.

    Args:
        heard: Its output.
        ending: How it ended.
    """
    try:
        seen: dict[str, Any] = json.loads(heard.answer or "")  # Any: JSON values
        return ProbeFacts(
            version=seen["version"],
            gpus=tuple(seen["gpus"]),
            import_s=min(float(seen["import_s"]), ending.took_s),
            missing=dict(seen["missing"]),
            # The answer is there: what happens afterwards (a crash at the exit) costs a training nothing.
            output=tuple(heard.lines),
        )
    except (ValueError, TypeError, KeyError):  # no answer, or not one of ours
        return ProbeFacts(failure=_failure(heard, ending), output=tuple(heard.lines))


def _failure(heard: Heard, ending: Ending) -> str:
    if ending.code is not None and ending.code < 0:
        return f"it was killed by {ending.in_words()}"
    last = next((line.strip() for line in reversed(heard.lines) if line.strip()), "")
    return last[:300] or f"it ended with code {ending.code} and said nothing"


def _keras_home() -> dict[str, str]:
    """The variable that keeps Keras from writing ``keras.json`` where there is none: a folder that cannot be made."""
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    has_settings = os.path.exists(os.path.join(home, "keras.json"))
    return {} if has_settings else {"KERAS_HOME": os.path.join(os.devnull, "keras")}
