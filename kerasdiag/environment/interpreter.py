"""What the packages run on: version of Python and platform, of this process or of another."""

from __future__ import annotations

import itertools
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.markers import Marker

_SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
# What a marker may meet where nobody says.
_MACHINES = ("x86_64", "AMD64", "aarch64", "arm64")
_PYTHONS = ("2.7", *(f"3.{minor}" for minor in range(5, 16)))
_ASKS_PYTHON = r"python_(full_)?version|implementation_version"
_ASKS_SYSTEM = r"sys_platform|platform_system|os_name|platform_release|platform_version"
_ASKS_MACHINE = r"platform_machine"


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

    def applies(self, marker: Marker, extra: str = "") -> bool | None:
        """Return whether a marker of PEP 508 holds; None where that hangs on what is not known.

        Args:
            marker: The marker.
            extra: The extra that is asked for.

        Raises:
            ValueError: It asks for something that does not exist, or compares what cannot be compared.
        """
        asked = str(marker)
        if self.system is None and re.search(r"platform_(release|version)", asked):
            return None
        answers = {marker.evaluate({**world, "extra": extra}) for world in self._worlds(asked)}
        return answers.pop() if len(answers) == 1 else None

    def unknown_to(self, marker: Marker) -> str:
        """Return in words what a marker asks for that is not known."""
        asks = {
            "the version of Python": self.version is None and _ASKS_PYTHON,
            "the system": self.system is None and _ASKS_SYSTEM,
        }
        asks["the processor"] = self.machine is None and _ASKS_MACHINE
        return " and ".join(what for what, pattern in asks.items() if pattern and re.search(pattern, str(marker)))

    def _worlds(self, asked: str) -> Iterator[dict[str, str]]:
        """Each environment that this may be, as far as a marker asks."""
        for version, system, machine in itertools.product(
            self._versions(asked),
            _SYSTEMS if self.system is None and re.search(_ASKS_SYSTEM, asked) else (self.system or "linux",),
            _MACHINES if self.machine is None and re.search(_ASKS_MACHINE, asked) else (self.machine or "x86_64",),
        ):
            yield {
                "python_version": ".".join(version.split(".")[:2]),
                "python_full_version": version,
                "implementation_version": version,
                "sys_platform": system,
                "platform_system": _SYSTEMS.get(system, system),
                "os_name": "nt" if system == "win32" else "posix",
                "platform_machine": machine,
                "implementation_name": self.implementation,
                "platform_python_implementation": "CPython" if self.implementation == "cpython" else "PyPy",
            }

    def _versions(self, asked: str) -> list[str]:
        if self.version is None and not re.search(_ASKS_PYTHON, asked):
            return ["3.9.0"]
        known = _PYTHONS if self.version is None else (self.version,)
        # Of 3.9 alone nobody knows which release it is.
        return [full for one in known for full in ([one] if one.count(".") > 1 else [f"{one}.0", f"{one}.99"])]

    def in_words(self) -> str:
        """Return the version and the platform, as far as they are known."""
        system = _SYSTEMS.get(self.system or "", self.system or "")
        where = " ".join(filter(None, (system, self.machine)))
        return f"{self.version or 'version not stated'}{f' on {where}' if where else ''}"
