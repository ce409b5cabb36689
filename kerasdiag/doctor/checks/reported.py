"""KD111 and KD112: what is worth a note: a package that shadows another, and releases that were reported slow."""

from __future__ import annotations

from kerasdiag.compat import version_matches
from kerasdiag.doctor.check import Answer, check, found, ok
from kerasdiag.doctor.installed import absent, finding, is_in, packages_of, stated
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Provenance, Remedy, Severity
from kerasdiag.version_facts import entry, tables


@check("KD111", "pynvml-beside-nvidia-ml-py", needs=("packages",))
def pynvml_shim(environment: Environment) -> Answer:
    """The deprecated package pynvml lies beside or in place of nvidia-ml-py.

    What it finds:
        The distribution pynvml. From 12 on it holds nothing but a warning and brings nvidia-ml-py; before, it
        installs a module of the same name, and with nvidia-ml-py beside it the last one installed wins.

    Why it matters:
        `import pynvml` works either way and may be the older of the two. Monitors that import it print a warning.
        It costs no time.

    Example:
        pynvml 11.5.3 and nvidia-ml-py 12.560.30 install a module of the same name; the last one installed wins.

    Fix:
        Uninstall pynvml, then install nvidia-ml-py again; `import pynvml` stays.

    When to ignore:
        Always, as long as no warning and no missing function disturbs you.
    """
    packages = packages_of(environment)
    version = packages.versions.get("pynvml")
    if version is None:
        return absent(packages, "pynvml") if packages.is_declared else ok("pynvml is not installed")
    shim, own = entry("pynvml-shim"), entry("pynvml-own-module")
    other = packages.versions.get("nvidia-ml-py")
    is_shim = is_in(version, shim)
    message = f"pynvml {version} is a deprecated shim around nvidia-ml-py."
    if not is_shim and other is None:
        return ok(f"pynvml {version} is the only module of its name")
    if not is_shim:
        message = (
            f"pynvml {version} and nvidia-ml-py {other} install a module of the same name; the last one installed wins."
        )
    lines: tuple[str, ...] = (
        f"{packages.pip} uninstall -y pynvml",
        f"{packages.pip} install --force-reinstall --no-deps nvidia-ml-py",
    )
    if packages.is_declared:
        lines = ("nvidia-ml-py",)
    remedy = Remedy("nvidia-ml-py alone brings the module pynvml:", lines, safe=False)
    seen = stated(packages, "pynvml", "nvidia-ml-py")
    return found(finding("KD111", Severity.INFO, message, seen, remedy, "it costs no time", shim if is_shim else own))


@check("KD112", "reported-slow-release", needs=("packages",))
def reported_slow(environment: Environment) -> Answer:
    """Somebody reported that this TensorFlow release is slow or leaks memory.

    What it finds:
        TensorFlow releases that issues call slow or leaking, with the links. Most of these issues were closed
        without a cause: a report is no proof, and this is never more than a note.

    Why it matters:
        If a training became slower with an update, a neighbouring release tells in an hour whether that is why.

    Example:
        tensorflow 2.3.4 was reported slow or leaking in 2 issues: training 15 to 18 % slower than on 2.2; shuffle takes
        more memory.

    Fix:
        Profile the same training on a neighbouring release, and compare.

    When to ignore:
        If the training was never faster elsewhere. Each report is of one model on one machine.
    """
    packages = packages_of(environment)
    if packages.tensorflow is None:
        return absent(packages, "tensorflow")
    name, version = packages.tensorflow
    python = packages.interpreter.minor or ""
    reports = [
        one
        for one in tables()["reported"]
        if is_in(version, one) and ("python" not in one or version_matches(python, one["python"]) is True)
    ]
    if not reports:
        return ok(f"nobody whom this kerasdiag knows of reported {name} {version} slow")
    count = f"{len(reports)} issues" if len(reports) > 1 else "1 issue"
    message = f"{name} {version} was reported slow or leaking in {count}: {'; '.join(one['says'] for one in reports)}."
    seen = tuple(Evidence(f"reported, not proven: {one['says']}", Provenance.DECLARED) for one in reports)
    remedy = Remedy("Profile the same training on a neighbouring release before you believe it.", (), safe=True)
    return found(finding("KD112", Severity.INFO, message, seen, remedy, "a report is no measurement", *reports))
