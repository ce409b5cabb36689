"""The head of a report: what was looked at, in words."""

from __future__ import annotations

import dataclasses
import platform
from typing import Any

from kerasdiag.doctor.collect import MACHINE, Facts, Request
from kerasdiag.doctor.input_line import input_in_words
from kerasdiag.doctor.wording import files, size
from kerasdiag.environment.data_files import DataFacts
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.gpus import GpuFacts
from kerasdiag.environment.packages import TENSORFLOW_NAMES, PackageFacts
from kerasdiag.environment.scripts import ScriptFacts
from kerasdiag.environment.storage import StorageFacts

_SHOWN = (*TENSORFLOW_NAMES, "tf-nightly", "keras", "tf-keras", "keras-preprocessing", "numpy")


def head_of(facts: Facts, request: Request, *, is_public: bool = False) -> dict[str, str]:
    """Describe what has been collected.

    Args:
        facts: What may still be collected in part.
        request: What the doctor was given.
        is_public: Whether it is for others: without names of the machine, of servers, and of the data.
    """
    done = facts.done()
    words = _packages_in_words(done.get("packages"), request)
    machine: Environment | None = done.get(MACHINE)
    if machine is not None:
        words["cores"] = f"{machine.cores} of {machine.visible_cores or machine.cores}"
        words["memory"] = f"{size(machine.memory.available_bytes)} available"
    gpus: GpuFacts | None = done.get("gpus")
    if gpus is not None and gpus.is_there:
        words["gpu"] = _gpus_in_words(gpus)
    data: DataFacts | None = done.get("data")
    if data is not None:
        words["data"] = files(data) if is_public else f"{data.path}: {files(data)}"
        words["storage"] = _storage_in_words(data.storage, is_public)
        words.update(_input_in_words(machine, facts, done, request))
        if facts.beside:
            words["meanwhile"] = (
                f"something was not done when reads and images were timed: {' and '.join(facts.beside)}"
            )
    scripts: ScriptFacts | None = done.get("scripts")
    if scripts is not None:
        words["scripts"] = _scripts_in_words(scripts)
    if request.profile is not None:
        words["profile"] = f"of {request.profile.created_at}" + ("" if is_public else f" on {request.profile.host}")
    return words


def _packages_in_words(packages: PackageFacts | None, request: Request) -> dict[str, str]:
    words = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    if packages is None:
        named = request.python or " and ".join(request.lists)
        return {"looked at": f"{named}, of which nothing is known yet"} if named else words
    if packages.place:
        words = {"looked at": f"{packages.place}, not this interpreter", "python": packages.interpreter.in_words()}
    listed = [f"{name} {packages.versions[name]}" for name in _SHOWN if name in packages.versions]
    none = f"neither TensorFlow nor Keras{' is pinned' if packages.is_declared else ''}"
    return {**words, "packages": ", ".join(listed) or none}


def _input_in_words(
    machine: Environment | None, facts: Facts, done: dict[str, Any], request: Request
) -> dict[str, str]:
    if machine is None or "throughput" not in done:
        return {}
    groups = {name: done[name] for name in ("data", "reads", "throughput") if name in done}
    return input_in_words(dataclasses.replace(machine, **groups, profile=request.profile, absent=facts.absent))


def _scripts_in_words(scripts: ScriptFacts) -> str:
    paths = [script.path for script in scripts.scripts]
    return ", ".join(paths) if len(paths) <= 3 else f"{paths[0]} and {len(paths) - 1} more"


def _gpus_in_words(gpus: GpuFacts) -> str:
    names = ", ".join(gpu.name or f"GPU {gpu.index}" for gpu in gpus.gpus) or gpus.remark or "none that is visible"
    return f"{names} (driver {gpus.driver_version})" if gpus.driver_version else names


def _storage_in_words(storage: StorageFacts, is_public: bool) -> str:
    source = "" if is_public and not storage.source.startswith("/dev/") else storage.source
    place = ", ".join(filter(None, (storage.device or source, storage.file_system)))
    return f"{storage.storage_class}{f' ({place})' if place else ''}"
