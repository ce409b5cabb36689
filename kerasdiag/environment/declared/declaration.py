"""What lists of packages say, gathered from one or several of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.errors import DoctorUsageError

MOST_BYTES = 2**25  # the longest lock files have a few MB

# Elsewhere ==2.10.* says enough. Of this package 1.0.5 and 1.0.6 are two worlds.
_PATCH_DECIDES = ("keras-preprocessing",)


@dataclass
class Declaration:
    """What has been read so far.

    Attributes:
        versions: Version by normalised name, of what is pinned.
        unpinned: What is said of packages whose version is left open.
        conda: Names of what conda installs.
        python: Version of Python, None where nobody says.
        system: ``sys.platform`` of the target, None where nobody says.
        environ: Environment variables that are set.
        constraints: Version by normalised name, of what is not to be installed in another one.
        read: Files that were read, so that none is read twice.
        read_as_constraints: The same of files of constraints: one may be a list of packages as well.
    """

    versions: dict[str, str] = field(default_factory=dict)
    unpinned: dict[str, str] = field(default_factory=dict)
    conda: set[str] = field(default_factory=set)
    python: str | None = None
    system: str | None = None
    environ: dict[str, str] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    read: set[Path] = field(default_factory=set)
    read_as_constraints: set[Path] = field(default_factory=set)

    @property
    def interpreter(self) -> Interpreter:
        """What the packages are for, as far as the lists say."""
        return Interpreter(self.python, self.system)

    def pin(self, name: str, version: str) -> None:
        """Note a version; a later one wins, as it does for pip."""
        self.versions[canonicalize_name(name)] = version
        self.unpinned.pop(canonicalize_name(name), None)

    def constrain(self) -> None:
        """Pin what is asked for without a version to its constraint; a constraint alone installs nothing."""
        for name, version in self.constraints.items():
            if name in self.unpinned:
                self.pin(name, version)

    def leave_open(self, name: str, why: str) -> None:
        """Note a package whose version is not stated, unless it is stated elsewhere."""
        if canonicalize_name(name) not in self.versions:
            self.unpinned[canonicalize_name(name)] = why

    def add_requirement(self, text: str) -> None:
        """Note a requirement as pip takes it: a name with versions and a marker, or a file or URL."""
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            self._add_file(text)
            return
        if requirement.marker is not None and not self._applies(requirement, text):
            return
        if requirement.url:
            self._add_file(requirement.url, requirement.name)
            return
        self.add_versions(requirement.name, [str(one) for one in requirement.specifier], text)

    def add_versions(self, name: str, specifiers: list[str], text: str) -> None:
        """Note a package by its version specifiers, such as ``["==1.0.9"]``."""
        for one in specifiers:
            match = re.fullmatch(r"(={2,3}|~=)\s*(\d[^*\s]*?)(\.\*)?", one)
            if match is None:
                continue
            operator, version, is_series = match[1], match[2], bool(match[3])
            if operator == "~=":
                version, is_series = version.rpartition(".")[0], True
            patch_decides = canonicalize_name(name) in _PATCH_DECIDES
            if not is_series or ("." in version and not patch_decides):
                self.pin(name, version)
                return
        said = " ".join(text.split())
        self.leave_open(name, f"{said} leaves the version open" if specifiers else f"{name} is not pinned")

    def _applies(self, requirement: Requirement, text: str) -> bool:
        """Whether the marker holds; where it asks for a Python that nobody named, the package stays open."""
        marker = requirement.marker
        assert marker is not None, "asked only of requirements with one"
        if self.python is None and re.search(r"python_(full_)?version|implementation_version", str(marker)):
            said = " ".join(text.split())
            self.leave_open(requirement.name, f"{said} depends on the version of Python, which is not stated")
            return False
        try:
            return marker.evaluate({**self.interpreter.markers(), "extra": ""})
        except (ValueError, KeyError, TypeError):
            self.leave_open(requirement.name, f"the marker of {requirement.name} cannot be read")
            return False

    def _add_file(self, text: str, name: str = "") -> None:
        """A wheel says its version; of an archive or a repository only the name is known."""
        file = re.split(r"[/\\]", text.partition("#")[0].split(" ")[0])[-1]
        try:
            parsed = parse_wheel_filename(file)
            self.pin(parsed[0], str(parsed[1]))
        except (InvalidWheelFilename, ValueError):
            egg = re.search(r"[#&]egg=([A-Za-z0-9._-]+)", text)
            if name or egg:
                self.leave_open(
                    name or (egg[1] if egg else ""),
                    f"{name or (egg and egg[1])} comes from {text.split(maxsplit=1)[0]}",
                )


def read_list(file: Path, named_by: str) -> str:
    """Return the text of a list of packages.

    Args:
        file: The file.
        named_by: Who names it, for the message.

    Raises:
        DoctorUsageError: It cannot be read as text.
    """
    try:
        with open(file, "rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DoctorUsageError(f"{named_by}: {file} cannot be read: {why}.") from None
    if len(content) > MOST_BYTES:
        raise DoctorUsageError(f"{named_by}: {file} is longer than any list of packages.")
    # PowerShell's `pip freeze > requirements.txt` writes UTF-16.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, "replace")
    if "\0" in text:
        raise DoctorUsageError(f"{named_by}: {file} is no text.")
    return text
