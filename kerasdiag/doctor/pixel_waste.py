"""What it costs to decode more pixels than the training sees."""

from __future__ import annotations

from dataclasses import replace

from kerasdiag.demand import demand_of
from kerasdiag.doctor.census_words import decode_times, mean_pixels
from kerasdiag.doctor.costs import Cost, cost_of
from kerasdiag.doctor.image_cost import why_no_roofline
from kerasdiag.doctor.input_line import size_in_words
from kerasdiag.doctor.reading import data_of
from kerasdiag.doctor.roofline import roofline
from kerasdiag.doctor.supply import cost_of_most, roofline_of
from kerasdiag.doctor.wording import duration, factor, workers
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.facts import DECODE, RESIZE, ThroughputFacts
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

# Twice the target in height and width: below it a smaller file would also hold less of what zooming in shows.
WASTE_RATIO = 4.0
_REFERENCE = "https://github.com/keras-team/keras/issues/2394"


def wasted_pixels(environment: Environment, facts: ThroughputFacts, evidence: tuple[Evidence, ...]) -> list[Finding]:
    """Return the finding of KD313 about images that are many times larger than the training sees them, if they are.

    Args:
        environment: With ``data``.
        facts: What was measured of the images.
        evidence: What all findings about them begin with.
    """
    target = facts.work.target_size[0] * facts.work.target_size[1]
    ratio = mean_pixels(facts.census) / target
    if ratio < WASTE_RATIO:
        return []
    cost = _cost_of_waste(environment, ratio)
    spent_s = sum(stage.seconds for stage in facts.stages if stage.name in (DECODE, RESIZE))
    takes = f" takes {duration(spent_s)} for each, most of it" if facts.stages else " is mostly"
    decoding = decode_times(facts.census)
    seen = f"{size_in_words(facts.work)} pixels are what is made of them ({facts.work.size_said_by})"
    return [
        Finding(
            "KD313", cost.severity,
            f"The images have {factor(ratio)} times the pixels of {size_in_words(facts.work)}: decoding and resizing them"
            f"{takes} for pixels that nobody sees.",
            (
                *evidence,
                Evidence(seen, Provenance.DECLARED),
                *((Evidence(f"decoding, in the median: {decoding}", Provenance.MEASURED),) if decoding else ()),
            ),
            Remedy(
                "autofix writes them once in the target size, and never decodes them again:",
                ("train_data = autofix(train_generator, profiler)",),
                safe=True,
            ),
            {"pixel_ratio": ratio, "decode_and_resize_s": spent_s},
            cost.price,
            (_REFERENCE,),
        )
    ]  # fmt: skip


def _cost_of_waste(environment: Environment, ratio: float) -> Cost:
    """Draw the roofline a second time, with files that are no larger than the target."""
    now = cost_of_most(environment)
    if now is None:
        why = why_no_roofline(environment)
        return Cost(Price.unknown(f"how long it takes was not measured: {why}"), Severity.INFO)
    shrunk = {name: 1 / ratio if name in (DECODE, RESIZE) else 1.0 for name in now.stages}
    smaller = replace(
        now,
        stages={name: seconds * shrunk[name] for name, seconds in now.stages.items()},
        held={name: seconds * shrunk[name] for name, seconds in now.held.items()},
    )
    with_less_s = 1 / roofline(smaller, environment.cores).images_per_s
    image_s = max(0.0, 1 / roofline(now, environment.cores).images_per_s - with_less_s)
    drawn = roofline_of(environment)  # as all of the report counts workers
    who = f" with {workers(drawn.workers)}" if drawn else ""
    basis = f"{duration(image_s)} for each image{who}, as decoding goes by pixels"
    return cost_of(image_s, data_of(environment).count, demand_of(environment.profile), basis, with_less_s)
