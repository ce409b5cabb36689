"""Profiles, machines and images made to order, so that a test says what matters to it and nothing else."""

from __future__ import annotations

import numpy as np

from kerasdiag.environment.cold_reads import Read, ReadFacts
from kerasdiag.environment.data_files import DataFacts
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.gpus import GpuFacts, GpuState
from kerasdiag.environment.memory import MemoryLimit
from kerasdiag.environment.packages import GeneratorCode, PackageFacts
from kerasdiag.environment.storage import StorageClass, StorageFacts
from kerasdiag.environment.throughput.facts import (
    STAGES,
    ImageFile,
    ImageWork,
    ReadRate,
    Stage,
    ThreadRate,
    ThroughputFacts,
)
from kerasdiag.input_identity import InputIdentity
from kerasdiag.profile import GpuSeries, RunProfile
from kerasdiag.step_times import EpochTimes, StepTimes

WARM_UP = 5


def make_steps(
    wait_s=0.0, step_s=0.05, count=100, noise=0.0, seed=0, epochs=1, warm_up=WARM_UP, callbacks_s=0.0, hidden_s=0.0
):
    """Steps that wait ``wait_s``, compute ``step_s`` and call back; ``noise`` is the relative spread of all.

    Lists are repeated: ``wait_s=[0, 0, 0, 0.2]`` is a loader that delivers in bursts of four. ``hidden_s`` is waiting
    that lies within the computing.
    """
    random = np.random.default_rng(seed)
    waits = np.resize(np.atleast_1d(np.asarray(wait_s, float)), count)
    computes = np.resize(np.atleast_1d(np.asarray(step_s, float)), count)
    waits = waits * np.maximum(0.0, 1 + noise * random.standard_normal(count))
    computes = computes * np.maximum(0.05, 1 + noise * random.standard_normal(count))
    callbacks = np.full(count, float(callbacks_s)) * np.maximum(0.0, 1 + noise * random.standard_normal(count))
    periods = waits + computes + callbacks
    starts = np.cumsum(periods) - periods
    return StepTimes(
        epoch=tuple(int(row) for row in np.arange(count) * epochs // max(count, 1)),
        steps=(1,) * count,
        start_s=tuple(map(float, starts)),
        wait_s=tuple(map(float, waits)),
        period_s=tuple(map(float, periods)),
        warm_up=tuple(int(row < warm_up) for row in range(count)),
        hidden_wait_s=(float(hidden_s),) * count,
        callbacks_s=tuple(map(float, callbacks)),
        waited_steps=tuple(int(waited) for waited in waits > 0.05 * periods),
        compiled=(0,) * count,
    )


def make_input(kind="image-data-generator", **facts):
    """An input identity; the default is what flow_from_dataframe gives."""
    defaults = {"class_name": "DataFrameIterator", "n": 1800, "batch_size": 32, "num_batches": 57, "workers": 1}
    if kind == "tf-data":
        defaults = {"class_name": "PrefetchDataset", "pipeline": ("TensorSlice", "ParallelMap", "Batch", "Prefetch")}
    if kind in ("arrays", "python-generator", "other"):
        defaults = {"class_name": {"arrays": "ndarray", "python-generator": "generator"}.get(kind, "DataLoader")}
    return InputIdentity(kind=kind, **{**defaults, **facts})


def make_gpu(percent=10.0, duration_s=10.0, period_s=0.2, **facts):
    """A GPU that is ``percent`` busy all the time; a list is repeated."""
    times = tuple(float(time) for time in np.arange(0, duration_s, period_s))
    values = np.resize(np.atleast_1d(np.asarray(percent, float)), len(times))
    columns = {
        "utilization_percent": tuple(map(float, values)),
        "memory_utilization_percent": tuple(float(value) / 2 for value in values),
        "memory_used_bytes": (float(6 * 2**30),) * len(times),
        "power_w": (90.0,) * len(times),
    }
    return GpuSeries(**{"index": 0, "name": "NVIDIA T4", "uuid": "GPU-1", "time_s": times, **columns, **facts})


def make_epochs(steps, boundary_s=0.2, **columns):
    """The epochs that these steps were trained in."""
    counts = {
        epoch: sum(n for e, n in zip(steps.epoch, steps.steps) if e == epoch) for epoch in dict.fromkeys(steps.epoch)
    }
    zeros = (0.0,) * len(counts)
    others = {name: tuple(columns.get(name, zeros)) for name in ("validation_s", "callbacks_s", "checkpoint_s")}
    return EpochTimes(tuple(counts), tuple(counts.values()), (boundary_s,) * len(counts), **others)


def make_profile(
    wait_s=0.0, step_s=0.05, count=100, noise=0.0, seed=0, epochs=1, callbacks_s=0.0, hidden_s=0.0, **facts
):
    """A completed run on the newest Keras."""
    steps = make_steps(wait_s, step_s, count, noise, seed, epochs, callbacks_s=callbacks_s, hidden_s=hidden_s)
    defaults = {
        "kerasdiag_version": "0.1.0",
        "created_at": "2026-11-23T10:00:00+00:00",
        "host": "workstation",
        "cores": 8,
        "software": {"python": "3.12.1", "backend": "tensorflow", "keras": "3.15.1", "tensorflow": "2.21.0"},
        "state": "completed",
        "training_input": make_input(),
        "planned_epochs": 1,
        "planned_steps_per_epoch": 57,
        "method": "one-step-function",
        "pull_overhead_s": 4e-5,
        "added_s_per_step": 7e-5,
        "not_measured": {} if facts.get("gpus") else {"gpu": "no NVIDIA driver on this machine"},
    }
    defaults = {"steps": steps, "epochs": make_epochs(steps), "compile_s": 0.5, **defaults}
    return RunProfile(**{**defaults, **facts})


def write_photos(folder, count, size=(375, 500), seed=0):
    """Write photo-like JPEGs (smooth colours with a natural 1/f spectrum) and return their paths."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size[1]), np.fft.fftfreq(size[0])))
    frequency[0, 0] = frequency.ravel()[1]
    paths = []
    for number in range(count):
        noise = random.standard_normal((3, *size))
        smooth = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
        smooth = (smooth - smooth.mean()) / smooth.std() * 48 + 128
        image = Image.fromarray(np.clip(smooth, 0, 255).astype("uint8").transpose(1, 2, 0))
        path = folder / f"photo_{number:04}.jpg"
        image.save(path, quality=92)
        paths.append(path)
    return paths


def make_packages(*, wants_legacy_keras=False, preprocessing_runs_in=(), facts=None, **versions):
    """Installed packages by name; ``_`` stands for ``-``. The newest ones are there unless others are named.

    ``facts`` are the other attributes of PackageFacts.
    """
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    named = named or {"tensorflow": "2.21.0", "keras": "3.15.1"}
    generators = tuple(
        GeneratorCode(name, version, name in preprocessing_runs_in, f"/site/{name}/image.py")
        for name, version in named.items()
        if name == "keras" or name in preprocessing_runs_in
    )
    return PackageFacts(named, generators, wants_legacy_keras, **(facts or {}))


def make_storage(storage_class=StorageClass.NVME, **facts):
    """What the data lie on; by default a sound NVMe disk."""
    defaults = {
        "mount_point": "/",
        "file_system": "ext4",
        "source": "/dev/disk1",
        "device": "disk1",
        "reason": "so it says",
    }
    return StorageFacts(storage_class, **{**defaults, **facts})


def make_data(storage=None, count=20_000, mean_bytes=100e3, **facts):
    """Files of a training."""
    defaults = {
        "path": "/data/photos",
        "folder": "/data/photos",
        "is_complete": True,
        "sample": ("/data/photos/a.jpg",),
        "missing": 0,
    }
    return DataFacts(
        count=count, mean_bytes=mean_bytes, storage=storage or make_storage(), **{**defaults, **facts}
    )  # fmt: skip


def make_reads(latency_s=0.0002, count=64, num_bytes=100_000, *, is_cold=True, not_cold=""):
    """Reads of files; a list of latencies is repeated."""
    times = np.resize(np.atleast_1d(np.asarray(latency_s, float)), count)
    return ReadFacts(tuple(Read(float(seconds), num_bytes, is_cold) for seconds in times), not_cold)


def make_gpus(*, driver_version="550.54.15", driver_cuda=(12, 4), count=1, **facts):
    """Sound GPUs, just now at work; ``facts`` are those of each."""
    sound = {
        "name": "NVIDIA T4", "compute_capability": (7, 5), "utilization_percent": 60.0, "memory_total_bytes": 16 * 10**9,
        "memory_used_bytes": 10**9, "processes": (), "slow_reasons": (), "pcie_width": 16, "pcie_max_width": 16,
        "pcie_generation": 3, "pcie_max_generation": 3, "pcie_replays": 0, "power_limit_w": 70.0,
        "default_power_limit_w": 70.0, "is_mig": False, "is_repair_pending": False, "has_repair_failed": False,
    }  # fmt: skip
    gpus = tuple(GpuState(index, **{**sound, **facts}) for index in range(count))
    return GpuFacts(gpus, driver_version=driver_version, driver_cuda=driver_cuda)


def make_census(count=128, decoded=64, size=(500, 375), folder="/data/photos", **facts):
    """Sound JPEGs of one size, width first."""
    defaults = {"num_bytes": 100_000, "format": "JPEG", "mode": "RGB", "width": size[0], "height": size[1]}
    return tuple(
        ImageFile(
            f"{folder}/{number}.jpg",
            **{**defaults, **facts},
            is_decoded=number < decoded,
            decode_s=0.0015 if number < decoded else None,
        )
        for number in range(count)
    )


def make_throughput(
    stages_s=(0.0001, 0.0015, 0.0001, 0.0075, 0.0005),
    cores=8,
    held=0.0,
    census=None,
    reads=((2, 9_000), (4, 15_000)),
    **facts,
):
    """Images that go through the stages on so many cores, without ever meeting; a list of ``held`` goes by stage."""
    work_s = sum(stages_s)
    shares = np.broadcast_to(np.asarray(held, float), len(stages_s))
    threads = [count for count in (1, 2, 4, 8, 16) if count <= max(2, 2 * cores)]
    defaults = {
        "work": ImageWork((256, 256), ("affine", "flip"), "--target-size", "--augmentation"),
        "stages": tuple(map(Stage, STAGES, stages_s, map(float, shares))),
        "rates": tuple(ThreadRate(count, min(count, cores) / work_s, work_s) for count in threads),
        "reads": tuple(ReadRate(*rate, 32) for rate in reads),
        "census": make_census() if census is None else census,
        "num_timed": 64,
    }
    return ThroughputFacts(**{**defaults, **facts})


def make_environment(cores=8, available_bytes=4 * 10**8, **facts):
    """A sound machine whose free memory holds 400 MB: less than the 2 GB of ``make_data``."""
    defaults = {"cpu_quota": None, "affinity_cores": cores, "visible_cores": cores, "packages": make_packages()}
    memory = MemoryLimit(available_bytes, None, 2 * available_bytes)
    return Environment(**{"cores": cores, "memory": memory, **defaults, **facts})


def make_scripts(*sources, name="train.py"):
    """Scripts with this text; those after the first have a number in their name."""
    from kerasdiag.environment.script_text import parse_script
    from kerasdiag.environment.scripts import Script, ScriptFacts

    names = [name, *(f"{number}_{name}" for number in range(1, len(sources)))]
    return ScriptFacts(
        tuple(Script(each, *parse_script(source.encode())) for each, source in zip(names, sources))
    )  # fmt: skip
