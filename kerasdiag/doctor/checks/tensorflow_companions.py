"""KD104 and KD105: NumPy and protobuf releases that TensorFlow does not run with, or runs slowly with."""

from __future__ import annotations

from collections.abc import Mapping

from kerasdiag.doctor.check import Answer, check, found, ok, skipped
from kerasdiag.doctor.installed import (
    TENSORFLOW_FAMILY,
    absent,
    backend_of,
    finding,
    install,
    is_in,
    packages_of,
    runs_tensorflow,
    stated,
)
from kerasdiag.doctor.requirements import unmet_requirements
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.version_facts import entry, tables

_NO_IMPORT = "TensorFlow cannot be imported; there is no training to slow down"


@check("KD104", "numpy-2-with-old-tensorflow", needs=("packages",), uses=("profile",))
def numpy_2(environment: Environment) -> Answer:
    """NumPy 2 lies beside a TensorFlow that was built for NumPy 1.

    What it finds:
        NumPy 2 with TensorFlow before 2.18. Several of these releases name no upper limit for NumPy, so that pip
        brings NumPy 2 without a word. A note where conda built TensorFlow, or where Keras runs on another backend.

    Why it matters:
        The compiled half of NumPy 2 has another interface. TensorFlow 2.10.1 and 2.15.1 end at their import with it.

    Example:
        numpy 2.0.2 is installed beside tensorflow 2.10.1, which was built for NumPy 1 and cannot be imported with it.

    Fix:
        pip install "numpy<2", or TensorFlow 2.18 or newer.

    When to ignore:
        If you built TensorFlow yourself against NumPy 2.
    """
    packages, fault = packages_of(environment), entry("numpy-2")
    if packages.tensorflow is None:
        return absent(packages, *TENSORFLOW_FAMILY)
    name, version = packages.tensorflow
    if not is_in(version, fault):
        return ok(f"{name} {version} runs with NumPy 2, too")
    numpy = packages.versions.get("numpy")
    if numpy is None:
        return absent(packages, "numpy")
    if not is_in(numpy, fault, "other_versions"):
        return ok(f"{name} {version} and numpy {numpy} are of one age")
    is_certain = name not in packages.conda and runs_tensorflow(environment)
    verb = "pinned" if packages.is_declared else "installed"
    message = (
        f"numpy {numpy} is {verb} beside {name} {version}, which was built for NumPy 1 and cannot be imported with it."
    )
    remedy = install(packages, "Take NumPy 1:", "numpy<2")
    severity = Severity.ERROR if is_certain else Severity.INFO
    return found(finding("KD104", severity, message, stated(packages, name, "numpy"), remedy, _NO_IMPORT, fault))


@check("KD105", "unfit-protobuf", needs=("packages",), uses=("profile",))
def unfit_protobuf(environment: Environment) -> Answer:
    """Protobuf is of a release that TensorFlow does not work with, or is forced to run in pure Python.

    What it finds:
        protobuf 4 and newer beside TensorFlow before 2.12, and protobuf older than what the code of TensorFlow 2.20
        and newer was generated with. A note on other releases that TensorFlow does not ask for. A warning where
        PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python is set.

    Why it matters:
        "Descriptors cannot be created directly" and "Detected mismatched Protobuf Gencode/Runtime major versions" end the
        import. The variable that the first message offers makes each message be read in Python: graphs, TensorBoard
        events, examples of a TFRecord that Python parses.

    Example:
        PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python makes protobuf 3.20.3 read and write every message in pure Python.

    Fix:
        Install a protobuf in TensorFlow's range, then take the variable out of the environment.

    When to ignore:
        The variable costs little where no Python code parses records and graphs are small.
    """
    packages = packages_of(environment)
    if packages.tensorflow is None:
        return absent(packages, *TENSORFLOW_FAMILY)
    name, version = packages.tensorflow
    protobuf = packages.versions.get("protobuf")
    faults = [one for one in tables()["tensorflow_faults"] if one.get("other") == "protobuf" and is_in(version, one)]
    hits = [one for one in faults if is_in(protobuf, one, "other_versions")]
    unmet = next((one for one in unmet_requirements(packages) if one.package == name and one.name == "protobuf"), None)
    wanted = unmet.wanted if unmet else _opposite(hits[0]["other_versions"]) if hits else ""
    remedy = install(packages, "Install a protobuf that fits:", f"protobuf{wanted}")
    is_forced = _is_forced(packages.environ)
    seen = stated(packages, name, "protobuf")
    if hits and protobuf and not (is_forced and hits[0]["id"] == "protobuf-4"):
        is_certain = name not in packages.conda and runs_tensorflow(environment)
        severity = Severity.ERROR if is_certain else Severity.INFO
        message = f"{name} {version} cannot be imported with protobuf {protobuf}."
        return found(finding("KD105", severity, message, seen, remedy, _NO_IMPORT, hits[0]))
    if is_forced and runs_tensorflow(environment):
        return found(_forced(protobuf, seen, remedy.code if unmet or hits else ()))
    if unmet is not None:
        instead = f"protobuf {protobuf}" if protobuf else "no protobuf"
        message = f"{name} {version} asks for protobuf{wanted}, and has {instead}."
        severity = Severity.INFO if protobuf else Severity.WARN
        return found(finding("KD105", severity, message, seen, remedy, "nobody has measured that pair"))
    if protobuf is None:
        return absent(packages, "protobuf")
    if not runs_tensorflow(environment):
        return skipped(f"trainings here run on {backend_of(environment)}")
    if packages.is_declared and not faults:
        return ok(f"no fault of {name} {version} with protobuf {protobuf} is known")
    return ok(f"protobuf {protobuf} fits {name} {version}")


def _is_forced(environ: Mapping[str, str]) -> bool:
    fault = entry("protobuf-python")
    return environ.get(fault["variable"], "").lower() == str(fault["value"])


def _forced(protobuf: str | None, seen: tuple[Evidence, ...], first: tuple[str, ...]) -> Finding:
    fault = entry("protobuf-python")
    setting = f"{fault['variable']}={fault['value']}"
    which = f"protobuf {protobuf}" if protobuf else "protobuf"
    message = f"{setting} makes {which} read and write every message in pure Python."
    text = "Install a protobuf that needs no such help, then take it out" if first else "Take it out"
    remedy = Remedy(f"{text} of the environment:", (*first, f"unset {fault['variable']}"), safe=not first)
    is_set = Evidence(f"{setting} is set", Provenance.DECLARED)
    price = "it depends on how many messages Python reads"
    return finding("KD105", Severity.WARN, message, (is_set, *seen), remedy, price, fault)


def _opposite(versions: str) -> str:
    """The range on the other side of a limit: ">=4" is what to stay below."""
    return f"<{versions[2:]}" if versions.startswith(">=") else f">={versions[1:]}"
