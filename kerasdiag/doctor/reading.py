"""How long the data take to read, from whatever is known about their disk: shared by the storage checks."""

from __future__ import annotations

import os
import shlex

from kerasdiag.demand import Demand, demand_of
from kerasdiag.doctor.costs import WARN_FRACTION, Cost, cost_of
from kerasdiag.doctor.image_cost import preparing_s
from kerasdiag.doctor.wording import duration, files, size
from kerasdiag.environment.cold_reads import ReadFacts
from kerasdiag.environment.data_files import DataFacts
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage_class import StorageClass
from kerasdiag.findings import Evidence, Price, Provenance, Remedy, Severity

# Latency of a cold read beyond the file's own length. Flash answers in 0.1 ms, behind a hypervisor in 0.3 ms
# (measured); a hard disk turns once in 8.3 ms (7,200 a minute) and moves its arm besides.
FLASH_AT_MOST_S = 0.002
HARD_DISK_AT_LEAST_S = 0.005
# More than this share of the memory that is free is not left for the page cache: the training needs some itself.
PAGE_CACHE_FRACTION = 0.6

# Nobody can empty these from here: a first read in the morning may take longer than the one measured.
_OTHER_CACHES = {
    StorageClass.NETWORK: "; the server may have had them in its memory",
    StorageClass.UNKNOWN: "; what lies below the disk may have had them in its memory",
}


def data_of(environment: Environment) -> DataFacts:
    """Return the files of the training; only for checks that need them."""
    if environment.data is None:
        raise ValueError("A check that prices reads must need 'data'.")
    return environment.data


def measured_reads(environment: Environment) -> ReadFacts | None:
    """Return the reads where enough of them were cold, else None."""
    reads = environment.reads
    return reads if reads is not None and reads.is_measured else None


def why_not_measured(environment: Environment) -> str:
    """Say why ``measured_reads`` gives nothing."""
    reads = environment.reads
    if reads is None:
        return environment.absent.get("reads", "no file was read")
    return reads.not_cold or f"only {len(reads.cold)} files were read"


def cost_of_reading(environment: Environment, link: tuple[float, str] | None = None) -> Cost:
    """Judge how long it takes to read the data from their disk.

    Args:
        environment: With ``data``, and with ``reads`` where they were measured.
        link: Bytes per second that the way to the disk carries at most, and its name: then only what that
            takes is judged, for the rest of a read is the disk's.
    """
    data, reads, demand = data_of(environment), measured_reads(environment), demand_of(environment.profile)
    if link is not None:
        basis = f"{size(data.mean_bytes)} for each image through {link[1]} of {size(link[0])}/s"
        cost = cost_of(data.mean_bytes / link[0], data.count, demand, basis, preparing_s(environment))
    elif reads is not None:
        mean_s = sum(read.seconds for read in reads.cold) / len(reads.cold)
        readers = _readers(data, demand)
        at_a_time = "one at a time" if readers == 1 else f"{readers} at a time (workers)"
        basis = f"{duration(mean_s)} for each cold read, {at_a_time}"
        cost = cost_of(mean_s / readers, data.count, demand, basis, preparing_s(environment))
    else:
        is_waiting = demand is None or demand.wait_fraction >= WARN_FRACTION
        unknown = Price.unknown(f"the disk was not measured: {why_not_measured(environment)}")
        cost = Cost(unknown, Severity.WARN if is_waiting else Severity.INFO)
    if not data.is_complete and demand is None and cost.price.value is not None:
        cost = Cost(Price(cost.price.value, cost.price.unit, f"at least, {cost.price.basis}"), cost.severity)
    if fits_page_cache(environment):
        why = f"in the first epoch only, later ones read from memory, where all of it fits; {cost.price.basis}"
        cost = Cost(Price(cost.price.value, cost.price.unit, why), Severity.INFO)
    return cost


def fits_page_cache(environment: Environment) -> bool:
    """Whether the data stay in memory once they were read."""
    data = data_of(environment)
    return data.is_complete and data.total_bytes <= environment.memory.available_bytes * PAGE_CACHE_FRACTION


def reading_evidence(environment: Environment) -> tuple[Evidence, ...]:
    """Return what is known about the disk under the data and about reads from it."""
    data, reads = data_of(environment), measured_reads(environment)
    others = _OTHER_CACHES.get(data.storage.storage_class, "")
    measured = (Evidence(reads_in_words(reads) + others, Provenance.MEASURED),) if reads else ()
    listed = Provenance.MEASURED if data.is_complete else Provenance.INFERRED
    return (Evidence(data.storage.reason, Provenance.DECLARED), *measured, Evidence(files(data), listed))


def reading_numbers(environment: Environment) -> dict[str, float]:
    """Return the numbers of the storage checks, for scripts."""
    data, reads = data_of(environment), measured_reads(environment)
    numbers: dict[str, float] = {"num_files": data.count, "total_bytes": data.total_bytes}
    if reads is not None:
        numbers.update(cold_read_p50_s=reads.latency_s(), cold_read_p90_s=reads.latency_s(90))
    return numbers


def reads_in_words(reads: ReadFacts) -> str:
    """Return what a measurement of cold reads gave."""
    mean = size(sum(read.num_bytes for read in reads.cold) / len(reads.cold))
    times = f"{duration(reads.latency_s())} in the median, {duration(reads.latency_s(90))} in 9 of 10 cases"
    return f"{len(reads.cold)} cold reads of {mean}, one at a time: {times}"


def read_takes(environment: Environment) -> str:
    """Return the half of a sentence about how long one file takes; empty where it was not measured."""
    reads = measured_reads(environment)
    return f": a file that is not in memory takes {duration(reads.latency_s())}" if reads else ""


def move_remedy(environment: Environment) -> Remedy:
    """Return how to get the data from a slow disk to a fast one."""
    folder = shlex.quote(os.path.abspath(data_of(environment).folder))
    text = (
        "Copy the data to a local SSD or NVMe disk and train from there. Where there is none, autofix writes the "
        "images once into a few large files that even a slow disk reads fast:"
    )
    return Remedy(
        text,
        (f"rsync -a {folder} /path/on/an/ssd/", "train_data = autofix(train_generator, profiler)"),
        safe=True,
    )


def _readers(data: DataFacts, demand: Demand | None) -> int:
    """Reads that run at the same time: one for each worker, but a hard disk has one arm."""
    if demand is None or data.storage.storage_class is StorageClass.ROTATING:
        return 1
    return max(1, demand.workers or 1)
