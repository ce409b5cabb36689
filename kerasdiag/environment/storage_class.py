"""The kinds of storage that the repair tells apart."""

from __future__ import annotations

from enum import Enum


class StorageClass(str, Enum):
    """What lies under a path. ``UNKNOWN`` is an answer: such a disk is measured, not guessed."""

    NVME = "nvme"
    SSD = "ssd"
    ROTATING = "rotating"
    NETWORK = "network"
    MEMORY = "memory"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value

    @property
    def is_flash(self) -> bool:
        """Whether single reads anywhere cost about what neighbouring ones do, short of memory."""
        return self in (StorageClass.NVME, StorageClass.SSD)


# Several disks are as slow at single reads as the slowest of them, and as unknown as the least known
# unless one is known to be slow.
FROM_SLOWEST = (
    StorageClass.ROTATING,
    StorageClass.NETWORK,
    StorageClass.UNKNOWN,
    StorageClass.SSD,
    StorageClass.NVME,
    StorageClass.MEMORY,
)
