"""``python -m kerasdiag``: the same as the ``kerasdiag`` command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType

# What the command line cannot do without, by import name, and what to install.
_NEEDED = {
    "packaging": "packaging",
    "platformdirs": "platformdirs",
    "psutil": "psutil",
    "rich": "rich",
    "tomli": "tomli",
}


def main() -> int:
    """Run the command line; say in a sentence which of the packages that it needs is missing or broken."""
    try:
        from kerasdiag.cli import main as run_command

        return run_command()
    except Exception as fault:
        package = _broken_package(fault)
        if package is None:
            raise
        why = f"{type(fault).__name__}: {fault}".splitlines()[0]
        print(
            f"kerasdiag: the package {package}, which it needs, is missing or broken ({why}). Install it anew: "
            f"{sys.executable} -m pip install --force-reinstall {package}",
            file=sys.stderr,
        )
        return 2


def _broken_package(fault: Exception) -> str | None:
    """Name the package that could not be imported; None where the fault is another one."""
    roots = [(getattr(fault, "name", None) or "").split(".")[0]]  # of an ImportError
    step: TracebackType | None = fault.__traceback__
    while step is not None:  # a damaged file raises anything while it is imported
        if step.tb_frame.f_code.co_name == "<module>":
            roots.append(str(step.tb_frame.f_globals.get("__name__", "")).split(".")[0])
        step = step.tb_next
    if isinstance(fault, SyntaxError):
        roots += str(fault.filename).split(os.sep)[-3:]
    return next((_NEEDED[root] for root in roots if root in _NEEDED), None)


def _forget_current_directory() -> None:
    """``python -m`` looks there first, where a ``json.py`` of the user would be run in place of Python's own."""
    with suppress(OSError):  # it was deleted
        if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated) and sys.path[:1] == [os.getcwd()]:
            del sys.path[0]


if __name__ == "__main__":
    _forget_current_directory()
    sys.exit(main())
