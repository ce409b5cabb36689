"""KD109 and KD110: the packages that decode and warp images."""

from __future__ import annotations

import dataclasses
import re

from kerasdiag.compat import version_matches
from kerasdiag.demand import demand_of
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.costs import Cost, cost_of
from kerasdiag.doctor.installed import NO_KERAS, absent, finding, has_keras, install, is_in, packages_of, stated
from kerasdiag.doctor.wording import size
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Price, Provenance, Remedy, Severity
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR, PY_DATASET, PYTHON_GENERATOR
from kerasdiag.version_facts import entry


@check("KD109", "slow-jpeg-library", needs=("packages",), uses=("data", "profile"))
def slow_jpeg_library(environment: Environment) -> Answer:
    """Pillow reads JPEG files with the plain libjpeg, not with libjpeg-turbo.

    What it finds:
        The JPEG library that Pillow's wheel carries, by its file name: libjpeg 9 in wheels before 9.0.0, libjpeg-turbo
        since. Windows wheels and builds for conda or a distribution carry no such file, and stay unknown. A note
        where the profile says that the input is not read by Python, or where no file tried is a JPEG.

    Why it matters:
        ImageDataGenerator decodes every image in full with Pillow. libjpeg-turbo does that with the processor's
        vector instructions, libjpeg 9 without: 1.6 ms more for a JPEG of 133 kB (measured).

    Example:
        pillow 8.4.0 decodes JPEG with libjpeg 9 (libjpeg-183418da.so.9.4.0), not with libjpeg-turbo.

    Fix:
        pip install --upgrade pillow. The pixels of a JPEG may then differ by one level here and there.

    When to ignore:
        If the images are no JPEG, or are decoded by TensorFlow (tf.data).
    """
    packages = packages_of(environment)
    fault, slow = entry("pillow-wheel-libjpeg-9"), entry("pillow-wheel-slow-jpeg")
    version, library = packages.versions.get("pillow"), packages.jpeg_library
    if version is None:
        return ok("pillow-simd is installed") if "pillow-simd" in packages.versions else absent(packages, "pillow")
    is_for_linux = packages.interpreter.system == fault["system"] and "pillow" not in packages.conda
    is_old_wheel = packages.is_declared and is_for_linux and is_in(version, fault)
    has_libjpeg_9 = library is not None and re.search(r"^libjpeg(-\w+)?\.(so\.)?9\b", library) is not None
    if not has_libjpeg_9 and not is_old_wheel:
        if library is not None:
            return ok(f"pillow {version} decodes JPEG with libjpeg-turbo ({library})")
        if packages.is_declared and is_for_linux:
            return ok(f"the wheel of pillow {version} for Linux decodes JPEG with libjpeg-turbo")
        return unknown(f"pillow {version} does not show which JPEG library it was built with")
    named = f" ({library})" if library else ", as all wheels before 9.0.0"
    message = f"pillow {version} decodes JPEG with libjpeg 9{named}, not with libjpeg-turbo."
    evidence = stated(packages, "pillow")
    if library:
        evidence = (*evidence, Evidence(f"the wheel carries {library}", Provenance.DECLARED))
    remedy = install(packages, "Later wheels carry libjpeg-turbo:", "pillow>=9.0.0")
    if version_matches(packages.interpreter.version or "", "<3.7") is True:
        remedy = Remedy("Wheels with libjpeg-turbo need Python 3.7; autofix decodes each image once only.")
    entries = (fault, slow) if is_in(version, slow) else (fault,)
    cost = _cost_of_decoding(environment, fault["more_s_per_byte"])
    one = finding("KD109", cost.severity, message, evidence, remedy, cost.price.basis, *entries)
    return found(dataclasses.replace(one, price=cost.price))


def _cost_of_decoding(environment: Environment, more_s_per_byte: float) -> Cost:
    """Price what libjpeg 9 takes longer, by the size of the files; a worker each decodes at the same time."""
    data, profile = environment.data, environment.profile
    source = profile.training_input if profile else None
    if source is not None and source.kind not in (IMAGE_DATA_GENERATOR, PY_DATASET, PYTHON_GENERATOR):
        return Cost(Price.unknown(f"the input of the profile ({source.kind}) is not decoded by Pillow"), Severity.INFO)
    if data is None:
        return Cost(Price.unknown("how large the images are is not known; --data tells it"), Severity.WARN)
    if not any(name.lower().endswith((".jpg", ".jpeg")) for name in data.sample):
        return Cost(Price.unknown("none of the files tried is a JPEG"), Severity.INFO)
    demand = demand_of(profile)
    workers = max(1, (demand.workers if demand else None) or 1)
    basis = f"{more_s_per_byte * 1e9:g} ns more for each byte of {size(data.mean_bytes)}, {workers} at a time"
    return cost_of(more_s_per_byte * data.mean_bytes / workers, data.count, demand, basis)


@check("KD110", "affine-without-scipy", needs=("packages",), uses=("profile",))
def affine_without_scipy(environment: Environment) -> Answer:
    """SciPy is missing, which ImageDataGenerator needs to warp images (in Keras 2 for every image).

    What it finds:
        Keras or TensorFlow and Pillow without SciPy, unless the profile shows that the generator runs without it.
        Neither Keras nor TensorFlow requires SciPy, so that pip does not bring it.

    Why it matters:
        The generator is made without a complaint; the first batch then raises an ImportError, after the model was built
        and the data were listed. In Keras 2 and keras-preprocessing every image passes the function that asks for
        SciPy, augmented or not; in Keras 3 only those that are warped.

    Example:
        scipy is not installed: ImageDataGenerator of keras 3.15.1 raises ImportError at its first batch if it
        rotates, shifts, shears or zooms.

    Fix:
        pip install scipy. autofix needs none for these augmentations where Numba is installed.

    When to ignore:
        If no script makes an ImageDataGenerator; on Keras 3 also if it only flips and rescales.
    """
    packages = packages_of(environment)
    if "scipy" in packages.versions:
        return ok(f"scipy {packages.versions['scipy']} is installed")
    if packages.is_declared:
        return absent(packages, "scipy")
    if not has_keras(packages):
        return skipped(NO_KERAS)
    if not packages.generators or "pillow" not in packages.versions:
        return ok("no ImageDataGenerator can read images here, so that none needs SciPy")
    data = environment.profile.training_input if environment.profile else None
    if data is not None:
        return skipped(f"the training of the profile ran on its input ({data.kind}) as it is")
    # Of several the one behind tf.keras: TF_USE_LEGACY_KERAS may name it.
    behind = (one for one in packages.generators if packages.keras and one.package == packages.keras[0])
    keras = next(behind, packages.generators[0])
    always = entry("scipy-always")
    fault = always if is_in(keras.version, always) else entry("scipy-for-affine")
    where = "." if fault is always else " if it rotates, shifts, shears or zooms."
    message = (
        f"scipy is not installed: ImageDataGenerator of {keras.package} {keras.version} raises ImportError at its "
        f"first batch{where}"
    )
    evidence = (*stated(packages, keras.package, "pillow"), Evidence("scipy is not installed", Provenance.DECLARED))
    remedy = install(packages, "If a generator is used:", "scipy")
    return found(finding("KD110", Severity.INFO, message, evidence, remedy, "an error, not a loss of time", fault))
