"""What a cause costs and how much that matters: one policy for all checks."""

from __future__ import annotations

from typing import NamedTuple

from kerasdiag.demand import Demand
from kerasdiag.diagnosis import PARTLY_INPUT_BOUND_FRACTION
from kerasdiag.doctor.wording import duration
from kerasdiag.findings import Price, PriceUnit, Severity

# Of the training time: below the first nobody notices, from the second on most of it is lost.
WARN_FRACTION = PARTLY_INPUT_BOUND_FRACTION
ERROR_FRACTION = 0.5
# Without a profile a cost is held against the generator's own work (``image_cost.py``). Where that was not measured
# on the user's own images: at its best number of `workers` it makes 140 to 210 images a second on two cores
# (300x300, tests/benchmarks/pipeline.py). More cores make less of it.
GENERATOR_IMAGE_S = 1 / 200


class Cost(NamedTuple):
    """A price and how much it matters."""

    price: Price
    severity: Severity


def cost_of(
    image_s: float,
    num_images: int | None,
    demand: Demand | None,
    basis: str,
    others_s: float = GENERATOR_IMAGE_S,
) -> Cost:
    """Judge something that the input does for each image.

    With a profile it costs at most what the training waited, and may be an error. Without one nobody knows
    how much of it the training hides, and it is a warning at most.

    Args:
        image_s: Seconds for each image, as seen by one who waits for them.
        num_images: Images of an epoch, None where nobody knows.
        demand: What the training asks for, None without a profile.
        basis: How ``image_s`` is known.
        others_s: What the rest of the input takes for each image, as far as known.
    """
    if demand is None:
        severity = Severity.WARN if image_s / (image_s + others_s) >= WARN_FRACTION else Severity.INFO
        if num_images is None:
            return Cost(Price.unknown(f"{basis}; how many images an epoch reads is not known"), severity)
        basis = f"{basis}, {num_images:,} images; --profile would tell how much of it the training hides"
        return Cost(Price(image_s * num_images, PriceUnit.SECONDS_PER_EPOCH, basis), severity)
    batch = demand.batch_size
    if batch is None and num_images is not None and demand.steps_per_epoch:
        batch = round(num_images / demand.steps_per_epoch)
    if batch is None:
        waits = demand.wait_fraction >= WARN_FRACTION
        unknown = Price.unknown(f"{basis}; the profile knows no batch size")
        return Cost(unknown, Severity.WARN if waits else Severity.INFO)
    step_s = min(image_s * batch, demand.wait_s)
    basis = f"{basis}, batches of {batch}"
    if image_s * batch > demand.wait_s:
        basis += f", at most the {duration(demand.wait_s)} that the profile saw each step wait"
    return Cost(price_per_step(step_s, demand, basis), severity_by(step_s / demand.step_s))


def price_per_step(step_s: float, demand: Demand, basis: str) -> Price:
    """Return what so many seconds of each step cost an epoch, or in percent where its length is not known."""
    if demand.steps_per_epoch is None:
        return Price(100 * step_s / demand.step_s, PriceUnit.PERCENT, f"{basis}, steps of {duration(demand.step_s)}")
    basis = f"{basis}, {demand.steps_per_epoch:,} steps"
    return Price(step_s * demand.steps_per_epoch, PriceUnit.SECONDS_PER_EPOCH, basis)


def severity_by(fraction: float, *, is_sure: bool = True) -> Severity:
    """Return how much a share of the training time matters.

    Args:
        fraction: The share (0-1).
        is_sure: Whether an idle machine would say the same: what a busy one said is no error.
    """
    if fraction >= ERROR_FRACTION and is_sure:
        return Severity.ERROR
    return Severity.WARN if fraction >= WARN_FRACTION else Severity.INFO
