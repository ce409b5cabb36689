"""KD301 and KD302: hard disks, and disks that are not what they say."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.reading import (
    FLASH_AT_MOST_S,
    HARD_DISK_AT_LEAST_S,
    cost_of_reading,
    data_of,
    measured_reads,
    move_remedy,
    read_takes,
    reading_evidence,
    reading_numbers,
    why_not_measured,
)
from kerasdiag.doctor.wording import duration
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage_class import StorageClass
from kerasdiag.findings import Finding, Severity

_REFERENCES = ("https://github.com/kubevirt/kubevirtci/issues/666",)


@check("KD301", "data-on-hard-disk", needs=("data",), uses=("reads", "throughput", "profile"))
def data_on_hard_disk(environment: Environment) -> Answer:
    """The images lie on a disk that needs milliseconds to find each of them.

    What it finds:
        A rotating disk under the data: what /sys says, through partitions, LVM, LUKS and RAID, checked against
        reads of your own files that are not in memory. Virtual disks say nothing reliable; there the reads decide.

    Why it matters:
        A training reads images in a new random order each epoch. A hard disk moves its arm for each of them: about
        100 images a second, whatever the number of workers. Flash gives thousands.

    Example:
        The data lie on the hard disk sdb: a file that is not in memory takes 12 ms.

    Fix:
        Copy the data to an SSD, or let autofix write them into a few large files, which it reads in blocks.

    When to ignore:
        If all of the data fit into the memory that is free, only the first epoch reads from the disk. If the
        training needs fewer images than the disk gives (--profile tells), it is fast enough.
    """
    storage, reads = data_of(environment).storage, measured_reads(environment)
    kind = storage.storage_class
    if kind in (StorageClass.NETWORK, StorageClass.MEMORY):
        return skipped(f"the data lie on no local disk, but on {kind}")
    if kind.is_flash:
        return ok(f"the data lie on flash: {storage.reason}")
    if reads is not None and reads.seek_s <= FLASH_AT_MOST_S:
        return ok(f"cold reads take {duration(reads.latency_s())}, as of flash")
    if kind is StorageClass.UNKNOWN and (reads is None or reads.seek_s < HARD_DISK_AT_LEAST_S):
        measured = f"cold reads take {duration(reads.latency_s())}" if reads else why_not_measured(environment)
        return unknown(f"{storage.reason}; {measured}")
    what = "the hard disk" if kind is StorageClass.ROTATING else "a disk as slow as a hard disk,"
    message = (
        f"The data lie on {what} {storage.device or storage.mount_point or 'of unknown name'}{read_takes(environment)}."
    )
    cost = cost_of_reading(environment)
    return found(
        Finding(
            "KD301", cost.severity, message, reading_evidence(environment), move_remedy(environment),
            reading_numbers(environment), cost.price,
        )
    )  # fmt: skip


@check("KD302", "disk-contradicts-itself", needs=("data", "reads"), uses=("throughput", "profile"))
def disk_contradicts_itself(environment: Environment) -> Answer:
    """The disk is faster or slower than it says.

    What it finds:
        A disk that calls itself rotating and reads like flash, or that calls itself flash and reads like a hard
        disk. "Reads" are of your own files, after the kernel confirmed that they are not in memory.

    Why it matters:
        Virtual disks report `rotational` by their driver's default, USB devices by chance, and cloud volumes are
        throttled or filled from a snapshot on first use. What the disk does decides, not what it says.

    Example:
        vda says that it rotates, but a file that is not in memory takes 0.27 ms: it is no hard disk.

    Fix:
        Faster than it says: nothing. Slower: a volume with more operations a second, or one initialised before
        (AWS: "Initialize EBS volumes"), or a local disk.

    When to ignore:
        The note about a disk that is faster than it says only tells why no hard disk is reported.
    """
    storage, reads = data_of(environment).storage, measured_reads(environment)
    if storage.storage_class in (StorageClass.NETWORK, StorageClass.MEMORY):
        return skipped(f"the data lie on no local disk, but on {storage.storage_class}")
    if reads is None:
        return unknown(f"no cold read to compare with: {why_not_measured(environment)}")
    name = storage.device or "the disk"
    evidence, numbers = reading_evidence(environment), reading_numbers(environment)
    takes = f"a file that is not in memory takes {duration(reads.latency_s())}"
    if storage.rotational and reads.seek_s <= FLASH_AT_MOST_S:
        message = f"{name} says that it rotates, but {takes}: it is no hard disk."
        return found(Finding("KD302", Severity.INFO, message, evidence, None, numbers, None, _REFERENCES))
    if storage.is_card:
        return skipped("KD310 tells about cards")
    if storage.storage_class.is_flash and reads.seek_s >= HARD_DISK_AT_LEAST_S:
        cost = cost_of_reading(environment)
        message = f"{name} says that it is flash, but {takes}, as long as on a hard disk."
        remedy = move_remedy(environment)
        return found(Finding("KD302", cost.severity, message, evidence, remedy, numbers, cost.price, _REFERENCES))
    return ok(f"cold reads take {duration(reads.latency_s())}, which contradicts nothing the disk says")
