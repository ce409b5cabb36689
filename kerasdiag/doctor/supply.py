"""How many images a second the input gives, reading from the disk included: what the checks hold the demand against."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from kerasdiag.demand import demand_of
from kerasdiag.doctor.image_cost import image_cost, seen_rates
from kerasdiag.doctor.reading import fits_page_cache, measured_reads
from kerasdiag.doctor.roofline import ENOUGH, ImageCost, Roofline, roofline
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.asked import is_of_profile
from kerasdiag.environment.throughput.facts import READ
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR


def cost_from_disk(environment: Environment) -> ImageCost | None:
    """Return what one image costs whose file is not in memory, or None where that was not measured."""
    cost, reads = image_cost(environment), measured_reads(environment)
    if cost is None or reads is None:
        return None
    mean_s = sum(read.seconds for read in reads.cold) / len(reads.cold)
    return replace(cost, wait_s=max(0.0, mean_s - cost.stages.get(READ, 0.0)), files_per_s=files_per_s(environment))


def cost_of_most(environment: Environment) -> ImageCost | None:
    """Return what one image costs in most epochs: from memory where all of the data stay there."""
    cost = image_cost(environment) if fits_page_cache(environment) else cost_from_disk(environment)
    return cost or image_cost(environment)


def roofline_of(environment: Environment) -> Roofline | None:
    """Return the roofline of most epochs, or None where it was not measured."""
    cost = cost_of_most(environment)
    return None if cost is None else roofline(cost, environment.cores, seen_rates(environment))


def roofline_from_disk(environment: Environment) -> Roofline | None:
    """Return the roofline of an epoch that reads its files from the disk, or None where it was not measured."""
    cost = cost_from_disk(environment)
    return None if cost is None else roofline(cost, environment.cores, seen_rates(environment))


class Shown(NamedTuple):
    """What a training got of its input: images a second, by so many workers."""

    images_per_s: float
    workers: int


def shown_by_profile(environment: Environment) -> Shown | None:
    """Return what the profile shows where that is more than was measured; None where it is not, or cannot be compared.

    The measurement is then no limit: something slowed it. The same machine, the same work and threads can be compared.
    """
    profile, facts, demand = environment.profile, environment.throughput, demand_of(environment.profile)
    drawn = None if facts is None or environment.data is None else roofline_of(environment)
    if profile is None or demand is None or facts is None or drawn is None or demand.images_per_s is None:
        return None
    data = profile.training_input
    is_threads = data is not None and data.kind == IMAGE_DATA_GENERATOR and not data.use_multiprocessing
    if not is_threads or not is_of_profile(facts.work) or profile.host != environment.host or drawn.limited_by == READ:
        return None  # a disk gives less than the memory that the files of a training may have come from
    is_more = ENOUGH * demand.images_per_s > drawn.images_per_s
    return Shown(demand.images_per_s, max(1, demand.workers or 1)) if is_more else None


def files_per_s(environment: Environment) -> float | None:
    """Return the files a second that the disk gives to several readers, or None where that was not measured."""
    facts, reads = environment.throughput, measured_reads(environment)
    if reads is None or facts is None or not facts.reads:
        return None
    alone = len(reads.cold) / max(1e-9, sum(read.seconds for read in reads.cold))
    return max(alone, *(rate.files_per_s for rate in facts.reads))
