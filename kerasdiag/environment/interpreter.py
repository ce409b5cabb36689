"""What the packages run on: version of Python and platform, of this process or of another."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from dataclasses import dataclass

_SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}


@dataclass(frozen=True)
class Interpreter:
    """A Python; what is None is not known.

    Attributes:
        version: Such as ``"3.9.18"``; shorter where only so much is known.
        system: ``sys.platform``: ``"linux"``, ``"darwin"`` or ``"win32"``.
        machine: Such as ``"x86_64"`` or ``"arm64"``.
        implementation: ``sys.implementation.name``.
    """

    version: str | None = None
    system: str | None = None
    machine: str | None = None
    implementation: str = "cpython"

    @classmethod
    def here(cls) -> Interpreter:
        """Return that of this process."""
        return cls(platform.python_version(), sys.platform, platform.machine(), sys.implementation.name)

    @property
    def minor(self) -> str | None:
        """Such as ``"3.9"``."""
        return ".".join(self.version.split(".")[:2]) if self.version else None

    def markers(self) -> dict[str, str]:
        """Return what PEP 508 markers ask for. What is left out is filled in from this process by ``packaging``."""
        system = self.system or sys.platform
        known = {
            "sys_platform": system,
            "platform_system": _SYSTEMS.get(system, system),
            "os_name": "nt" if system == "win32" else "posix",
            "implementation_name": self.implementation,
            "platform_python_implementation": "CPython" if self.implementation == "cpython" else "PyPy",
        }
        if self.machine:
            known["platform_machine"] = self.machine
        if self.version and self.minor:
            known["python_version"], known["python_full_version"] = self.minor, self.version
        return known

    def in_words(self) -> str:
        """Return the version and the platform, as far as they are known."""
        system = _SYSTEMS.get(self.system or "", self.system or "")
        where = " ".join(filter(None, (system, self.machine)))
        return f"{self.version or 'version not stated'}{f' on {where}' if where else ''}"


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
