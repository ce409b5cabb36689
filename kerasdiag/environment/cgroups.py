"""Which control groups hold this process, in both versions of cgroups."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Group(NamedTuple):
    """Folder of a group and the version whose files it holds. The folder may not exist."""

    folder: Path
    version: int


def groups_of(controller: str, root: Path = Path("/")) -> list[Group]:
    """Return the groups of this process that a controller may limit, parents first.

    Args:
        controller: Name of the controller, ``"cpu"`` or ``"memory"``.
        root: Where ``/proc`` and ``/sys`` are found; tests pass a tree of their own.
    """
    groups: list[Group] = []
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        lines = ["0::/"]
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base = root / "sys/fs/cgroup"
            groups += [Group(folder, 2) for folder in [base, *_descend(base, path)]]
        elif controller in controllers.split(","):
            for name in (controllers, controller, "cpu,cpuacct"):
                base = root / "sys/fs/cgroup" / name
                groups += [Group(folder, 1) for folder in [base, *_descend(base, path)]]
    return groups


def _descend(base: Path, path: str) -> list[Path]:
    folders = []
    for part in path.strip("/").split("/"):
        if part and part != "..":
            base = base / part
            folders.append(base)
    return folders
