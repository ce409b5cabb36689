"""KD106: whether the TensorFlow that is there can be one whole TensorFlow on this Python."""

from __future__ import annotations

from kerasdiag.compat import version_matches
from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.installed import (
    TENSORFLOW_FAMILY,
    absent,
    finding,
    has_keras,
    install,
    is_in,
    packages_of,
    stated,
)
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import NIGHTLY_NAMES, PackageFacts
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.version_facts import row_of, tables


@check("KD106", "unfit-tensorflow", needs=("packages",), uses=("profile",))
def unfit_tensorflow(environment: Environment) -> Answer:
    """Several TensorFlow packages overwrite each other, or Python is one that TensorFlow was not made for.

    What it finds:
        More than one of tensorflow, tensorflow-cpu, -gpu, -intel, -macos and tf-nightly (those that tensorflow itself
        brings on Windows, macOS and Graviton do not count); a Python outside of the range that TensorFlow was
        built and tested for; as a note an environment that has neither TensorFlow nor Keras, or not the TensorFlow
        of the profile.

    Why it matters:
        They all write into the folder `tensorflow`, and the last one wins, file by file. Of two versions that is a
        mixture; of tensorflow and tensorflow-cpu it may be the one that does not see the GPU. Removing one of
        them removes files of the other.

    Example:
        tensorflow 2.15.1 and tensorflow-cpu 2.14.0 are both installed, and wrote into the same folder.

    Fix:
        Uninstall all of them, then install the one that you want.

    When to ignore:
        If the TensorFlow was built by you for that Python.
    """
    packages = packages_of(environment)
    there = [name for name in TENSORFLOW_FAMILY if name in packages.versions]
    if not there:
        return _missing(environment, packages)
    rivals = _rivals(packages, [name for name in there if _fits_system(packages, name)] or there)
    if len(rivals) > 1:
        return found(_several(packages, rivals))
    perhaps = [name for name in TENSORFLOW_FAMILY if name in packages.unpinned and not _is_for_one_system(name)]
    if perhaps:
        return unknown(f"{packages.place}: {packages.unpinned[perhaps[0]]}")
    name = rivals[0]
    version = packages.versions[name]
    row = row_of("tensorflow_python", version) if name not in NIGHTLY_NAMES else None
    minor = packages.interpreter.minor
    if row is None:
        return ok(f"{name} {version} is the only TensorFlow; for which Pythons it was built is not known here")
    if minor is None:
        return unknown(f"{packages.place or 'nobody'} does not say which Python {name} {version} is for")
    if version_matches(minor, row["python"]) is not False:
        return ok(f"{name} {version} was built for Python {minor}")
    is_certain = packages.is_declared and name not in packages.conda
    message = f"{name} {version} was built for Python {row['python']}, but this is {minor}."
    if is_certain:
        message = f"pip finds no {name} {version} for Python {minor}: it was built for Python {row['python']}."
    severity = Severity.INFO if name in packages.conda else Severity.ERROR if is_certain else Severity.WARN
    remedy = Remedy(f"Take a Python in the range {row['python']}, or another TensorFlow.", (), safe=False)
    seen = (*stated(packages, name), Evidence(f"the Python is {packages.interpreter.version}", Provenance.DECLARED))
    return found(finding("KD106", severity, message, seen, remedy, "nobody has tested that pair", row))


def _missing(environment: Environment, packages: PackageFacts) -> Answer:
    profile = environment.profile
    used = profile.software.get("tensorflow") if profile is not None else None
    if packages.is_declared or (not used and has_keras(packages)):
        return absent(packages, *TENSORFLOW_FAMILY)
    where = packages.place or "this interpreter"
    if used:
        message = f"The profile is of TensorFlow {used}, but none is installed for {where}."
        seen = (Evidence(f"the profile names tensorflow {used}", Provenance.DECLARED),)
        text = "Look at the environment that the training ran in:"
    else:
        message = f"Neither TensorFlow nor Keras is installed for {where}: no package was looked at."
        seen = (Evidence(f"{len(packages.versions)} other packages are there", Provenance.DECLARED),)
        text = "Look at the environment that trains, by its interpreter or its folder:"
    remedy = Remedy(text, ("kerasdiag doctor --python EXE",), safe=True)
    return found(finding("KD106", Severity.INFO, message, seen, remedy, "another environment has no price"))


def _fits_system(packages: PackageFacts, name: str) -> bool:
    """Whether a package that is made for one system only can be installed there: lock files name those of all systems."""
    if not packages.is_declared or not _is_for_one_system(name):
        return True
    systems = next(one["systems"] for one in tables()["tensorflow_parts"] if one["part"] == name)
    return packages.interpreter.system in systems


def _is_for_one_system(name: str) -> bool:
    return any(one["part"] == name for one in tables()["tensorflow_parts"])


def _rivals(packages: PackageFacts, there: list[str]) -> list[str]:
    """Those that write the folder ``tensorflow``: without the parts that another one brings."""
    parts = {
        name
        for name in there
        for other in there
        if name != other and (_requires(packages, other, name) or _is_part(packages, name, other))
    }
    whole = [name for name in there if name not in parts] or there[:1]
    # On Windows tensorflow and tensorflow-cpu may hold nothing but the requirement of one and the same part.
    is_shared = any(all(_is_part(packages, part, name) for name in whole) for part in parts)
    return whole[:1] if is_shared else whole


def _requires(packages: PackageFacts, package: str, name: str) -> bool:
    asked = (text.lower().replace("_", "-") for text in packages.requires.get(package, ()))
    return any(text.startswith((f"{name} ", f"{name}=", f"{name}(", f"{name};")) for text in asked)


def _is_part(packages: PackageFacts, name: str, other: str) -> bool:
    rows = (one for one in tables()["tensorflow_parts"] if one["part"] == name)
    same = packages.versions[name] == packages.versions[other]
    return (
        same and other in ("tensorflow", "tensorflow-cpu") and any(is_in(packages.versions[other], one) for one in rows)
    )


def _several(packages: PackageFacts, rivals: list[str]) -> Finding:
    listed = [f"{name} {packages.versions[name]}" for name in rivals]
    verb = "pinned" if packages.is_declared else "installed"
    all_of_them = ", ".join(listed[:-1]) + f" and {listed[-1]}"
    both = "both" if len(rivals) == 2 else "all"
    message = f"{all_of_them} are {both} {verb}, and wrote into the same folder."
    if packages.is_declared:
        message = f"{all_of_them} are {both} pinned, and write into the same folder."
    is_one_version = len({packages.versions[name] for name in rivals}) == 1
    keep = f"{rivals[0]}=={packages.versions[rivals[0]]}"
    if packages.is_declared:
        remedy = Remedy(f"Leave only one of them, such as this, in {packages.edited_in}:", (keep,), safe=False)
    else:
        lines = (f"{packages.pip} uninstall -y {' '.join(rivals)}", *install(packages, "", keep).code)
        remedy = Remedy("Uninstall all of them, then install the one that you want:", lines, safe=False)
    severity = Severity.WARN if is_one_version else Severity.ERROR
    price = "which of the files is whose shows only in a training"
    return finding("KD106", severity, message, stated(packages, *rivals), remedy, price)
