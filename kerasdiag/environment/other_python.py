"""Another Python, seen from outside: where its packages lie and what it runs on.

It is asked for its version without its ``site`` module, so that nothing of its packages runs (``.pth`` files may hold
code). Where its packages lie follows from ``pyvenv.cfg`` and the usual layouts, so that one that does not start here
(Python 2, another platform, a broken link) is described, too.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.errors import DoctorUsageError

ASK_S = 5.0  # an interpreter starts in 0.05 s; one on a network disk that sleeps needs longer

# Runs on any Python; only the built-in module sys.
_QUESTION = (
    "import sys; name = getattr(getattr(sys, 'implementation', None), 'name', 'cpython'); "
    r"sys.stdout.write('\n'.join(['.'.join(map(str, sys.version_info[:3])), sys.platform, name, sys.prefix, sys.executable]))"
)
_EXECUTABLES = ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")
# Of each prefix; X.Y is any version of it.
_SITES = (
    "lib/python*/site-packages",
    "lib64/python*/site-packages",
    "lib/pypy*/site-packages",
    "local/lib/python*/dist-packages",  # Debian
    "lib/python3/dist-packages",
    "lib/python*/dist-packages",
    "Lib/site-packages",  # Windows
    "site-packages",  # old PyPy
)


@dataclass(frozen=True)
class Asked:
    """What an interpreter says of itself."""

    version: str
    system: str
    implementation: str
    prefix: str
    executable: str


@dataclass(frozen=True)
class OtherPython:
    """A Python that is not this one.

    Attributes:
        interpreter: What it is.
        search_path: Folders in which its packages lie.
        place: Its name in words.
        python: How a shell calls it.
        pip: How it calls its pip.
    """

    interpreter: Interpreter
    search_path: tuple[str, ...]
    place: str
    python: str
    pip: str


def ask(executable: Path, seconds: float = ASK_S) -> Asked | None:
    """Start an interpreter and ask it what it is; None where it does not start or answer.

    Args:
        executable: The interpreter, or a script that starts one.
        seconds: When it is ended, with all that it started.
    """
    try:
        child = subprocess.Popen(
            [str(executable), "-E", "-s", "-S", "-c", _QUESTION],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError):
        return None
    try:
        printed = child.communicate(timeout=max(0.0, seconds))[0]
    except subprocess.TimeoutExpired:
        _end(child)
        return None
    lines = printed.decode("utf-8", "replace").splitlines()
    if child.returncode != 0 or len(lines) != 5 or not re.fullmatch(r"\d+(\.\d+)+", lines[0]):
        return None
    system = "linux" if lines[1].startswith("linux") else lines[1]  # linux2 on Python 2
    return Asked(lines[0], system, *lines[2:])


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.communicate(timeout=1.0)


def find_other_python(path: str, asking: Callable[[Path], Asked | None] = ask) -> OtherPython:
    """Look at the Python that a user names: an interpreter, or the folder of a virtual or conda environment.

    Args:
        path: The interpreter or the folder; a bare name is looked up like a command.
        asking: Asks an interpreter what it is.

    Raises:
        DoctorUsageError: There is no such thing, or it is neither.
    """
    named = Path(path).expanduser()
    if not named.exists() and os.path.basename(path) == path and shutil.which(path):
        named = Path(shutil.which(path) or path)
    executable, prefix = _executable_and_prefix(named, path)
    asked = asking(executable) if executable is not None else None
    if asked is not None and not (prefix / "pyvenv.cfg").is_file():
        # A launcher, such as that of pyenv, stands somewhere else than what it starts.
        own = Path(asked.executable).parent.parent
        prefix = own if (own / "pyvenv.cfg").is_file() else Path(asked.prefix)
    config = _settings(prefix / "pyvenv.cfg")
    prefixes = [prefix]
    if config.get("include-system-site-packages", "").lower() == "true":
        prefixes.append(Path(asked.prefix) if asked else Path(config.get("home", "")).parent)
    version = asked.version if asked else _version_from_layout(prefix, config)
    system = asked.system if asked else ("win32" if (prefix / "Scripts").is_dir() else None)
    is_alone = bool(config) and len(prefixes) == 1  # a virtual environment sees nothing else
    of_user = [] if asked is None or is_alone else _user_folders(asked)
    found = {os.path.realpath(folder): folder for folder in reversed([*of_user, *_site_folders(prefixes, version)])}
    folders = list(reversed(found.values()))  # lib64 is mostly a link to lib
    if asked is None and not folders:
        raise DoctorUsageError(
            f"--python {path}: this is neither an interpreter that starts nor the folder of a virtual or conda "
            "environment. Name one, such as .venv or .venv/bin/python."
        )
    here = Interpreter.here()
    interpreter = Interpreter(
        version, system, here.machine if asked else None, asked.implementation if asked else here.implementation
    )
    place = f"the interpreter {executable}" if executable else f"the environment {named}"
    python = shlex.quote(str(executable)) if executable else "python"
    pip = f"{python} -m pip" if executable else "pip"
    return OtherPython(interpreter, tuple(map(str, folders)), place, python, pip)


def _executable_and_prefix(named: Path, path: str) -> tuple[Path | None, Path]:
    if named.is_dir():
        executable = next((named / name for name in _EXECUTABLES if os.path.lexists(named / name)), None)
        return executable, named
    if not os.path.lexists(named):
        raise DoctorUsageError(f"--python {path}: there is no such interpreter or folder.")
    if not re.match(r"(python|pypy)", named.name, re.IGNORECASE):
        raise DoctorUsageError(f"--python {path}: this is no Python interpreter by its name, and was not started.")
    executable = Path(os.path.abspath(named))
    is_in_bin = executable.parent.name.lower() in ("bin", "scripts")
    return executable, executable.parent.parent if is_in_bin else executable.parent


def _settings(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    parts = [line.partition("=") for line in lines]
    return {name.strip().lower(): value.strip() for name, _, value in parts}


def _version_from_layout(prefix: Path, config: dict[str, str]) -> str | None:
    """Version by pyvenv.cfg, by conda's own list, or by the name of the folder in lib."""
    said = config.get("version") or config.get("version_info") or ""
    names = [said, *_names(prefix, "conda-meta/python-[0-9]*.json"), *_names(prefix, "lib/python[0-9]*")]
    for name in names:
        match = re.search(r"\d+\.\d+(\.\d+)?", name)
        if match:
            return match[0]
    return None


