"""KD314: decoding, resizing and augmenting, against what the training takes."""

from __future__ import annotations

from kerasdiag.demand import Demand, demand_of
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.costs import price_per_step, severity_by
from kerasdiag.doctor.image_cost import why_no_roofline
from kerasdiag.doctor.input_line import roofline_evidence, roofline_in_words, slowed_by
from kerasdiag.doctor.roofline import LOCK, Roofline
from kerasdiag.doctor.supply import roofline_of, shown_by_profile
from kerasdiag.doctor.wording import by_count, duration, workers
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.facts import READ, ThroughputFacts
from kerasdiag.findings import Finding, Remedy
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR

_REFERENCES = ("https://github.com/keras-team/keras/issues/2394",)


@check("KD314", "slow-image-preparation", needs=("data", "throughput"), uses=("reads", "profile"))
def slow_image_preparation(environment: Environment) -> Answer:
    """With any number of workers, this machine prepares fewer images a second than the training takes.

    What it finds:
        The input roofline: how many images a second ImageDataGenerator can make here, with how many workers, and the
        stage that limits it: reading, decoding, resizing, augmentation, or the interpreter's lock. It is measured
        on a sample of your own files in a process of its own, by 1, 2, 4 ... threads, without a training. Where others
        used the cores meanwhile, or the profile shows more than was measured, it is no error.

    Why it matters:
        All workers of a generator share the cores, and one lock for what runs in Python. Once these are used up, a
        GPU waits however many workers there are.

    Example:
        This machine prepares at most 200 images/s (with 8 workers; limited by augmentation), and the training could
        take 640.

    Fix:
        autofix decodes every image once and augments by compiled code on all cores, mostly 10 to 30 times as fast.
        Short of it: fewer kinds of augmentation, smaller files, more cores.

    When to ignore:
        The figure is that of the input alone. Where the model computes on the same cores, the input gets fewer of them.
        A size or an augmentation that was assumed is said; --target-size and --augmentation name yours.
    """
    facts, drawn = environment.throughput, roofline_of(environment)
    if facts is None or drawn is None:
        return unknown(f"the input was not measured: {why_no_roofline(environment)}")
    said = roofline_in_words(drawn)
    profile, demand = environment.profile, demand_of(environment.profile)
    data = profile.training_input if profile else None
    if demand is None or demand.wanted_images_per_s is None:
        return ok(f"{said}; whether a training takes more, --profile tells")
    if data is not None and data.kind != IMAGE_DATA_GENERATOR:
        return skipped(
            f"the input of the profile ({data.kind}) is no ImageDataGenerator, of which this would be: {said}"
        )
    if drawn.images_per_s >= demand.wanted_images_per_s:
        return ok(f"{said}; the training takes {demand.wanted_images_per_s:,.0f}")
    if drawn.limited_by == READ:
        return skipped(f"reading limits the input before anything else does (KD303): {said}")
    return found(_finding(environment, facts, drawn, demand))


def _finding(environment: Environment, facts: ThroughputFacts, drawn: Roofline, demand: Demand) -> Finding:
    wanted, shown = demand.wanted_images_per_s or 0.0, shown_by_profile(environment)
    # What the training got is the least that this machine gives.
    rate, number = (drawn.images_per_s, drawn.workers) if shown is None else shown
    batch_s = (demand.batch_size or 0) / rate
    lost_s = min(demand.wait_s, max(0.0, batch_s - (demand.step_s - demand.wait_s)))
    who, busy = workers(number), slowed_by(environment)
    basis = f"{duration(batch_s)} for a batch with {who}, of which the step hides {duration(batch_s - lost_s)}"
    prepares = f"This machine prepares at most {rate:,.0f}" if shown is None else f"The training got {rate:,.0f}"
    return Finding(
        code="KD314",
        severity=severity_by(lost_s / demand.step_s, is_sure=not busy),
        message=f"{prepares} images/s (with {who}; limited by {drawn.limited_by}), and the training could take {wanted:,.0f}.",
        evidence=roofline_evidence(environment),
        remedy=_remedy(drawn, busy, is_limit=shown is None),
        numbers={
            "images_per_s": rate,
            "wanted_images_per_s": wanted,
            "workers": number,
            **{f"{stage.name}_s": stage.seconds for stage in facts.stages},
        },
        price=price_per_step(lost_s, demand, basis),
        references=_REFERENCES,
    )


def _remedy(drawn: Roofline, busy: str, *, is_limit: bool) -> Remedy:
    why = "one at a time holds the interpreter's lock" if drawn.limited_by == LOCK else "all cores have work"
    if busy and drawn.limited_by != LOCK:
        why = f"all cores have work; {busy}"
    text = f"More than {workers(drawn.workers)} {by_count(drawn.workers, 'does', 'do')} not help, for {why}"
    if not is_limit:
        text = "How many workers help, only a measurement on an idle machine tells"
    text += ". autofix decodes every image once, and augments by compiled code:"
    return Remedy(text, ("train_data = autofix(train_generator, profiler)",), safe=True)
