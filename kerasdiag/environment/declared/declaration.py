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
        not_found: Files that one of them installs from, and that lie nowhere to be read.
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
    not_found: dict[str, None] = field(default_factory=dict)

    @property
    def interpreter(self) -> Interpreter:
        """What the packages are for, as far as the lists say."""
        return Interpreter(self.python, self.system)

    def pin(self, name: str, version: str) -> None:
        """Note a version; a later one wins, as it does for pip."""
        self.versions[canonicalize_name(name)] = version
        self.unpinned.pop(canonicalize_name(name), None)

    def remove(self, name: str) -> None:
        """Forget a package: something uninstalls it again."""
        for known in (self.versions, self.unpinned):
            known.pop(canonicalize_name(name), None)
        self.conda.discard(canonicalize_name(name))

    def constrain(self) -> None:
        """Pin what is asked for without a version to its constraint; a constraint alone installs nothing."""
        for name, version in self.constraints.items():
            if name in self.unpinned:
                self.pin(name, version)

    def leave_open(self, name: str, why: str) -> None:
        """Note a package whose version is not stated, unless it is stated elsewhere."""
        if canonicalize_name(name) not in self.versions:
            self.unpinned[canonicalize_name(name)] = why

    def add_requirement(self, text: str) -> bool:
        """Note a requirement as pip takes it: a name with versions and a marker, or a file or URL.

        Returns:
            Whether it is one. Of a line that is none the name is noted, if it has one, and stays open.
        """
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return self._add_file(text) or self._add_unreadable(text)
        if requirement.marker is not None and not self._applies(requirement, text):
            return True
        if requirement.url:
            self._add_file(requirement.url, requirement.name)
            return True
        self.add_versions(requirement.name, [str(one) for one in requirement.specifier], text)
        return True

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
        """Whether the marker holds; where that hangs on what nobody stated, the package stays open."""
        marker = requirement.marker
        assert marker is not None, "asked only of requirements with one"
        try:
            holds = self.interpreter.applies(marker)
        except (ValueError, KeyError, TypeError):
            self.leave_open(requirement.name, f"the marker of {requirement.name} cannot be read")
            return False
        if holds is None:
            said, unknown = " ".join(text.split()), self.interpreter.unknown_to(marker)
            self.leave_open(requirement.name, f"{said} depends on {unknown}, which is not stated")
        return holds is True

    def _add_unreadable(self, text: str) -> bool:
        name = re.match(r"([A-Za-z0-9][\w.-]*)\s*(?=[\s=<>!~;@\[\"'(]|$)", text)
        if name:
            self.leave_open(name[1], f"this line cannot be read: {' '.join(text.split())[:80]}")
        return False

    def _add_file(self, text: str, name: str = "") -> bool:
        """A wheel says its version; of an archive or a repository only the name is known; a path may hold anything."""
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
            return "://" in text or text.startswith((".", "/"))
        return True


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
