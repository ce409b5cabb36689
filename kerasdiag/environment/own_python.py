"""How a shell calls the Python that runs this, and its pip."""

from __future__ import annotations

import os
import shlex
import shutil
import sys


def own_python() -> str:
    """Return how a shell calls this Python: by its name only where the one on PATH lies beside it."""
    if not sys.executable or _is_beside(shutil.which("python")):
        return "python"
    return f'"{sys.executable}"' if os.name == "nt" else shlex.quote(sys.executable)


def own_pip() -> str:
    """Return how a shell calls the pip of this Python: by its name only where the one on PATH lies beside it."""
    return "pip" if not sys.executable or _is_beside(shutil.which("pip")) else f"{own_python()} -m pip"


def _is_beside(program: str | None) -> bool:
    """Whether a program lies where this Python does. Links count as they are: those of an environment lead out of it."""
    if program is None:
        return False
    own = os.path.dirname(os.path.abspath(sys.executable))
    return os.path.dirname(os.path.abspath(program)) in (own, os.path.join(own, "Scripts"))
