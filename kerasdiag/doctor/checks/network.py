"""KD304 to KD307: data that each read fetches from elsewhere."""

from __future__ import annotations

import os
import shlex

from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.reading import (
    cost_of_reading,
    data_of,
    move_remedy,
    read_takes,
    reading_evidence,
    reading_numbers,
)
from kerasdiag.doctor.wording import by_count
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage_class import StorageClass
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

_CACHING = "https://cloud.google.com/storage/docs/cloud-storage-fuse/file-caching"
_WSL = "https://github.com/microsoft/WSL/issues/4197"
_COLAB = "https://research.google.com/colaboratory/faq.html"
_ATTRIBUTES = "https://learn.microsoft.com/en-us/windows/win32/fileio/file-attribute-constants"


@check("KD304", "data-on-network", needs=("data",), uses=("reads", "throughput", "profile"))
def data_on_network(environment: Environment) -> Answer:
    """The images come from another machine, one by one.

    What it finds:
        NFS, SMB, Lustre and other network file systems, sshfs, rclone, gcsfuse and other object stores, and disks
        behind iSCSI or NVMe over a network. Windows drives under WSL are KD305, Google Drive is KD306.

    Why it matters:
        Each small file costs several round trips, for opening, reading and closing it. One large file costs as
        many, so that the same bytes in a few large files come many times faster. The server may be busy with
        others, too, and its cache makes a measurement look better than the next morning.

    Example:
        The data come over the network (nfs4): a file that is not in memory takes 4.1 ms.

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
    if storage.is_windows_drive or storage.is_google_drive:
        return skipped(f"{'KD305' if storage.is_windows_drive else 'KD306'} tells about {storage.mount_point}")
    if storage.storage_class is not StorageClass.NETWORK:
        return ok(f"{storage.device or storage.mount_point} ({storage.file_system}) is no network")
    place = f" ({storage.file_system})" if storage.file_system else ""
    message = f"The data come over the network{place}{read_takes(environment)}."
    source = Evidence(f"mounted from {storage.source}", Provenance.DECLARED, is_private=True)
    evidence = (source,) if storage.source else ()
    return found(_finding("KD304", environment, message, move_remedy(environment), _CACHING, *evidence))


@check("KD305", "data-on-windows-drive", needs=("data",), uses=("reads", "throughput", "profile"))
def data_on_windows_drive(environment: Environment) -> Answer:
    """The images lie on a drive of Windows, and Linux inside of Windows (WSL 2) reads them.

    What it finds:
        Data below /mnt/c and the like: file systems 9p and drvfs, and virtiofs where WSL uses it for drives.

    Why it matters:
        Windows answers each open, read and close, through a connection between two systems: small files take several
        times as long as on WSL's own disk.

    Example:
        The data lie on the Windows drive /mnt/c: a file that is not in memory takes 8.2 ms.

    Fix:
        Copy the data into the file system of Linux, below your home directory.

    When to ignore:
        If all of the data fit into the memory that is free, only the first epoch reads from the drive.
    """
    storage = data_of(environment).storage
    if not storage.is_seen:
        return unknown(storage.reason)
    if not storage.is_windows_drive:
        return ok("the data do not lie on a Windows drive under WSL")
    folder = shlex.quote(os.path.abspath(data_of(environment).folder))
    remedy = Remedy("Copy the data to the disk of Linux, and train from there:", (f"cp -r {folder} ~/data",), safe=True)
    message = f"The data lie on the Windows drive {storage.mount_point}{read_takes(environment)}."
    return found(_finding("KD305", environment, message, remedy, _WSL))


@check("KD306", "data-on-google-drive", needs=("data",), uses=("reads", "throughput", "profile"))
def data_on_google_drive(environment: Environment) -> Answer:
    """The images lie on Google Drive, file by file.

    What it finds:
        Data on the folder that Colab's drive.mount makes.

    Why it matters:
        Each image is fetched over the network on its own when it is first read. Drive has quotas too, after which
        reads fail in the middle of a training.

    Example:
        The data lie on Google Drive (/content/drive): a file that is not in memory takes 310 ms.

    Fix:
        Keep one archive of the images on Drive, copy it to the machine's own disk and unpack it there, each session.

    When to ignore:
        For a few hundred images, of which only the first epoch waits.
    """
    storage = data_of(environment).storage
    if not storage.is_seen:
        return unknown(storage.reason)
    if not storage.is_google_drive:
        return ok("the data do not lie on Google Drive")
    archive = os.path.join(storage.mount_point, "MyDrive/data.tar")
    commands = (f"cp {shlex.quote(archive)} /content/", "tar xf /content/data.tar -C /content/")
    remedy = Remedy("Copy one archive to the machine's own disk, and unpack it there:", commands, safe=True)
    message = f"The data lie on Google Drive ({storage.mount_point}){read_takes(environment)}."
    return found(_finding("KD306", environment, message, remedy, _COLAB))


@check("KD307", "files-left-in-the-cloud", needs=("data",))
def files_left_in_the_cloud(environment: Environment) -> Answer:
    """The content of some images is not on this machine, but in OneDrive, iCloud or Dropbox.

    What it finds:
        Files that Windows marks to be recalled when they are read, and those that macOS calls dataless.

    Why it matters:
        The first read of each fetches the whole file from the cloud. Without a network, or when the service is busy, a
        training stops at it; and the service may take the content away again.

    Example:
        64 of 128 images looked at have their content in a cloud only.

    Fix:
        Tell the service to keep the folder on this device, and wait until it has fetched all; or copy it elsewhere.

    When to ignore:
        Never for a training: a read that fails ends it.
    """
    data = data_of(environment)
    if data.placeholders is None:
        return skipped("this system has no files that are fetched when they are read")
    if not data.placeholders:
        return ok(f"the content of {len(data.sample):,} images looked at is on this machine")
    have = by_count(data.placeholders, "has its", "have their")
    commands = (f'attrib +P -U "{data.folder}\\*" /S /D',) if environment.system.name == "Windows" else ()
    text = 'Choose "Always keep on this device" (OneDrive), "Keep Downloaded" (iCloud) or "Available offline" '
    return found(
        Finding(
            code="KD307",
            severity=Severity.ERROR,
            message=f"{data.placeholders:,} of {len(data.sample):,} images looked at {have} content in a cloud only.",
            evidence=(Evidence("the attributes of the files say so", Provenance.DECLARED),),
            remedy=Remedy(text + "(Dropbox) for the folder.", commands, safe=True),
            numbers={"placeholders": data.placeholders, "files": len(data.sample)},
            price=Price.unknown("the download of each, in the first epoch or again and again"),
            references=(_ATTRIBUTES,),
        )
    )


def _finding(
    code: str, environment: Environment, message: str, remedy: Remedy, reference: str, *evidence: Evidence
) -> Finding:
    cost = cost_of_reading(environment)
    return Finding(
        code,
        cost.severity,
        message,
        (*evidence, *reading_evidence(environment)),
        remedy,
        reading_numbers(environment),
        cost.price,
        (reference,),
    )
