"""One package as conda writes it: by name and version, or as the address of its archive."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from kerasdiag.environment.declared.declaration import Declaration

_SPEC = re.compile(r"(?:[^\s:]+::)?([A-Za-z0-9_][\w.-]*)\s*(.*)")
# Of `conda list --export`, which pip cannot read: name=1.2.3=build.
_EXPORTED = re.compile(r"[A-Za-z0-9_][\w.-]*=[\w.!+]+=\S+")
# Of `conda list --explicit`: .../linux-64/name-1.2.3-build.conda#hash.
_ARCHIVE = re.compile(r"\S+://\S+/([^/\s]+)-([^-/\s]+)-[^-/\s]+\.(?:conda|tar\.bz2)(?:#\S*)?")
_FROM_PIP = "pypi_0"  # the build of what pip installed


def is_conda_line(line: str) -> bool:
    """Whether a line of a list is conda's and nobody else's."""
    return line == "@EXPLICIT" or bool(_EXPORTED.fullmatch(line) or _ARCHIVE.fullmatch(line))


def add_conda_spec(spec: str, into: Declaration) -> None:
    """Note one package: ``name``, ``name=1.2``, ``name==1.2.3``, ``name=1.2.3=build``, ``name>=1``, or its archive."""
    archive = _ARCHIVE.fullmatch(spec.strip())
    match = _SPEC.fullmatch(f"{archive[1]}=={archive[2]}" if archive else spec.strip())
    if match is None or spec.startswith("@"):
        return
    name, rest = match[1], match[2].strip()
    exact = re.fullmatch(r"(={0,2})\s*(\d[\w.!+]*?)(\.?\*)?(?:[=\s]\s*(\S+))?", rest)
    version = exact[2] if exact else ""
    if canonicalize_name(name) == "python":
        into.python = version if "." in version else into.python
        return
    if exact is None or exact[4] != _FROM_PIP:
        into.conda.add(canonicalize_name(name))
    if exact is None:
        into.add_versions(name, [rest] if rest else [], spec)
        return
    # One equals sign means every release that begins so; with three numbers, or a build, that is one.
    is_series = bool(exact[3]) or (exact[1] == "=" and version.count(".") < 2 and exact[4] is None)
    into.add_versions(name, [f"=={version}{'.*' if is_series else ''}"], spec)
