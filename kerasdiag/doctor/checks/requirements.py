"""KD103: requirements of TensorFlow, Keras and kerasdiag that are not met."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.installed import TENSORFLOW_FAMILY, absent, finding, install, is_in, packages_of, stated
from kerasdiag.doctor.requirements import Unmet, unmet_requirements
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import PackageFacts
from kerasdiag.findings import Evidence, Finding, Provenance, Severity
from kerasdiag.version_facts import tables

_NO_PRICE = "what breaks is an import or a call, not a number of seconds"


@check("KD103", "unmet-requirements", needs=("packages",))
def unmet_requirement(environment: Environment) -> Answer:
    """A package that TensorFlow, Keras or kerasdiag requires is missing or of another version.

    What it finds:
        Requirements in the metadata of TensorFlow, Keras, kerasdiag and of all that they require, against what is
        installed. A note where conda installed the package (it builds with pins of its own), where what is required
        is keras-preprocessing and nothing runs it, and for what TensorFlow does not load to train, such as libclang.
        NumPy, protobuf and Keras have checks of their own.

    Why it matters:
        pip installs over a requirement with no more than a line in its output, and `--no-deps` says nothing at all. What
        comes of it is an import that fails, or a fault that no one else has.

    Example:
        tensorflow 2.15.1 requires ml-dtypes~=0.3.1, but ml-dtypes 0.5.1 is installed.

    Fix:
        pip install "NAME VERSIONS" as the finding says, or all packages anew in one `pip install` command.

    When to ignore:
        If you built the package yourself for what is installed, or the training runs and its tests pass.
    """
    packages = packages_of(environment)
    if not any(name in packages.versions for name in (*TENSORFLOW_FAMILY, "keras", "tf-keras", "kerasdiag")):
        return absent(packages, "tensorflow", "keras")
    unmet = [one for one in unmet_requirements(packages) if not _has_own_check(one, packages)]
    if unmet:
        # What is missing is one finding for each package that asks; of a wrong version each is a matter of its own.
        groups: dict[tuple[str, Severity], list[Unmet]] = {}
        for one in unmet:
            if one.version is None:
                groups.setdefault((one.package, _severity(one, packages)), []).append(one)
        wrong = [_wrong_version(one, packages) for one in unmet if one.version is not None]
        return found(*wrong, *(_missing(group, packages, severity) for (_, severity), group in groups.items()))
    if packages.is_declared:
        return unknown(f"nothing that {packages.place} pins contradicts itself; what it leaves out is not known")
    return ok("every requirement of TensorFlow and Keras is met")


def _has_own_check(unmet: Unmet, packages: PackageFacts) -> bool:
    """Whether KD104, KD105 or KD107 reports the same pair."""
    if unmet.package in TENSORFLOW_FAMILY and unmet.name == "protobuf":
        return True
    if unmet.package == "tf-keras" and unmet.name == "tensorflow":
        return True
    asking = packages.versions[unmet.package]
    faults = (one for one in tables()["tensorflow_faults"] if one.get("other") == unmet.name)
    return unmet.package in TENSORFLOW_FAMILY and any(
        is_in(asking, one) and is_in(unmet.version, one, "other_versions") for one in faults
    )


def _severity(unmet: Unmet, packages: PackageFacts) -> Severity:
    """A note where nothing is reached: conda's own pins, what nothing runs, what TensorFlow does not load to train."""
    runs_old = any(one.uses_keras_preprocessing for one in packages.generators)
    is_inert = unmet.name == "keras-preprocessing" and not runs_old
    rarely = {one["package"] for one in tables()["tensorflow_rarely_imports"]}
    is_rare = unmet.package in TENSORFLOW_FAMILY and unmet.name in rarely
    return Severity.INFO if is_inert or is_rare or unmet.package in packages.conda else Severity.WARN


def _wrong_version(unmet: Unmet, packages: PackageFacts) -> Finding:
    asking = f"{unmet.package} {packages.versions[unmet.package]}"
    verb = "pinned" if packages.is_declared else "installed"
    message = f"{asking} requires {unmet.name}{unmet.wanted}, but {unmet.name} {unmet.version} is {verb}."
    wants = Evidence(f"{asking} asks for {unmet.name}{unmet.wanted} in its metadata", Provenance.DECLARED)
    seen = (wants, *stated(packages, unmet.name), *_why_a_note(unmet, packages))
    remedy = install(packages, "Install a version that fits:", f"{unmet.name}{unmet.wanted}")
    return finding("KD103", _severity(unmet, packages), message, seen, remedy, _NO_PRICE)


def _missing(group: list[Unmet], packages: PackageFacts, severity: Severity) -> Finding:
    asking = f"{group[0].package} {packages.versions[group[0].package]}"
    wanted = [f"{one.name}{one.wanted}" for one in group]
    names = ", ".join(one.name for one in group)
    message = (
        f"{asking} requires {names}, but {'it is' if len(group) == 1 else f'these {len(group)} are'} not installed."
    )
    wants = Evidence(f"{asking} asks for {', '.join(wanted)} in its metadata", Provenance.DECLARED)
    reasons = dict.fromkeys(fact for one in group for fact in _why_a_note(one, packages))
    remedy = install(packages, "Install them:" if len(group) > 1 else "Install it:", *wanted)
    return finding("KD103", severity, message, (wants, *reasons), remedy, _NO_PRICE)


def _why_a_note(unmet: Unmet, packages: PackageFacts) -> tuple[Evidence, ...]:
    if unmet.package in packages.conda:
        return (Evidence(f"conda installed {unmet.package}, with pins of its own", Provenance.DECLARED),)
    if _severity(unmet, packages) is Severity.WARN:
        return ()
    if unmet.name == "keras-preprocessing":
        return (Evidence("nothing here runs keras-preprocessing", Provenance.INFERRED),)
    rows = (one for one in tables()["tensorflow_rarely_imports"] if one["package"] == unmet.name)
    return tuple(Evidence(one["measured"], Provenance.MEASURED) for one in rows)
