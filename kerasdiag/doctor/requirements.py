"""Which requirement of which installed package is not met, by metadata alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from kerasdiag.compat import version_matches
from kerasdiag.doctor.installed import TENSORFLOW_FAMILY
from kerasdiag.environment.packages import PackageFacts
from kerasdiag.version_facts import row_of


class Unmet(NamedTuple):
    """A requirement that is not met.

    Attributes:
        package: Who asks.
        name: What it asks for, normalised.
        wanted: In which versions, such as ``">=1.20"``; empty: any.
        version: What is there instead, None where nothing is.
    """

    package: str
    name: str
    wanted: str
    version: str | None


def unmet_requirements(packages: PackageFacts) -> list[Unmet]:
    """Return what TensorFlow, Keras, kerasdiag and all that they require ask for and do not get.

    Markers and extras count as pip counts them. Of lists only what both sides state is held together: what a list leaves
    out, pip brings.
    """
    unmet = {}
    roots = [name for name in (*TENSORFLOW_FAMILY, "keras", "tf-keras", "kerasdiag") if name in packages.versions]
    todo, seen = [(root, "") for root in roots], set()
    while todo:
        package, extra = todo.pop()
        if (package, extra) in seen:
            continue
        seen.add((package, extra))
        for requirement in _asked(packages, package, extra):
            name = str(canonicalize_name(requirement.name))
            provider = _provider(packages, name)
            version = packages.versions[provider] if provider else None
            todo += [(provider, one) for one in ("", *requirement.extras)] if provider else []
            if version is None and packages.is_declared:
                continue
            if version is None or not _may_match(packages, version, str(requirement.specifier)):
                unmet[package, name] = Unmet(package, name, str(requirement.specifier), version)
    return [unmet[key] for key in sorted(unmet)]


def _may_match(packages: PackageFacts, version: str, wanted: str) -> bool:
    """Whether a version is wanted; of a list, ``2.13`` may stand for each release of that series."""
    if version_matches(version, wanted) is not False:
        return True
    is_series = packages.is_declared and version.count(".") < 2
    return is_series and version_matches(f"{version}.99999", wanted) is True


def _asked(packages: PackageFacts, package: str, extra: str) -> Iterator[Requirement]:
    required = packages.requires.get(package)
    if required is None and packages.is_declared and package in TENSORFLOW_FAMILY:
        release = packages.versions[package]
        # Of a series nobody knows which release comes, and each asks for something else.
        row = row_of("tensorflow_requires", release) if release.count(".") >= 2 else None
        required = tuple(row["requires"]) if row else ()
    for text in required or ():
        try:
            requirement = Requirement(text)
            marker = requirement.marker
            # What hangs on something that no list states is held against nobody.
            applies = not extra if marker is None else packages.interpreter.applies(marker, extra) is True
        except (InvalidRequirement, ValueError, KeyError, TypeError):  # one bad line, not all of them
            continue
        if applies:
            yield requirement


def _provider(packages: PackageFacts, name: str) -> str | None:
    """What is there under this name; every build of TensorFlow is TensorFlow."""
    candidates = TENSORFLOW_FAMILY if name == "tensorflow" else (name,)
    return next((one for one in candidates if one in packages.versions), None)
