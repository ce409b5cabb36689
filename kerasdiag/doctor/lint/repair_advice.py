"""What to type where a training reads an ImageDataGenerator: measure first; what a profile has measured, repair."""

from __future__ import annotations

import json
from typing import NamedTuple

from kerasdiag.demand import demand_of
from kerasdiag.diagnosis import INPUT_BOUND_FRACTION, PARTLY_INPUT_BOUND_FRACTION, Verdict, diagnose
from kerasdiag.doctor.lint.analysis import Subject
from kerasdiag.doctor.lint.corrections import unrefused, with_item
from kerasdiag.doctor.lint.places import is_dotted_name, name_of_data
from kerasdiag.doctor.lint.values import Call
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR

_PROFILER = "profiler"  # its name in the corrected lines
_CALLBACKS_AT = {"fit": 5, "fit_generator": 4}
_MEASURE = (
    "Measure with BottleneckProfiler among the callbacks; if the training waits, autofix repairs it in the next run:"
)
_REPAIR = "The profile saw the training wait. autofix repairs the generator and keeps its images and augmentations; before fit:"
_FORCE = f"autofix repairs by itself from {INPUT_BOUND_FRACTION:.0%} of waiting on. Told to, it repairs this one too; before fit:"


class Advice(NamedTuple):
    """A remedy and its lines; both empty where nothing needs doing."""

    text: str
    code: tuple[str, ...] = ()


def advice(subject: Subject, call: Call) -> Advice:
    """Return what to do about a generator.

    Args:
        subject: The script, and the profile of its training where one was given.
        call: The call of ``fit`` that reads the generator.
    """
    environment = subject.environment
    profile, demand = environment.profile, demand_of(environment.profile)
    data = profile.training_input if profile is not None else None
    if profile is None or demand is None or (data is not None and data.kind != IMAGE_DATA_GENERATOR):
        return Advice(_MEASURE, _measured(subject, call))
    if demand.wait_fraction < PARTLY_INPUT_BOUND_FRACTION:
        return Advice("")
    if not environment.profile_file:
        return Advice(_MEASURE, _measured(subject, call))
    # As autofix itself decides (repair/decision.py).
    is_input_bound = demand.wait_fraction >= INPUT_BOUND_FRACTION
    if is_input_bound and diagnose(profile).verdict in (Verdict.INPUT_BOUND, Verdict.MIXED):
        return Advice(_REPAIR, _repaired(subject, call, ""))
    return Advice(_FORCE, _repaired(subject, call, ', when="always"'))


def _measured(subject: Subject, call: Call) -> tuple[str, ...]:
    """The lines of a run that measures, and repairs what an earlier one has measured; nothing where they are not sure."""
    name = name_of_data(subject.script, call)
    if call.is_open or len(call.positional) > _CALLBACKS_AT[call.method] or not _can_be_set(subject, call, name):
        return ()
    fit = with_item(subject, call.node, "callbacks", _PROFILER)
    if not fit:
        return ()
    return (
        "from kerasdiag import BottleneckProfiler, autofix",
        f"{_PROFILER} = BottleneckProfiler()",
        f"{name} = autofix({name}, {_PROFILER})",
        *fit,
    )


def _repaired(subject: Subject, call: Call, option: str) -> tuple[str, ...]:
    """The lines that repair, and the call of fit where it has to change for another reason."""
    name = name_of_data(subject.script, call)
    if not _can_be_set(subject, call, name):
        return ()
    file = json.dumps(subject.environment.profile_file, ensure_ascii=False)  # as Python writes it too
    return (
        "from kerasdiag import autofix",
        f"{name} = autofix({name}, {file}{option})",
        *unrefused(subject, call.node),
    )


def _can_be_set(subject: Subject, call: Call, name: str) -> bool:
    # Of fit_generator on Keras 3, KD701 has what comes first.
    return is_dotted_name(name) and (call.method == "fit" or subject.keras.is_3 is False)
