"""What the package checks share: how to say that something is not there, and what to type."""

from __future__ import annotations

from kerasdiag.compat import version_matches
from kerasdiag.doctor.check import Answer, ok, skipped, unknown
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import NIGHTLY_NAMES, TENSORFLOW_NAMES, PackageFacts
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity
from kerasdiag.version_facts import Entry

TENSORFLOW_FAMILY = (*TENSORFLOW_NAMES, *NIGHTLY_NAMES, "tensorflow-cpu-aws")
NO_KERAS = "neither Keras nor TensorFlow is installed"
# Builds by others, whose versions the tables do not know.
_OTHER_BUILDS = (*NIGHTLY_NAMES, "tensorflow-rocm", "intel-tensorflow", "tensorflow-directml")


def packages_of(environment: Environment) -> PackageFacts:
    """Return what is installed; only for checks that need it."""
    if environment.packages is None:
        raise ValueError("A check that asks for packages must need 'packages'.")
    return environment.packages


def absent(packages: PackageFacts, *names: str) -> Answer:
    """Say that none of these is there: fine where packages are installed, unknown where only lists are.

    Where neither TensorFlow nor Keras is installed nothing was looked at, and nothing is fine.
    """
    other = next((name for name in _OTHER_BUILDS if name in packages.versions), "") if "tensorflow" in names else ""
    if other:
        return unknown(f"{other} {packages.versions[other]} is no release of TensorFlow that is known here")
    if not packages.is_declared:
        return ok(f"{names[0]} is not installed") if has_keras(packages) else skipped(NO_KERAS)
    for name in names:
        if name in packages.unpinned:
            return unknown(f"{packages.place}: {packages.unpinned[name]}")
    why = f"which {names[0]} is not stated in {packages.place}"
    if packages.not_found:
        why += f", and what it installs from was not found beside it: {', '.join(packages.not_found)}"
    return unknown(why)


def has_keras(packages: PackageFacts) -> bool:
    """Whether any TensorFlow or Keras is there."""
    return any(name in packages.versions for name in (*TENSORFLOW_FAMILY, *_OTHER_BUILDS, "keras", "tf-keras"))


def is_in(version: str | None, entry: Entry, column: str = "versions") -> bool:
    """Whether a version lies in the range of an entry; False where there is none or it makes no sense."""
    return version is not None and version_matches(version, entry[column]) is True


def stated(packages: PackageFacts, *names: str) -> tuple[Evidence, ...]:
    """Return the versions that are there, as evidence."""
    does = "is pinned" if packages.is_declared else "is installed"
    return tuple(
        Evidence(f"{name} {packages.versions[name]} {does}", Provenance.DECLARED)
        for name in names
        if name in packages.versions
    )


def install(packages: PackageFacts, text: str, *requirements: str) -> Remedy:
    """Return what to type, or to write into the list, to have these versions."""
    if packages.is_declared:
        return Remedy(f"{text.rstrip(':.')}, in {packages.edited_in}:", requirements, safe=False)
    quoted = " ".join(f'"{one}"' if set(one) & set("<>=!~[") else one for one in requirements)
    return Remedy(text, (f"{packages.pip} install {quoted}",), safe=False)


def uninstall(packages: PackageFacts, text: str, *names: str) -> Remedy:
    """Return what to type, or to take out of the list, to be rid of these packages."""
    if packages.is_declared:
        return Remedy(f"{text.rstrip(':.')}: take {' and '.join(names)} out of {packages.edited_in}.", (), safe=False)
    return Remedy(text, (f"{packages.pip} uninstall -y {' '.join(names)}",), safe=False)


def finding(  # noqa: PLR0917  # in the order of a Finding
    code: str,
    severity: Severity,
    message: str,
    evidence: tuple[Evidence, ...],
    remedy: Remedy | None,
    price: str,
    *entries: Entry,
) -> Finding:
    """Return a finding about versions: it has no numbers of its own, and ``price`` says why it has no price."""
    measured = tuple(Evidence(entry["measured"], Provenance.MEASURED) for entry in entries if "measured" in entry)
    references = tuple(entry["source"] for entry in entries)
    return Finding(code, severity, message, (*evidence, *measured), remedy, {}, Price.unknown(price), references)


def backend_of(environment: Environment) -> str:
    """Return what trainings run on: the backend of the profile, else what ``KERAS_BACKEND`` names for Keras 3."""
    profile = environment.profile
    backend = profile.software.get("backend") if profile is not None else None
    return backend or packages_of(environment).environ.get("KERAS_BACKEND") or "tensorflow"


def runs_tensorflow(environment: Environment) -> bool:
    """Whether trainings run on TensorFlow."""
    return backend_of(environment) == "tensorflow"
