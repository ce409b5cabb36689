"""Which mount a path lies on, read from ``/proc/self/mountinfo`` (Linux)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple


class Mount(NamedTuple):
    """One line of mountinfo (``man 5 proc``).

    Attributes:
        device_number: ``major:minor``; major is 0 where no single block device lies below.
        root: Folder of the mounted file system that is seen at ``point``; not ``/`` for bind mounts.
        point: Where it is mounted.
        file_system: Its type, such as ``ext4``.
        source: Device, server or whatever the file system calls its source.
        options: Options of the file system, by comma.
    """

    device_number: str
    root: str
    point: str
    file_system: str
    source: str
    options: str

    def option(self, name: str) -> str | None:
        """Return the value of ``name=value``, None where it is not given."""
        return next((o.partition("=")[2] for o in self.options.split(",") if o.startswith(f"{name}=")), None)


def real_path(path: str | os.PathLike[str], root: Path = Path("/")) -> str:
    """Return an absolute path without symbolic links; missing parts stay as they are written."""
    inside = os.path.abspath(path)
    top = os.path.realpath(root)
    real = os.path.realpath(os.path.join(top, inside.lstrip("/")))
    if top == "/":
        return real
    # A link of a fake tree that points out of it cannot be followed there.
    return real[len(top) :] or "/" if real == top or real.startswith(top + "/") else inside


def mount_of(path: str, root: Path = Path("/")) -> Mount | None:
    """Return the mount that an absolute path without symbolic links lies on.

    Goes down from the root as the kernel does, mount by mount: the longest mount point that fits may be
    hidden under a later mount of one of its parents.

    Raises:
        OSError: When mountinfo cannot be read.
    """
    children = _read_mounts(root)
    parts = [part for part in path.split("/") if part]
    current: tuple[str | None, Mount | None] = (None, None)
    for depth in range(len(parts) + 1):
        folder = "/" + "/".join(parts[:depth])
        # Mounts lie on top of each other. Each is taken once, so that nonsense cannot go in circles.
        while (current[0], folder) in children:
            current = children.pop((current[0], folder))
    return current[1]


def _read_mounts(root: Path) -> dict[tuple[str | None, str], tuple[str | None, Mount | None]]:
    """Mounts with their own id, by id of the parent and mount point. Lines that make no sense are left out."""
    found = []
    for line in (root / "proc/self/mountinfo").read_bytes().splitlines():
        fields = line.split(b" ")
        try:
            end = fields.index(b"-")  # after it come type, source and options
            number, *names = [_unescape(field) for field in (*fields[2:5], *fields[end + 1 : end + 4])]
            mount = Mount(number, *names)
        except (ValueError, TypeError):
            continue
        found.append((os.fsdecode(fields[0]), os.fsdecode(fields[1]), mount))
    known = {own for own, _, _ in found}
    # The parent of the topmost mounts lies outside of what this process sees, or is the mount itself.
    return {
        (parent if parent in known and parent != own else None, mount.point): (own, mount)
        for own, parent, mount in found
    }


def _unescape(field: bytes) -> str:
    """Undo the octal escapes of space, tab, line feed and backslash."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field))
