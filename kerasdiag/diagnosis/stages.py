"""Which stage of the input is to blame, and what makes that one cheaper."""

from __future__ import annotations

import re
from collections import Counter

from kerasdiag import stage_timing as stage
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.profile import RunProfile
from kerasdiag.stage_timing import InputStages, StageTime

SHOWN = 3  # stages in a line
# A reader whose processor time is less than half of it waits for the disk.
WAITS_FOR_DISK = 0.5


def slowest_stage(profile: RunProfile) -> Finding | None:
    """Return which stage takes most of the input's time, None where the input was not taken apart."""
    stages = profile.input_stages
    slowest = stages.slowest if stages is not None else None
    if stages is None or slowest is None:
        return None
    total_s = sum(one.effective_s for one in stages.stages)
    if total_s <= 0:
        return None
    waited_s = profile.steps.measured.mean_wait_s
    if not stages.explain(waited_s):
        return _unexplained(stages, total_s, waited_s)
    each = "an image" if stages.unit == "image" else "a batch"
    is_repaired = profile.training_input is not None and profile.training_input.repaired is not None
    left_out = " and ".join(stages.not_measured)
    return Finding(
        "slowest-stage",
        Severity.INFO,
        f"Of the {total_s * 1e3:.3g} ms that {each} takes{f' without {left_out}' if left_out else ''}, "
        f"{stages_in_words(stages)}.{_what_was_left_out(stages)}",
        (_evidence(stages),),
        # What was left out of an image may be the slowest; and nobody edits the dataset that autofix made.
        None if (left_out and stages.unit == "image") or is_repaired else _remedy(stages, slowest, profile),
        {f"{name.replace(' ', '_')}_s": one.wall_s for name, one in zip(names_of(stages), stages.stages)},
    )


def _unexplained(stages: InputStages, total_s: float, waited_s: float) -> Finding:
    return Finding(
        "slowest-stage",
        Severity.INFO,
        f"Which stage is slow is not known: what tf.data's operations were seen to take is {total_s * 1e3:.3g} ms for a "
        f"batch, and a batch was waited for for {waited_s * 1e3:.3g} ms.{_what_was_left_out(stages)}",
        (_evidence(stages),),
    )


def _evidence(stages: InputStages) -> Evidence:
    known = "a sample of its rows" if stages.source == "sampled rows" else stages.source
    return Evidence(f"{known}, {stages.count} {stages.unit}{'s' if stages.count != 1 else ''}", Provenance.MEASURED)


def stages_in_words(stages: InputStages, *, most: int = SHOWN) -> str:
    """Return the dearest stages with their shares, such as ``affine is 62 %, decoding 22 %``."""
    total_s = sum(one.effective_s for one in stages.stages)
    named = zip(names_of(stages), stages.stages)
    ordered = sorted(named, key=lambda pair: -pair[1].effective_s)[:most]
    shares = [f"{name}{_threads(one)} {one.effective_s / total_s:.0%}" for name, one in ordered if total_s]
    first, *rest = [share for share, (_, one) in zip(shares, ordered) if one.effective_s >= 0.01 * total_s]
    name, _, percent = first.rpartition(" ")
    return ", ".join([f"{name} is {percent}", *rest])


def names_of(stages: InputStages) -> list[str]:
    """Return a name for each stage; those of several are numbered in the order in which the data pass them: ``Map 2``."""
    counts = Counter(one.name for one in stages.stages)
    numbers: Counter[str] = Counter()
    names = []
    for one in stages.stages:
        numbers[one.name] += 1
        names.append(f"{one.name} {numbers[one.name]}" if counts[one.name] > 1 else one.name)
    return names


def _what_was_left_out(stages: InputStages) -> str:
    if stages.unit == "batch":
        return "".join(
            f" {name[0].upper()}{name[1:]} was not timed: {why}." for name, why in stages.not_measured.items()
        )
    return "".join(
        f" {name} may take more than all of these, and was not timed: a call of it beside the training could change what "
        f"that draws ({why})."
        for name, why in stages.not_measured.items()
    )


def _threads(one: StageTime) -> str:
    return f" (on {one.threads} threads)" if one.threads > 1 else ""


def _remedy(stages: InputStages, slowest: StageTime, profile: RunProfile) -> Remedy | None:
    """What makes the slowest stage cheaper; None where autofix does, which is the next step anyway."""
    if stages.unit != "image":
        return _remedy_for_tf_data(slowest, profile)
    if slowest.name == stage.READ and slowest.cpu_s is not None and slowest.cpu_s < WAITS_FOR_DISK * slowest.wall_s:
        return Remedy("Reading waits for the disk. How slow it is, and why:", ("kerasdiag doctor --data DIR",))
    if slowest.name == stage.FUNCTION:
        return Remedy(
            "preprocessing_function is Python code that runs once for each image. Let a layer of the model do its work on "
            "whole batches, or do what is not random once, before the training."
        )
    if slowest.name == stage.STANDARDIZE:
        return Remedy(
            "Leave the scaling to a layer of the model (keras.layers.Rescaling), which works on whole batches."
        )
    return None


_PARALLEL_MAP = "dataset = dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)"
_CACHE = Remedy(
    "It runs in parallel already: do the part that is the same in every epoch once, and cache it before the random part:",
    ("dataset = dataset.map(load).cache().map(augment, num_parallel_calls=tf.data.AUTOTUNE)",),
)
_SEQUENTIAL = {
    "Map": ("Let it use all cores:", _PARALLEL_MAP),
    "Filter": ("Filter once, before the training, or after a parallel map.", ""),
    "FlatMap": ("Read several at a time:", "files.interleave(open_file, num_parallel_calls=tf.data.AUTOTUNE)"),
    "Interleave": ("Read several at a time:", "files.interleave(open_file, num_parallel_calls=tf.data.AUTOTUNE)"),
    "Generator": ("A Python generator runs on one core: let it yield names only, and read them in a parallel map.", ""),
    "Batch": ("Copying examples into batches:", "dataset = dataset.batch(n, num_parallel_calls=tf.data.AUTOTUNE)"),
    "PaddedBatch": ("Padding copies every example: bucket by length, or pad in the model.", ""),
    "Shuffle": ("Shuffle names instead of images: put shuffle before the map that loads them.", ""),
    "TFRecord": ("Read several files at a time:", "files.interleave(tf.data.TFRecordDataset, num_parallel_calls=tf.data.AUTOTUNE)"),
}  # fmt: skip


def _remedy_for_tf_data(slowest: StageTime, profile: RunProfile) -> Remedy | None:
    name = re.sub(r"V\d+$", "", slowest.name)  # of its kernel, in profiles of older versions
    is_map = name in ("Map", "ParallelMap", "MapAndBatch")
    if slowest.tuned or slowest.threads >= max(2, profile.cores or 1):
        return _CACHE if is_map and not _caches(profile) else None
    if is_map and name != "Map":
        known = f"It runs on {slowest.threads} of {profile.cores} cores. " if slowest.threads > 1 else ""
        return Remedy(f"{known}Let tf.data choose how many calls run at once:", (_PARALLEL_MAP,))
    text, code = _SEQUENTIAL.get(name, ("", ""))
    return Remedy(text, (code,) if code else ()) if text else None


def _caches(profile: RunProfile) -> bool:
    """Whether the pipeline has a cache: the next step, from its form, knows what to do with that."""
    stages = profile.input_stages.stages if profile.input_stages is not None else ()
    form = profile.training_input.pipeline if profile.training_input is not None else ()
    return any("Cache" in name for name in (*(one.name for one in stages), *(form or ())))
