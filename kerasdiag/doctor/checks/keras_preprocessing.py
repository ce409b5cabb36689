"""KD101: the releases of keras-preprocessing that rebuild their list of files for each batch."""

from __future__ import annotations

from kerasdiag.demand import Demand, demand_of
from kerasdiag.doctor.check import Answer, check, found, ok
from kerasdiag.doctor.costs import cost_of
from kerasdiag.doctor.image_cost import preparing_s
from kerasdiag.doctor.installed import NO_KERAS, absent, install, is_in, packages_of, uninstall
from kerasdiag.doctor.wording import duration
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.packages import PackageFacts
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR
from kerasdiag.version_facts import entry

# CPU time of 1.0.9 beside 1.1.2 (tests/benchmarks/keras_preprocessing.py), microseconds for each file and batch: Python
# 3.7, which most of those who still run it have, 0.88 to 1.03; 3.9 0.77 to 0.87; 3.11 and 3.12 0.53 to 0.64.
FILE_S = 1.03e-6
KERAS_BATCH_SIZE = 32  # what flow_from_directory and flow_from_dataframe take where nobody says

_REFERENCES = (
    "https://github.com/keras-team/keras-preprocessing/pull/130",
    "https://github.com/keras-team/keras-preprocessing/pull/193",
)


@check("KD101", "quadratic-file-list", needs=("packages",), uses=("data", "throughput", "profile"))
def quadratic_file_list(environment: Environment) -> Answer:
    """keras-preprocessing 1.0.6 to 1.0.9 rebuilds the list of all files for each batch.

    What it finds:
        keras-preprocessing 1.0.6, 1.0.7, 1.0.8 or 1.0.9, and whether the installed Keras or TensorFlow runs its
        code at all: the file behind ImageDataGenerator is looked into. From Keras 2.9 on it has its own code,
        and the old package only lies about; then this is a note.

    Why it matters:
        In these releases `filepaths` of the iterators is a property that joins the path of every file of the
        data, and each batch reads it. That is pure Python, which holds the interpreter, so that workers do not
        hide it. With 155,096 images it takes 160 ms for each batch, 13 minutes an epoch at batches of 32.

    Example:
        keras-preprocessing 1.0.9 rebuilds the list of all 155,096 files for each batch, which takes 160 ms for
        each batch of 32.

    Fix:
        pip install "keras-preprocessing==1.1.2". It gives the same images. autofix leaves the package behind.

    When to ignore:
        With a few thousand files it costs less than reading one image for each batch.
    """
    packages = packages_of(environment)
    version = packages.versions.get("keras-preprocessing")
    if version is None:
        if packages.generators and not any(one.uses_keras_preprocessing for one in packages.generators):
            return ok("ImageDataGenerator has its own code and needs no keras-preprocessing")
        return absent(packages, "keras-preprocessing")
    if not is_in(version, entry("keras-preprocessing-file-list")):
        return ok(f"keras-preprocessing {version} builds its list of files once")
    if packages.is_declared and not packages.generators:  # whether anything runs it is left open
        return absent(packages, "tensorflow", "keras")
    if not any(generator.uses_keras_preprocessing for generator in packages.generators):
        return found(_inert(version, packages))
    return found(_reached(version, packages, environment))


def _reached(version: str, packages: PackageFacts, environment: Environment) -> Finding:
    demand = demand_of(environment.profile)
    num_files, said_by = _num_files(environment)
    does = f"keras-preprocessing {version} rebuilds the list of all"
    evidence = _evidence(version, packages)
    if num_files is None:
        price = Price.unknown("the number of files is not known; --data or --profile tells it")
        message = f"{does} files for each batch."
        return Finding("KD101", Severity.WARN, message, evidence, _remedy(packages), {}, price, _REFERENCES)
    batch, batch_said = _batch_size(demand)
    batch_s = FILE_S * num_files
    basis = f"{FILE_S * 1e6:g} us for each file and batch, {batch_said}"
    cost = cost_of(batch_s / batch, num_files, demand, basis, preparing_s(environment))
    message = f"{does} {num_files:,} files for each batch, which takes {duration(batch_s)} for each batch of {batch}."
    numbers = {"num_files": num_files, "batch_size": batch, "batch_s": batch_s}
    evidence = (*evidence, Evidence(f"{num_files:,} files, {said_by}", Provenance.MEASURED))
    return Finding("KD101", cost.severity, message, evidence, _remedy(packages), numbers, cost.price, _REFERENCES)


def _inert(version: str, packages: PackageFacts) -> Finding:
    own = ", ".join(f"{generator.package} {generator.version}" for generator in packages.generators)
    why = f"ImageDataGenerator of {own} has its own code" if own else NO_KERAS
    message = (
        f"keras-preprocessing {version} is slow, but nothing here runs it: {why}. "
        "Only a script that imports keras_preprocessing itself would."
    )
    remedy = uninstall(packages, "It can go:", "keras-preprocessing")
    return Finding("KD101", Severity.INFO, message, _evidence(version, packages), remedy, references=_REFERENCES)


def _remedy(packages: PackageFacts) -> Remedy:
    last = entry("keras-preprocessing-file-list")["last"]
    return install(
        packages, "Upgrade to the last release, which gives the same images:", f"keras-preprocessing=={last}"
    )


def _evidence(version: str, packages: PackageFacts) -> tuple[Evidence, ...]:
    is_there = "pinned" if packages.is_declared else "installed"
    facts = [Evidence(f"keras-preprocessing {version} is {is_there}", Provenance.DECLARED)]
    for generator in packages.generators:
        does = "imports keras_preprocessing" if generator.uses_keras_preprocessing else "has its own code"
        if generator.file:
            facts.append(Evidence(f"{generator.file} {does}", Provenance.DECLARED))
        else:
            said = f"{generator.package} {generator.version} {does}, by its version{'' if packages.is_declared else ' (its file was not found)'}"
            facts.append(Evidence(said, Provenance.INFERRED))
    return tuple(facts)


def _num_files(environment: Environment) -> tuple[int | None, str]:
    profile = environment.profile
    data = profile.training_input if profile else None
    if data is not None and data.kind == IMAGE_DATA_GENERATOR and data.n:
        return data.n, "from the profile"
    if environment.data is not None:
        return environment.data.count, "listed" if environment.data.is_complete else "at least; listing was stopped"
    return None, ""


def _batch_size(demand: Demand | None) -> tuple[int, str]:
    if demand is not None and demand.batch_size:
        return demand.batch_size, "batch size from the profile"
    return KERAS_BATCH_SIZE, f"Keras' default batches of {KERAS_BATCH_SIZE}"
