"""How many images a second the input gives, reading from the disk included: what the checks hold the demand against."""

from __future__ import annotations

from dataclasses import replace

from kerasdiag.doctor.image_cost import image_cost
from kerasdiag.doctor.reading import fits_page_cache, measured_reads
from kerasdiag.doctor.roofline import ImageCost, Roofline, roofline
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.facts import READ


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
    return None if cost is None else roofline(cost, environment.cores)


def roofline_from_disk(environment: Environment) -> Roofline | None:
    """Return the roofline of an epoch that reads its files from the disk, or None where it was not measured."""
    cost = cost_from_disk(environment)
    return None if cost is None else roofline(cost, environment.cores)


def files_per_s(environment: Environment) -> float | None:
    """Return the files a second that the disk gives to several readers, or None where that was not measured."""
    facts, reads = environment.throughput, measured_reads(environment)
    if reads is None or facts is None or not facts.reads:
        return None
    alone = len(reads.cold) / max(1e-9, sum(read.seconds for read in reads.cold))
    return max(alone, *(rate.files_per_s for rate in facts.reads))
