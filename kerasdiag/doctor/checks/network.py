"""KD304: data that each read fetches from elsewhere."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.reading import (
    cost_of_reading,
    data_of,
    move_remedy,
    read_takes,
    reading_evidence,
    reading_numbers,
)
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage_class import StorageClass
from kerasdiag.findings import Finding

_REFERENCES = ("https://cloud.google.com/storage/docs/cloud-storage-fuse/file-caching",)


@check("KD304", "data-on-network", needs=("data",), uses=("reads", "throughput", "profile"))
def data_on_network(environment: Environment) -> Answer:
    """The images come from another machine, one by one.

    What it finds:
        NFS, SMB, Lustre and other network file systems, sshfs, rclone, gcsfuse and other object stores, Google
        Drive in Colab, Windows drives under WSL, and disks behind iSCSI or NVMe over a network.

    Why it matters:
        Each small file costs several round trips, for opening, reading and closing it. One large file costs as
        many, so that the same bytes in a few large files come many times faster. The server may be busy with
        others, too, and its cache makes a measurement look better than the next morning.

    Example:
        The data come over the network (nfs4, nas:/sets): a file that is not in memory takes 4.1 ms.

    Fix:
        Copy the data, or one archive of them, to a local disk at the start of the job; or let autofix keep them in
        a few large files on a local disk. More workers hide part of the wait.

    When to ignore:
        If all of the data fit into the memory that is free, only the first epoch reads over the network. If the
        training waits less than 5 % (--profile tells), it is fast enough.
    """
    storage = data_of(environment).storage
    if storage.storage_class is StorageClass.UNKNOWN and storage.device is None:
        return unknown(storage.reason)
    if storage.storage_class is not StorageClass.NETWORK:
        return ok(f"{storage.device or storage.mount_point} ({storage.file_system}) is no network")
    place = ", ".join(filter(None, (storage.file_system, storage.source))) or storage.mount_point
    message = f"The data come over the network ({place}){read_takes(environment)}."
    cost = cost_of_reading(environment)
    return found(
        Finding(
            "KD304", cost.severity, message, reading_evidence(environment), move_remedy(environment),
            reading_numbers(environment), cost.price, _REFERENCES,
        )
    )  # fmt: skip
