"""What each verdict means, what to do next, and when it may be wrong: the pages of ``kerasdiag explain``."""

from __future__ import annotations

from dataclasses import dataclass

from kerasdiag.diagnosis.verdict import (
    CALLBACK_BOUND_FRACTION,
    INPUT_BOUND_FRACTION,
    LAUNCH_BOUND_FRACTION,
    MIN_MEASURED_STEPS,
    PARTLY_INPUT_BOUND_FRACTION,
    Verdict,
)


@dataclass(frozen=True)
class Advice:
    """What is written about a verdict.

    Attributes:
        rule: When it is given, in one line.
        meaning: What it says about the training.
        next: What to do.
        wrong_when: When it may be wrong.
    """

    rule: str
    meaning: str
    next: str
    wrong_when: str


_ONE = "and neither callbacks nor the start of steps takes a fifth"

ADVICE = {
    Verdict.INPUT_BOUND: Advice(
        f"{INPUT_BOUND_FRACTION:.0%} of the time of the steps or more is visible data wait, {_ONE}",
        "The device stands still because the next batch is not there. A faster GPU changes nothing; a faster input makes "
        "the training up to 1 / (1 - share) times as fast.",
        "Follow the panel's Next: autofix for ImageDataGenerator, workers for a PyDataset or Sequence, the named "
        "operation for tf.data. BottleneckProfiler(ceilings=True) measures how fast the training gets then.",
        "The first epoch reads the disk and the later ones the page cache: look at the drift over epochs. A wait that "
        "throttling of the container causes is named before any repair.",
    ),
    Verdict.PARTLY_INPUT_BOUND: Advice(
        f"{PARTLY_INPUT_BOUND_FRACTION:.0%} to {INPUT_BOUND_FRACTION:.0%} is visible data wait, and nothing else takes a fifth",
        "The input nearly keeps up. A repair brings at most a quarter more speed.",
        "More workers, or a prefetch at the end of the pipeline. A faster step (mixed precision, a better GPU) would make "
        "this training input-bound.",
        "Loaders that compute in Python threads on few cores slow the step itself, and that counts as step: the share is "
        "then too low. BottleneckProfiler(ceilings=True) measures the step alone and tells.",
    ),
    Verdict.COMPUTE_BOUND: Advice(
        f"less than {PARTLY_INPUT_BOUND_FRACTION:.0%} is visible data wait, and nothing else takes a fifth",
        "The batch is there when it is asked for. Converting the data set would change nothing.",
        "Leave the input alone: larger batches, mixed precision, jit_compile, a smaller model, another GPU.",
        "Low GPU utilization beside this verdict means that the step itself leaves the GPU idle: small kernels, "
        "operations on the CPU, run_eagerly. The confidence is lower then. Loaders in Python threads: see "
        "partly-input-bound.",
    ),
    Verdict.LAUNCH_BOUND: Advice(
        f"starting a step that computes nothing takes {LAUNCH_BOUND_FRACTION:.0%} of the step period or more",
        "The steps are so short that Python and TensorFlow spend their time on beginning them.",
        "steps_per_execution=16 in compile, jit_compile=True, larger batches.",
        "The cost of the start is a lower bound: Keras' own loop comes on top. On JAX and torch it is not measured, and "
        "the verdict is not given.",
    ),
    Verdict.CALLBACK_BOUND: Advice(
        f"callbacks take {CALLBACK_BOUND_FRACTION:.0%} of the time outside of validation or more",
        "The training stands still while callbacks work: checkpoints, logs, metrics of your own, a progress bar over very "
        "short steps.",
        "The panel names the dearest. Let it work every n-th batch or every n-th epoch, then profile again: batches are "
        "loaded while callbacks work, so the input may be next.",
        "On JAX and torch Keras runs callbacks that allow it beside the training: their time is listed apart, and does "
        "not count.",
    ),
    Verdict.MIXED: Advice(
        "two or more of data wait, callbacks and the start of steps take a fifth of the training time each",
        "No single repair helps much: what is left of the other keeps the training slow.",
        "Mend the wait first if there is one (Next says how), profile again, then the other.",
        "With few steps one slow callback weighs much: train for some hundred steps.",
    ),
    Verdict.NOT_ENOUGH_DATA: Advice(
        f"fewer than {MIN_MEASURED_STEPS} steps were measured after the first 5",
        "One slow step could turn any verdict.",
        "Train longer: 30 steps are enough for a first look, in as many epochs as the input needs for them.",
        "Steps that traced or compiled do not count: a new shape of batch in every step leaves none.",
    ),
    Verdict.UNKNOWN: Advice(
        "the wait could not be measured; the reason stands in the sentence",
        "Nothing is known about this training, which ran as it would have without the profiler.",
        "The reason mostly names what to change: verbose=1, Keras' own train function, another strategy.",
        "It is never wrong: it says nothing.",
    ),
}


def explain_verdict(name: str) -> str | None:
    """Return the page of a verdict as plain text, or None where there is no such verdict."""
    verdict = next((one for one in Verdict if one.value == name.strip().lower()), None)
    if verdict is None:
        return None
    advice = ADVICE[verdict]
    parts = (
        (str(verdict), f"Given where {advice.rule}."),
        ("What it means", advice.meaning),
        ("What to do", advice.next),
        ("When it may be wrong", advice.wrong_when),
    )
    return "\n\n".join(f"{title}\n  {text}" for title, text in parts)


def markdown_table() -> str:
    """Return the table of the README."""
    lines = ["| verdict | given where | what to do |", "|---|---|---|"]
    lines += [f"| `{verdict}` | {ADVICE[verdict].rule} | {ADVICE[verdict].next} |" for verdict in Verdict]
    return "\n".join(lines) + "\n"
