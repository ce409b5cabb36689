"""What one image costs on this machine from its file in memory to its batch, from what was measured of it."""

from __future__ import annotations

from dataclasses import replace

from kerasdiag.doctor.costs import GENERATOR_IMAGE_S
from kerasdiag.doctor.roofline import ImageCost, roofline
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.facts import ThroughputFacts

# From this share of its rate on, it is the lock that holds threads up, not the cores.
_LOCKED_FRACTION = 0.8


def measured_throughput(environment: Environment) -> ThroughputFacts | None:
    """Return what was measured where it is enough for a roofline, else None."""
    facts = environment.throughput
    return facts if facts is not None and facts.is_measured else None


def why_no_roofline(environment: Environment) -> str:
    """Say why ``measured_throughput`` gives nothing."""
    if environment.throughput is None:
        return environment.absent.get("throughput", "no image was looked at")
    return environment.throughput.not_measured or "nothing of it was measured"


def image_cost(environment: Environment) -> ImageCost | None:
    """Return what one image costs once its file is in memory, or None where that was not measured."""
    facts = measured_throughput(environment)
    if facts is None:
        return None
    cost = ImageCost(
        stages={stage.name: stage.seconds for stage in facts.stages},
        held={stage.name: stage.seconds * (stage.held_fraction or 0.0) for stage in facts.stages},
        cores=environment.cores,
    )
    beside = [rate for rate in facts.rates if 1 < rate.threads <= environment.cores]
    if beside and facts.rates[0].cpu_s > 0:
        crowding = max(1.0, beside[-1].cpu_s / facts.rates[0].cpu_s)
        cost = replace(cost, crowding=crowding, crowd=beside[-1].threads)
    # Threads that outnumber the cores show how much work these get done beside whatever else runs.
    most = max((rate.images_per_s for rate in facts.rates if rate.threads >= environment.cores), default=0.0)
    if most and most * sum(cost.held.values()) < _LOCKED_FRACTION:
        cost = replace(cost, cores=most * cost.work_s * cost.crowding)
    return cost


def seen_rates(environment: Environment) -> dict[int, float]:
    """Return the images a second that so many threads gave from memory, by their number."""
    facts = measured_throughput(environment)
    return {} if facts is None else {rate.threads: rate.images_per_s for rate in facts.rates}


def cores_of_others(environment: Environment) -> float | None:
    """Return how many of the cores others used while it was measured; None where that cannot be told."""
    facts, cost = measured_throughput(environment), image_cost(environment)
    if facts is None or cost is None:
        return None
    crowded = [rate for rate in facts.rates if rate.threads >= environment.cores]
    if not crowded or max(rate.images_per_s for rate in crowded) * sum(cost.held.values()) >= _LOCKED_FRACTION:
        return None  # threads that wait for the lock leave cores idle
    got = max(rate.images_per_s * rate.cpu_s for rate in crowded)
    return max(0.0, environment.cores - got)


def preparing_s(environment: Environment) -> float:
    """Return the seconds for each image of the generator's own work at its best: measured here, else elsewhere."""
    cost = image_cost(environment)
    if cost is None:
        return GENERATOR_IMAGE_S
    return 1 / roofline(cost, environment.cores, seen_rates(environment)).images_per_s
