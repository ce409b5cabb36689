"""The roofline in a sentence: for the head of the report and for the checks that speak of it."""

from __future__ import annotations

from kerasdiag.doctor.image_cost import cores_of_others, measured_throughput, why_no_roofline
from kerasdiag.doctor.reading import fits_page_cache
from kerasdiag.doctor.roofline import Roofline
from kerasdiag.doctor.supply import roofline_from_disk, roofline_of, shown_by_profile
from kerasdiag.doctor.wording import workers
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.asked import steps_in_words
from kerasdiag.environment.throughput.facts import ImageWork, ThroughputFacts
from kerasdiag.findings import Evidence, Provenance

# Of the cores: less than that, and the figures are not moved by more than a few percent more than they scatter.
_BUSY_FRACTION = 0.2
# A first epoch that is slower by less than this is not worth a word.
_SLOWER_AT_FIRST = 0.9


def input_in_words(environment: Environment) -> dict[str, str]:
    """Return the lines of the report's head about the input; none where no image was looked at."""
    if environment.throughput is None:
        return {}
    drawn = roofline_of(environment)
    if drawn is None:
        return {"input": f"not measured: {why_no_roofline(environment)}"}
    words = {"input": roofline_in_words(drawn) + _first_epoch(environment, drawn)}
    busy = slowed_by(environment)
    if busy:
        words["busy"] = busy
    assumed = assumptions(environment.throughput.work)
    if assumed:
        words["assumed"] = assumed
    return words


def roofline_in_words(drawn: Roofline) -> str:
    """Return what the input gives at most, what limits it, and how many workers help."""
    who = workers(drawn.workers)
    return f"at most {_rate(drawn.images_per_s)} with {who}; limited by {drawn.limited_by}; more workers do not help"


def beside_others(environment: Environment) -> str:
    """Say how many cores others used meanwhile; empty where they hardly did: the figures are lower by that."""
    others = _others(environment)
    return f"{others}; without them the input gives more" if others else ""


def slowed_by(environment: Environment) -> str:
    """Say that the machine was busy when it was measured: by what others used, and by what a training got here."""
    others, shown = _others(environment), shown_by_profile(environment)
    if shown is None:
        return beside_others(environment)
    rate = f"the profile shows {_rate(shown.images_per_s)} with {workers(shown.workers)}"
    return f"{others}, and {rate}" if others else f"{rate}, so the machine was busy when this was measured"


def _others(environment: Environment) -> str:
    others = cores_of_others(environment)
    if others is None or others < _BUSY_FRACTION * environment.cores:
        return ""
    return f"others used about {others:.1f} of {environment.cores} cores meanwhile"


def assumptions(work: ImageWork) -> str:
    """Say what of the images' way was assumed, and which option says otherwise; empty where nothing was."""
    said = []
    if ";" in work.size_said_by:
        said.append(f"{size_in_words(work)} pixels ({work.size_said_by})")
    if ";" in work.steps_said_by:
        option = work.steps_said_by.partition("; ")[2]
        said.append(f"{steps_in_words(work.steps)} ({option})")
    if work.left_out:
        said.append(f"{' and '.join(work.left_out)} of the generator take no time")
    return ", ".join(said)


def size_in_words(work: ImageWork) -> str:
    """Return the target size, height first as Keras has it."""
    return f"{work.target_size[0]}x{work.target_size[1]}"


def roofline_evidence(environment: Environment) -> tuple[Evidence, ...]:
    """Return what the roofline was drawn from."""
    facts, drawn = measured_throughput(environment), roofline_of(environment)
    if facts is None or drawn is None:
        return ()
    shown = ", ".join(f"{_rate(rate.images_per_s)} by {rate.threads}" for rate in facts.rates)
    work = f"at {size_in_words(facts.work)} with {steps_in_words(facts.work.steps)}"
    evidence = [
        Evidence(f"{facts.num_timed} images, {work}: {stages_in_words(facts)}", Provenance.MEASURED),
        Evidence(f"all of it from memory: {shown} threads", Provenance.MEASURED),
    ]
    busy = slowed_by(environment)
    if busy:
        evidence.append(Evidence(busy, Provenance.MEASURED))
    assumed = assumptions(facts.work)
    if assumed:
        evidence.append(Evidence(f"assumed: {assumed}", Provenance.DECLARED))
    return tuple(evidence)


def stages_in_words(facts: ThroughputFacts) -> str:
    """Return what each stage takes, and how much of it holds the interpreter's lock."""
    said = []
    for stage in facts.stages:
        held = "" if stage.held_fraction is None else f" ({stage.held_fraction * 100:.0f} % of it hold the lock)"
        said.append(f"{stage.name} {stage.seconds * 1e3:.2g} ms{held}")
    return ", ".join(said)


def _first_epoch(environment: Environment, drawn: Roofline) -> str:
    if not fits_page_cache(environment):
        return ""
    cold = roofline_from_disk(environment)
    if cold is None or cold.images_per_s >= _SLOWER_AT_FIRST * drawn.images_per_s:
        return ""
    return f" (in the first epoch, from the disk: {_rate(cold.images_per_s)})"


def _rate(images_per_s: float) -> str:
    return f"{images_per_s:,.0f} images/s" if images_per_s >= 10 else f"{images_per_s:.2g} images/s"
