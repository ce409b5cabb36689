"""Trees of /proc and /sys as real machines show them, for storage and everything that lies on it."""

from __future__ import annotations

import os

from kerasdiag.environment.storage import storage_of

ATA = "pci0000:00/0000:00:17.0/ata{0}/host{0}/target{0}:0:0/{0}:0:0:0/block"
USB = "pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0/block"


class Machine:
    """Writes a /proc and a /sys; disks are real folders under /sys/devices with the kernel's links to them."""

    def __init__(self, root, mounts):
        self.root = root
        self.folders = {}  # of each device
        self.write("proc/self/mountinfo", "".join(line.strip() + "\n" for line in mounts.strip().splitlines()))

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self

    def link(self, name, target):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.path.relpath(self.root / target, path.parent))

    def disk(self, name, number, rotational=1, way="virtual/block", partitions=None, slaves=(), **files):
        """One block device; in the names of ``files`` ``__`` stands for a slash."""
        folder = f"sys/devices/{way}/{name}"
        self.device(name, number, folder)
        self.write(f"{folder}/queue/rotational", f"{rotational}\n")
        for file, text in files.items():
            self.write(f"{folder}/{file.replace('__', '/')}", f"{text}\n")
        for partition, partition_number in (partitions or {}).items():
            self.device(partition, partition_number, f"{folder}/{partition}")
            self.write(f"{folder}/{partition}/partition", "1\n")
        (self.root / folder / "slaves").mkdir()
        for slave in slaves:
            self.link(f"{folder}/slaves/{slave}", self.folders[slave])
        return self

    def device(self, name, number, folder):
        self.folders[name] = folder
        self.write(f"{folder}/dev", number)
        self.link(f"sys/dev/block/{number}", folder)
        self.link(f"sys/class/block/{name}", folder)
        if folder.rpartition("/")[0].endswith("block"):
            self.link(f"sys/block/{name}", folder)

    def look(self, path):
        facts = storage_of(path, self.root)
        assert facts.reason, "every answer says why"
        return facts
