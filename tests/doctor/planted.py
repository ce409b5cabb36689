"""Whole machines as trees of files, each with one fault: what ``kerasdiag doctor`` sees on them."""

from __future__ import annotations

import os

from builders import make_census, make_reads, make_throughput
from doctor.fake_nvml import NoDriver
from machines import Machine

from kerasdiag.doctor.collect import Sources
from kerasdiag.environment.gpus import find_gpus
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.environment.tensorflow_probe import ProbeFacts

OWN_CODE = "import numpy as np\nclass ImageDataGenerator: ...\n"
SUBCLASSED = "from keras_preprocessing import image\nclass ImageDataGenerator(image.ImageDataGenerator): ...\n"


class PlantedMachine(Machine):
    """A machine with 8 cores, 8 GB of free memory, and the newest TensorFlow, unless said otherwise."""

    def __init__(self, root, mounts="1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw", cores=8):
        super().__init__(root, mounts)
        self.latency_s = 0.0002
        self.nvml = None  # no driver
        self.probed = ProbeFacts(version="2.21.0")
        self.environ = {}
        self.interpreter = Interpreter("3.12.1", "linux", "x86_64")
        self.throughput = {}  # what differs from sound images on 8 cores
        self.write("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
        self.write("proc/self/cgroup", "0::/job\n")
        self.write("proc/self/status", f"Name:\tpython\nCpus_allowed_list:\t0-{cores - 1}\n")
        self.write("sys/devices/system/cpu/online", f"0-{cores - 1}\n")

    def load_nvml(self):
        """What ``import pynvml`` gives on that machine."""
        return self.nvml if self.nvml is not None else NoDriver()

    def ask_gpus(self, root, environ, seconds):
        """What its driver says, and its PCI bus."""
        return find_gpus(root, environ, self.load_nvml)

    def build(self, cuda="12.5.1", cudnn="9", capabilities=("sm_60", "sm_70", "sm_80", "sm_89", "compute_90")):
        """TensorFlow's own note about its build; without ``cuda`` one for the CPU."""
        info = [("is_cuda_build", cuda is not None), ("is_rocm_build", False)]
        if cuda is not None:
            info += [
                ("cuda_version", cuda),
                ("cudnn_version", cudnn),
                ("cuda_compute_capabilities", list(capabilities)),
            ]
        text = f"import collections\n\nbuild_info = collections.OrderedDict({info!r})\n"
        return self.write("site/tensorflow/python/platform/build_info.py", text)

    def packages(self, **versions):
        """Metadata of installed packages."""
        for name, version in versions.items():
            text = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
            self.write(f"site/{name}-{version}.dist-info/METADATA", text)
        return self

    def package(self, name, version, requires=(), installer="pip"):
        """One installed package with what it requires."""
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
        folder = f"site/{name.replace('-', '_')}-{version}.dist-info"
        self.write(f"{folder}/METADATA", "Metadata-Version: 2.1\n" + "\n".join(lines) + "\n\nLong words.\n")
        self.write(f"{folder}/INSTALLER", f"{installer}\n")
        return self

    def python(self, version, system="linux"):
        """What runs the packages."""
        self.interpreter = Interpreter(version, system, "x86_64")
        return self

    def newest(self, tensorflow="tensorflow"):
        """TensorFlow 2.21 and Keras 3."""
        self.write("site/keras/src/legacy/preprocessing/image.py", OWN_CODE)
        return self.packages(**{tensorflow: "2.21.0", "keras": "3.15.1"})

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
            self.environ,
            lambda files: make_reads(self.latency_s, min(64, len(files))),
            interpreter=self.interpreter,
            ask_gpus=self.ask_gpus,
            probe=lambda libraries, timeout_s: self.probed,
            measure_throughput=self.measure_throughput,
        )

    def measure_throughput(self, sample, work):
        """As the doctor would ask for it: by default reads that gain by every thread, and images that are sound."""
        reads = [(threads, threads / self.latency_s) for threads in (2, 4)]
        return make_throughput(**{"reads": reads, "work": work, "census": make_census(), **self.throughput})
