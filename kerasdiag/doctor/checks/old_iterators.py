"""KD102: releases of keras-preprocessing before 1.1.1, whose iterators are not quite those of tf.keras."""

from __future__ import annotations

import dataclasses

from kerasdiag.doctor.check import Answer, check, found, ok
from kerasdiag.doctor.installed import absent, finding, install, is_in, packages_of, stated
from kerasdiag.doctor.requirements import unmet_requirements
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import PackageFacts
from kerasdiag.findings import Remedy, Severity
from kerasdiag.version_facts import entry

_NO_PRICE = "nobody has measured it; it shows as warnings and open files, not as time"


@check("KD102", "old-image-iterators", needs=("packages",), uses=("profile",))
def old_image_iterators(environment: Environment) -> Answer:
    """keras-preprocessing before 1.1.1 leaves image files open, and may be no Sequence for tf.keras.

    What it finds:
        keras-preprocessing older than 1.1.1 where ImageDataGenerator runs its code. A warning where the profile
        says that several worker processes read it, else a note. Nothing where Keras has iterators of its own.

    Why it matters:
        `load_img` leaves each file open until Python collects the image. A script that imports keras_preprocessing
        before tensorflow.keras gets iterators that are no Sequence: tf.keras then takes them for a plain generator,
        and worker processes may yield images twice.

    Example:
        keras-preprocessing 1.1.0 is older than 1.1.1: it leaves image files open, and its iterators are Sequences of
        tf.keras only if tensorflow.keras was imported first.

    Fix:
        pip install "keras-preprocessing==1.1.2". Some TensorFlows ask for another one;
        the remedy says so (2.1.4 wants 1.1.0).

    When to ignore:
        If nothing warns about a generator that may duplicate your data, and no training ends with too many open files.
    """
    packages = packages_of(environment)
    fault, other = entry("keras-preprocessing-open-files"), entry("keras-preprocessing-no-sequence")
    version = packages.versions.get("keras-preprocessing")
    if version is None:
        if packages.generators and not any(one.uses_keras_preprocessing for one in packages.generators):
            return ok("ImageDataGenerator has its own code and needs no keras-preprocessing")
        return absent(packages, "keras-preprocessing")
    if not is_in(version, fault):
        return ok(f"keras-preprocessing {version} closes its files")
    runs_it = [one for one in packages.generators if one.uses_keras_preprocessing]
    if packages.is_declared and not packages.generators:
        return absent(packages, "tensorflow", "keras")
    if not runs_it:
        return ok(f"nothing here runs keras-preprocessing {version}")
    data = environment.profile.training_input if environment.profile else None
    by_processes = data is not None and bool(data.use_multiprocessing) and (data.workers or 1) > 1
    message = (
        f"keras-preprocessing {version} is older than 1.1.1: it leaves image files open, and its iterators are "
        "Sequences of tf.keras only if tensorflow.keras was imported first."
    )
    severity = Severity.WARN if by_processes else Severity.INFO
    remedy = _remedy(packages, fault["last"])
    seen = stated(packages, "keras-preprocessing", *(one.package for one in runs_it))
    return found(finding("KD102", severity, message, seen, remedy, _NO_PRICE, fault, other))


def _remedy(packages: PackageFacts, last: str) -> Remedy:
    """The last release, unless TensorFlow asks for another one."""
    with_last = dataclasses.replace(packages, versions={**packages.versions, "keras-preprocessing": last})
    refusal = next((one for one in unmet_requirements(with_last) if one.name == "keras-preprocessing"), None)
    if refusal is not None:
        asks = f"{refusal.package} {packages.versions[refusal.package]} asks for keras-preprocessing{refusal.wanted}"
        return Remedy(f"{last} closes its files, but {asks}: take another TensorFlow if open files are a problem.")
    return install(packages, "The last release closes its files:", f"keras-preprocessing=={last}")
