"""KD107 and KD108: Keras releases that do not go with TensorFlow, or that hang with workers."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok
from kerasdiag.doctor.installed import absent, finding, install, is_in, packages_of, runs_tensorflow, stated
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import LEGACY_KERAS_VARIABLE, PackageFacts
from kerasdiag.findings import Evidence, Finding, Provenance, Severity
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR, PY_DATASET
from kerasdiag.version_facts import entry

_NOT_A_SPEED = "it is about which Keras runs, not about seconds"
_HANGS = "a training that hangs never ends"


@check("KD107", "unfit-keras", needs=("packages",), uses=("profile",))
def unfit_keras(environment: Environment) -> Answer:
    """tf.keras is not the Keras that this TensorFlow was made for.

    What it finds:
        Keras 3 with TensorFlow before 2.16, Keras 2 with TensorFlow since 2.16, TF_USE_LEGACY_KERAS without tf-keras,
        and a tf-keras of another minor version than TensorFlow (a note where nothing asks for it).

    Why it matters:
        TensorFlow takes tf.keras from whichever Keras is installed. With Keras 3 beside 2.15 a script silently runs on
        another Keras than it was written for; `workers` in fit, optimizers and saved models differ. tf-keras and
        TensorFlow share internals and are released in pairs.

    Example:
        keras 3.0.5 is installed beside tensorflow 2.15.1, which takes tf.keras from it and was made for Keras 2.15.

    Fix:
        Install the Keras of the same age as TensorFlow: pip install "keras==2.15.*", or "tf-keras~=2.16.0".

    When to ignore:
        If the script imports keras, never tf.keras, and Keras runs on another backend.
    """
    packages = packages_of(environment)
    if packages.tensorflow is None:
        return absent(packages, "tensorflow")
    name, version = packages.tensorflow
    if packages.keras == packages.tensorflow:
        return ok(f"{name} {version} has Keras inside")
    if packages.wants_legacy_keras and is_in(version, entry("legacy-keras-needs-tf-keras")):
        if "tf-keras" not in packages.versions:
            return (
                absent(packages, "tf-keras") if packages.is_declared else found(_no_tf_keras(packages, name, version))
            )
        return _pair(packages, name, version, Severity.WARN)
    keras = packages.versions.get("keras")
    for fault in (entry("keras-3-before-2.16"), entry("keras-2-since-2.16")):
        if is_in(version, fault) and is_in(keras, fault, "other_versions"):
            severity = Severity.ERROR if runs_tensorflow(environment) else Severity.INFO
            minor = ".".join(version.split(".")[:2])
            is_old = fault["id"] == "keras-3-before-2.16"
            made_for, wanted = (f"Keras {minor}", f"keras=={minor}.*") if is_old else ("Keras 3", "keras>=3")
            verb = "pinned" if packages.is_declared else "installed"
            message = f"keras {keras} is {verb} beside {name} {version}, which takes tf.keras from it and was made for {made_for}."
            remedy = install(packages, "Install the Keras that belongs to it:", wanted)
            return found(
                finding("KD107", severity, message, stated(packages, name, "keras"), remedy, _NOT_A_SPEED, fault)
            )
    if "tf-keras" in packages.versions:
        return _pair(packages, name, version, Severity.INFO)
    if keras is None:
        return absent(packages, "keras")
    return ok(f"keras {keras} goes with {name} {version}")


def _no_tf_keras(packages: PackageFacts, name: str, version: str) -> Finding:
    minor = ".".join(version.split(".")[:2])
    message = f"{LEGACY_KERAS_VARIABLE} asks {name} {version} for Keras 2, but tf-keras is not installed."
    seen = (Evidence(f"{LEGACY_KERAS_VARIABLE} is set", Provenance.DECLARED), *stated(packages, name))
    remedy = install(packages, "Install it, or take the variable out of the environment:", f"tf-keras~={minor}.0")
    return finding("KD107", Severity.ERROR, message, seen, remedy, _NOT_A_SPEED, entry("legacy-keras-needs-tf-keras"))


def _pair(packages: PackageFacts, name: str, version: str, severity: Severity) -> Answer:
    legacy, minor = packages.versions["tf-keras"], ".".join(version.split(".")[:2])
    fault = entry("tf-keras-same-minor")
    if not is_in(version, fault) or legacy.split(".")[:2] == version.split(".")[:2]:
        return ok(f"tf-keras {legacy} goes with {name} {version}")
    message = f"tf-keras {legacy} was made for TensorFlow {'.'.join(legacy.split('.')[:2])}, but {name} is {version}."
    remedy = install(packages, "Install the one of the same minor version:", f"tf-keras~={minor}.0")
    return found(finding("KD107", severity, message, stated(packages, name, "tf-keras"), remedy, _NOT_A_SPEED, fault))


@check("KD108", "workers-hang-keras", needs=("packages",), uses=("profile",))
def workers_hang(environment: Environment) -> Answer:
    """Keras 3.6.0 hangs at the end of the first epoch when a dataset has several workers.

    What it finds:
        Keras 3.6.0: an error where the profile says that the input has more than one worker, else a note. With Keras
        3.0 to 3.5 a warning where such an input has no end.

    Why it matters:
        With `workers` above 1 a PyDataset, which ImageDataGenerator's iterators are on Keras 3, never gets past the end
        of its first epoch on 3.6.0. Before 3.6 the workers of a dataset without an end stopped with each epoch.

    Example:
        keras 3.6.0 hangs at the end of the first epoch of an input with 4 workers.

    Fix:
        pip install "keras>=3.7", or one worker until then.

    When to ignore:
        The note means nothing to a training whose input has one worker, or is a tf.data pipeline.
    """
    packages = packages_of(environment)
    version = packages.versions.get("keras")
    if version is None:
        if packages.keras is not None and packages.keras == packages.tensorflow:
            return ok(f"{' '.join(packages.keras)} has Keras 2 inside")
        return absent(packages, "keras")
    profile = environment.profile
    data = profile.training_input if profile is not None else None
    workers = (data.workers or 1) if data is not None and data.kind in (IMAGE_DATA_GENERATOR, PY_DATASET) else 1
    hang, dry = entry("keras-hang-with-workers"), entry("keras-infinite-dataset-runs-dry")
    seen = stated(packages, "keras")
    if packages.wants_legacy_keras and "tf-keras" in packages.versions:
        return ok(f"trainings run on tf-keras, not on keras {version}")
    if is_in(version, hang):
        remedy = install(packages, "The next release mended it:", f"keras>={hang['fixed']}")
        if workers > 1:
            message = f"keras {version} hangs at the end of the first epoch of an input with {workers} workers."
            said = Evidence(f"the profile has an input with {workers} workers", Provenance.DECLARED)
            return found(finding("KD108", Severity.ERROR, message, (*seen, said), remedy, _HANGS, hang))
        if data is not None:
            return ok(f"keras {version} hangs with several workers; the input of the profile has none or one")
        message = f"keras {version} hangs at the end of the first epoch if its input has more than 1 worker."
        return found(finding("KD108", Severity.INFO, message, seen, remedy, _HANGS, hang))
    if (
        is_in(version, dry)
        and data is not None
        and workers > 1
        and data.kind == PY_DATASET
        and data.num_batches is None
    ):
        message = f"keras {version} lets the {workers} workers of a dataset without an end run dry after each epoch."
        remedy = install(packages, "A later release mended it:", "keras>=3.7")
        return found(finding("KD108", Severity.WARN, message, seen, remedy, "how long they take to start again", dry))
    return ok(f"keras {version} has none of the known faults of workers")
