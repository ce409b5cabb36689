"""Start a script under the very Python that runs kerasdiag, with the profiler waiting for its ``fit``.

The script is not executed inside kerasdiag. This process becomes ``python train.py``, as a shell's
``exec`` does, so exit code, signals, traceback, ``__main__``, pickles and child processes are those
of plain Python by construction. The one thing added is a folder on ``PYTHONPATH`` whose
``sitecustomize`` Python imports before the script; it takes itself out again.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kerasdiag.cli.startup import sitecustomize as startup
from kerasdiag.compat import CALLBACK_LIST_MODULES
from kerasdiag.environment.process_rank import process_rank
from kerasdiag.environment.switches import is_disabled
from kerasdiag.errors import ScriptError
from kerasdiag.profiler.attach import NO_FIT

STARTUP = Path(__file__).parent / "startup"


def python_command(command: Sequence[str], *, is_module: bool) -> list[str]:
    """Return the command line of plain Python for a script or module and its arguments.

    Raises:
        ScriptError: There is no such script or module, or Python was told to ignore ``PYTHONPATH``.
    """
    if not command:
        raise ScriptError(
            "run was given no script. Expected one and its arguments: kerasdiag run train.py --epochs 3, or a module: "
            "kerasdiag run -m package.train"
        )
    name = command[0]
    if is_module and not module_exists(name):
        raise ScriptError(f"{name}: no such module is found from {os.getcwd()}. Check the name after -m.")
    if not is_module and not os.path.exists(name):
        raise ScriptError(f"{name}: no such file. Expected the script to run; a module is run with -m.")
    if not sys.executable or os.pathsep in str(STARTUP):
        raise ScriptError(f"run cannot start Python here (executable {sys.executable!r}, kerasdiag in {STARTUP}).")
    return [sys.executable, *python_options(), *(["-m"] if is_module else []), *command]


def python_options(original: Sequence[str] | None = None) -> list[str]:
    """Return the options of ``python -u -X dev -m kerasdiag run ...`` that are meant for the script too.

    Args:
        original: The command line of this process; None: as Python 3.10 and later know it.

    Raises:
        ScriptError: With one of them Python reads no ``PYTHONPATH`` or imports no ``sitecustomize``.
    """
    original = getattr(sys, "orig_argv", []) if original is None else original
    places = [place for place, pair in enumerate(zip(original, original[1:])) if pair == ("-m", "kerasdiag")]
    options = list(original[1 : places[0]]) if places else []
    for option in options:
        if option.startswith("-") and not option.startswith(("-X", "-W", "--")) and set("EIS") & set(option):
            raise ScriptError(f"python {option} keeps the profiler out of the script. Leave it out.")
    return options


def module_exists(name: str) -> bool:
    """Tell whether ``python -m name`` would find the module, without importing the packages it lies in."""
    parts = name.split(".")
    folders = [os.getcwd(), *sys.path]
    locations: list[str] | None = None  # None: a top-level name, as finders want it
    for number, part in enumerate(parts, 1):
        full_name = ".".join(parts[:number])
        spec = importlib.machinery.PathFinder.find_spec(full_name, locations or folders)
        for finder in sys.meta_path if spec is None else ():  # an editable installation has a finder of its own
            spec = spec or finder.find_spec(full_name, locations)
        if spec is None:
            return False
        # A package may add its namesakes elsewhere to itself when it is imported (pkgutil.extend_path).
        folders = [os.path.join(folder, part) for folder in folders]
        locations = [*(spec.submodule_search_locations or ()), *folders]
    return True


def script_environment(*, until_verdict: bool, output: Path | None) -> dict[str, str]:
    """Return the environment in which Python brings the profiler along; plain with ``KERASDIAG_DISABLE=1``."""
    environment = dict(os.environ)
    if is_disabled():
        return environment
    before = environment.get("PYTHONPATH")
    environment[startup.RUN_VARIABLE] = ",".join(CALLBACK_LIST_MODULES)
    environment[startup.NO_FIT_VARIABLE] = NO_FIT if process_rank().rank == 0 else ""
    if until_verdict:
        environment[startup.UNTIL_VERDICT_VARIABLE] = "1"
    if output is not None:
        environment[startup.OUTPUT_VARIABLE] = str(output)
    if before is not None:
        environment[startup.PYTHONPATH_VARIABLE] = before
    environment["PYTHONPATH"] = os.pathsep.join([str(STARTUP), *([before] if before else [])])
    return environment


def become(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Become this command. Returns only on Windows, which has no such thing: there with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or without a reader: that is the script's business
            stream.flush()
    if os.name != "nt":
        os.execve(command[0], list(command), environment)  # noqa: S606  # a shell would stand between
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the script as well; it decides
    return subprocess.call(command, env=environment)
