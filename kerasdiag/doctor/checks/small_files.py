"""KD303: files that come too slowly from their disk, one at a time and side by side."""

from __future__ import annotations

from kerasdiag.demand import Demand, demand_of
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.costs import Cost, cost_of, price_per_step, severity_by
from kerasdiag.doctor.image_cost import preparing_s, why_no_roofline
from kerasdiag.doctor.reading import (
    HARD_DISK_AT_LEAST_S,
    data_of,
    fits_page_cache,
    measured_reads,
    move_remedy,
    reading_evidence,
    reading_numbers,
    why_not_measured,
)
from kerasdiag.doctor.supply import files_per_s, roofline_from_disk
from kerasdiag.doctor.wording import duration
from kerasdiag.environment.cold_reads import ReadFacts
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage_class import StorageClass
from kerasdiag.environment.throughput.facts import READ
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Severity

# These price the same reads where no profile tells more.
_TOLD_BY = {StorageClass.ROTATING: "KD301", StorageClass.NETWORK: "KD304, KD305 or KD306"}
_REFERENCES = ("https://github.com/ultralytics/ultralytics/pull/20303",)


@check("KD303", "slow-cold-reads", needs=("data", "reads"), uses=("throughput", "profile"))
def slow_cold_reads(environment: Environment) -> Answer:
    """Image by image, the disk gives fewer files a second than the training takes.

    What it finds:
        How long your own files take to read when they are not in memory, and how many a second come to 1, 2, 4 ...
        threads at a time. With a profile that is held against the images a second that the training would take,
        else against what this machine decodes and augments.

    Why it matters:
        A worker that waits for a file makes no image. Small files cost a way to the disk each, and megabytes a second
        say nothing about that. Several workers wait at the same time, so that more of them help, until the disk
        has as much to do as it can.

    Example:
        The disk gives at most 300 files/s, however many workers read, and the training could take 640 images/s.

    Fix:
        Copy the data to a faster disk, or let autofix write the images into a few large files.

    When to ignore:
        If all of the data fit into the memory that is free, only the first epoch reads from the disk.
    """
    reads = measured_reads(environment)
    if reads is None:
        return unknown(f"no cold read: {why_not_measured(environment)}")
    per_s = files_per_s(environment) or _alone(reads)
    said = f"cold files come at {per_s:,.0f}/s at most, {duration(reads.latency_s())} each in the median"
    demand = demand_of(environment.profile)
    wanted = demand.wanted_images_per_s if demand else None
    if demand is not None and wanted is not None:
        if per_s >= wanted:
            return ok(f"{said}; the training takes {wanted:,.0f} images/s")
        return found(
            _finding(environment, per_s, f"the training could take {wanted:,.0f} images/s", _by(demand, per_s))
        )
    storage = data_of(environment).storage
    if storage.is_card or storage.storage_class in _TOLD_BY or reads.seek_s >= HARD_DISK_AT_LEAST_S:
        told_by = "KD310" if storage.is_card else _TOLD_BY.get(storage.storage_class, "KD301")
        return skipped(f"{said}; what such a disk costs, {told_by} says")
    drawn = roofline_from_disk(environment)
    if drawn is None:
        return unknown(f"{said}; what else the images take was not measured: {why_no_roofline(environment)}")
    if drawn.limited_by != READ:
        return ok(f"{said}; {drawn.limited_by} limits the input, not the disk")
    others_s = preparing_s(environment)
    basis = f"{duration(1 / drawn.images_per_s)} for each image from the disk, {duration(others_s)} from memory"
    cost = cost_of(max(0.0, 1 / drawn.images_per_s - others_s), data_of(environment).count, None, basis, others_s)
    return found(_finding(environment, per_s, f"this machine could prepare {1 / others_s:,.0f} images/s", cost))


def _by(demand: Demand, per_s: float) -> Cost:
    batch_s = (demand.batch_size or 0) / per_s
    lost_s = min(demand.wait_s, max(0.0, batch_s - (demand.step_s - demand.wait_s)))
    basis = f"{duration(batch_s)} for the files of a batch, of which the step hides {duration(batch_s - lost_s)}"
    return Cost(price_per_step(lost_s, demand, basis), severity_by(lost_s / demand.step_s))


def _finding(environment: Environment, per_s: float, against: str, cost: Cost) -> Finding:
    if fits_page_cache(environment):
        basis = f"in the first epoch only, later ones read from memory, where all of it fits; {cost.price.basis}"
        cost = Cost(Price(cost.price.value, cost.price.unit, basis), Severity.INFO)
    facts = environment.throughput
    beside = "".join(f", {rate.files_per_s:,.0f}/s by {rate.threads}" for rate in (facts.reads if facts else ()))
    reads = measured_reads(environment)
    one = f"{_alone(reads):,.0f} files/s by 1 thread" if reads else "not measured"
    return Finding(
        code="KD303",
        severity=cost.severity,
        message=f"The disk gives at most {per_s:,.0f} files/s, however many workers read, and {against}.",
        evidence=(Evidence(f"cold reads: {one}{beside}", Provenance.MEASURED), *reading_evidence(environment)),
        remedy=move_remedy(environment),
        numbers={"files_per_s": per_s, **reading_numbers(environment)},
        price=cost.price,
        references=_REFERENCES,
    )


def _alone(reads: ReadFacts) -> float:
    return len(reads.cold) / max(1e-9, sum(read.seconds for read in reads.cold))