def _names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in _glob(folder, pattern)]


def _site_folders(prefixes: list[Path], version: str | None) -> Iterator[Path]:
    minor = ".".join(version.split(".")[:2]) if version else ""
    for prefix in prefixes:
        for pattern in _SITES:
            for folder in _glob(prefix, pattern):
                named = re.search(r"(?:python|pypy)(\d+\.\d+)", folder.parent.name)
                if named and minor and named[1] != minor:
                    continue  # two versions share a prefix, such as /usr
                yield folder
                yield from _path_lines(folder)


def _user_folders(asked: Asked) -> list[Path]:
    """Where ``pip install --user`` puts the packages of such a Python, in the home of whoever asks."""
    if os.environ.get("PYTHONNOUSERSITE") or asked.system == "win32":
        return []  # of Windows the folder has another name for each way in which Python was installed
    minor = ".".join(asked.version.split(".")[:2])
    base = os.environ.get("PYTHONUSERBASE")
    if asked.system == "darwin" and not base:
        folder = Path.home() / "Library" / "Python" / minor / "lib" / "python" / "site-packages"
    else:
        folder = Path(base or Path.home() / ".local") / "lib" / f"python{minor}" / "site-packages"
    return [folder, *_path_lines(folder)] if _is_folder(folder) else []


def _path_lines(folder: Path) -> Iterator[Path]:
    """Folders that ``.pth`` files add; their lines of code are no folders, and are not run."""
    for file in _glob(folder, "*.pth"):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.strip() and _is_folder(folder / line.strip()):
                yield folder / line.strip()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a line that is no path at all
        return False


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):
        return []
