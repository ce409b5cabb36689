"""Whole machines as trees of files, each with one fault: what ``kerasdiag doctor`` sees on them."""

from __future__ import annotations

import os

from builders import make_census, make_reads, make_throughput
from machines import Machine

from kerasdiag.doctor.collect import Sources

OWN_CODE = "import numpy as np\nclass ImageDataGenerator: ...\n"
SUBCLASSED = "from keras_preprocessing import image\nclass ImageDataGenerator(image.ImageDataGenerator): ...\n"


class PlantedMachine(Machine):
    """A machine with 8 cores, 8 GB of free memory, and the newest TensorFlow, unless said otherwise."""

    def __init__(self, root, mounts="1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw", cores=8):
        super().__init__(root, mounts)
        self.latency_s = 0.0002
        self.throughput = {}  # what differs from sound images on 8 cores
        self.write("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
        self.write("proc/self/cgroup", "0::/job\n")
        self.write("proc/self/status", f"Name:\tpython\nCpus_allowed_list:\t0-{cores - 1}\n")
        self.write("sys/devices/system/cpu/online", f"0-{cores - 1}\n")

    def packages(self, **versions):
        """Metadata of installed packages."""
        for name, version in versions.items():
            text = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
            self.write(f"site/{name}-{version}.dist-info/METADATA", text)
        return self

    def newest(self):
        """TensorFlow 2.21 and Keras 3."""
        self.write("site/keras/src/legacy/preprocessing/image.py", OWN_CODE)
        return self.packages(tensorflow="2.21.0", keras="3.15.1")

    def photos(self, folder="data/photos", count=300, rows=155_096, num_bytes=100_000):
        """Sparse files, and a list that names them again and again; returns its path on that machine."""
        (self.root / folder).mkdir(parents=True)
        names = [f"{number}.jpg" for number in range(count)]
        for name in names:
            path = self.root / folder / name
            path.touch()
            os.truncate(path, num_bytes)
        lines = "".join(f"{names[row % count]},{row % 7}\n" for row in range(rows))
        self.write(f"{folder}/train.csv", "filename,class\n" + lines)
        return f"/{folder}/train.csv"

    def sources(self):
        """What the doctor takes its facts from; reads take ``latency_s``."""
        return Sources(
            self.root,
            (str(self.root / "site"),),
            {},
            lambda files: make_reads(self.latency_s, min(64, len(files))),
            self.measure_throughput,
        )

    def measure_throughput(self, sample, work):
        """As the doctor would ask for it: by default reads that gain by every thread, and images that are sound."""
        reads = [(threads, threads / self.latency_s) for threads in (2, 4)]
        return make_throughput(**{"reads": reads, "work": work, "census": make_census(), **self.throughput})
