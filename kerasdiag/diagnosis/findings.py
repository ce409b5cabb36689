"""What else a run shows beside its verdict: one function per finding, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Optional

from kerasdiag.diagnosis.estimates import Estimate, share
from kerasdiag.diagnosis.first_batch import first_batch_findings
from kerasdiag.diagnosis.gpu_findings import gpu_shared, gpu_throttled
from kerasdiag.diagnosis.machine_findings import (
    memory_nearly_full,
    stalled_by_disk,
    stalled_by_memory,
    stolen_cores,
    throttled,
)
from kerasdiag.diagnosis.stages import slowest_stage
from kerasdiag.diagnosis.step_findings import runs_eagerly, slowed_by_input, slowed_by_others
from kerasdiag.diagnosis.verdict import CALLBACK_BOUND_FRACTION, MIN_MEASURED_STEPS, PARTLY_INPUT_BOUND_FRACTION
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.input_identity import PYTHON_GENERATOR
from kerasdiag.next_step import advise_callbacks, time_of, works_at_end_only
from kerasdiag.profile import RunProfile
from kerasdiag.step_times import CallbackTime

Estimates = Mapping[str, Estimate]
RunFinding = Callable[[RunProfile, Estimates], Optional[Finding]]

CALLBACK_TAX_FRACTION = 0.05  # below it nobody would change a callback
HIDDEN_WAIT_FRACTION = 0.05
DRIFT_FRACTION = 0.10  # of the training time, from one epoch to the others
DRIFT_EPOCH_S = 2.0  # a shorter epoch is over before anything can drift: one hiccup of the machine makes its share


def run_findings(profile: RunProfile, estimates: Estimates) -> tuple[Finding, ...]:
    """Return what is worth knowing about a run, beside its verdict.

    Args:
        profile: What was measured.
        estimates: The numbers of its diagnosis, by name.
    """
    found = [one for find in RUN_FINDINGS if (one := find(profile, estimates)) is not None]
    return (*found, *first_batch_findings(profile), *_remarks(profile), *_missing(profile))


def unequal_epochs(profile: RunProfile, estimates: Estimates) -> Finding | None:
    """Epochs of the same fit that trained on different numbers of batches."""
    counts = _steps_of_whole_epochs(profile)
    if len(set(counts)) < 2:
        return None
    shown = ", ".join(map(str, counts[:6])) + (" ..." if len(counts) > 6 else "")
    planned = profile.planned_steps_per_epoch
    asked = f" of {planned} planned" if planned else ""
    if profile.has_steps_per_epoch is False:  # an epoch is whatever the input gives, which may be meant
        severity = Severity.INFO
        why = "fit was given no steps_per_epoch, and one pass over the input was not as long as another"
        text = (
            "Where that is not meant, look at what the input does between two epochs (on_epoch_end), or whether one pass "
            "uses it up."
        )
    else:
        severity = Severity.WARN
        why = "the input ended within an epoch, and what was left of it made a short one"
        text = (
            "Leave out steps_per_epoch, so that an epoch is one pass over the data; or give fit an input without an "
            "end (dataset.repeat()) together with steps_per_epoch."
        )
        if profile.training_input is not None and profile.training_input.kind == PYTHON_GENERATOR:
            text = (
                "A Python generator is used up by one pass, with and without steps_per_epoch. Give fit one that never ends "
                "(while True: around its loop), together with steps_per_epoch."
            )
    return Finding(
        "unequal-epochs",
        severity,
        f"The epochs trained {shown} steps{asked}: {why}.",
        (Evidence(f"steps of each epoch: {shown}", Provenance.MEASURED),),
        Remedy(text),
        {"least_steps": min(counts), "most_steps": max(counts)},
    )


def _steps_of_whole_epochs(profile: RunProfile) -> tuple[int, ...]:
    """Steps of the epochs that nobody broke off: neither Ctrl-C nor a callback that stopped within the last one."""
    counts = profile.epochs.steps_of_single_epochs
    if len(counts) < len(profile.epochs.steps) or not counts:
        return counts
    is_short = counts[-1] < max(counts)
    is_broken_off = profile.state != "completed" or (profile.stopped_early and is_short)
    return counts[:-1] if is_broken_off else counts


def drifting_wait(profile: RunProfile, estimates: Estimates) -> Finding | None:
    """An epoch, mostly the first one, whose wait is not that of the others."""
    steps = profile.steps.measured
    by_epoch: dict[int, list[int]] = {}
    for row, epoch in enumerate(steps.epoch):
        by_epoch.setdefault(epoch, []).append(row)
    waits = []
    for epoch, rows in sorted(by_epoch.items()):
        part = steps.rows(rows)
        # Rows of a long training hold several steps each.
        enough = part.num_steps >= MIN_MEASURED_STEPS and sum(part.period_s) >= DRIFT_EPOCH_S
        wait = share(part.wait_s, part.period_s, part.num_steps) if enough else None
        if wait is not None:
            waits.append((epoch, wait))
    if len(waits) < 2:
        return None
    (first_epoch, first), (last_epoch, last) = waits[0], waits[-1]
    if first.interval is None or last.interval is None or abs(first.value - last.value) < DRIFT_FRACTION:
        return None
    if first.interval[0] <= last.interval[1] and last.interval[0] <= first.interval[1]:
        return None
    grew = last.value > first.value
    text = (
        "Something slows the input down as the training goes on: memory that fills, a processor that gets "
        "hot or is throttled, other programs, or files that no longer fit into the page cache."
        if grew
        else "Later epochs find the files in memory, or a cache filled: judge the training by them. The first epoch reads "
        "the disk, and kerasdiag doctor --data tells how fast that is."
    )
    return Finding(
        "drifting-wait",
        Severity.WARN if grew else Severity.INFO,
        f"The wait {'grew' if grew else 'fell'} from {first.value:.0%} of the time in epoch {first_epoch + 1} to "
        f"{last.value:.0%} in epoch {last_epoch + 1}.",
        (Evidence("steps of each epoch, with their intervals apart", Provenance.MEASURED),),
        Remedy(text),
        {"first_fraction": first.value, "last_fraction": last.value},
    )


def callback_tax(profile: RunProfile, estimates: Estimates) -> Finding | None:
    """Callbacks that take more than anybody expects, but are not the verdict."""
    share = estimates.get("callback_fraction")
    if share is None or not CALLBACK_TAX_FRACTION <= share.value < CALLBACK_BOUND_FRACTION:
        return None
    parts = ", ".join(_callback_words(profile, one) for one in profile.callbacks[:3])
    return Finding(
        "callback-tax",
        Severity.INFO,
        f"{share.value:.1%} of the training time went into callbacks{': ' if parts else ''}{parts}.",
        (Evidence("time between two callbacks of Keras' loops over them", Provenance.MEASURED),),
        advise_callbacks(profile),
        {"callback_fraction": share.value},
    )


def _callback_words(profile: RunProfile, callback: CallbackTime) -> str:
    at_end = " after the last step" if works_at_end_only(profile, callback) else ""
    return f"{callback.name} {time_of(callback)}{at_end}"


def hidden_wait(profile: RunProfile, estimates: Estimates) -> Finding | None:
    """Waits that cost nothing for now, but will when the step gets faster."""
    share = estimates.get("hidden_wait_fraction")
    if share is None or share.value < HIDDEN_WAIT_FRACTION:
        return None
    return Finding(
        "hidden-wait",
        Severity.INFO,
        f"For another {share.value:.0%} of the time the next batch was asked for while the device still computed the step "
        "before. That costs nothing now; a faster step would show it.",
        (
            Evidence(
                "whether the outputs of the step before were there when the batch was asked for", Provenance.MEASURED
            ),
        ),
        None,
        {"hidden_wait_fraction": share.value},
    )


def guilty_stage(profile: RunProfile, estimates: Estimates) -> Finding | None:
    """The stage that takes most of an input's time, where the training waits for it."""
    wait = estimates.get("data_wait_fraction")
    return slowest_stage(profile) if wait is not None and wait.value >= PARTLY_INPUT_BOUND_FRACTION else None


def _remarks(profile: RunProfile) -> Iterator[Finding]:
    unsure = {gpu.not_measured["visible"] for gpu in profile.gpus if "visible" in gpu.not_measured}
    for remark in (*profile.remarks, *sorted(unsure)):
        yield Finding("remark", Severity.INFO, remark)


def _missing(profile: RunProfile) -> Iterator[Finding]:
    for what, why in profile.not_measured.items():
        if what not in ("data_wait", "gpu"):
            yield Finding("not-measured", Severity.INFO, f"{what.replace('_', ' ')} was not measured: {why}")


RUN_FINDINGS: tuple[RunFinding, ...] = (
    throttled,
    runs_eagerly,
    guilty_stage,
    slowed_by_input,
    slowed_by_others,
    stalled_by_disk,
    stalled_by_memory,
    memory_nearly_full,
    stolen_cores,
    gpu_throttled,
    gpu_shared,
    unequal_epochs,
    drifting_wait,
    callback_tax,
    hidden_wait,
)
