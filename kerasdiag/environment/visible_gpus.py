"""Asks NVML, and CUDA, which of the machine's GPUs this process may use.

NVML lists every GPU of the machine or container, CUDA only those that ``CUDA_VISIBLE_DEVICES`` names,
and in an order of its own: by default the fastest first, NVML mostly by PCI bus. Taking a CUDA index for an
NVML index reports the wrong GPU on machines with mixed ones.

Not seen here: GPUs that a framework hides by its own means, such as ``tf.config.set_visible_devices``.
"""

from __future__ import annotations

import ctypes
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple  # Any: pynvml has no type stubs

NOT_SUPPORTED, FUNCTION_NOT_FOUND = 3, 13
PERMANENT = (NOT_SUPPORTED, FUNCTION_NOT_FOUND)
LOST = (15, 16)
_REASONS = {
    # By NVML's error code (nvmlReturn_t), which is part of its binary interface.
    1: "NVML was shut down by another part of this process",
    NOT_SUPPORTED: "the driver does not report this for this GPU (usual under WSL, virtual GPUs, integrated GPUs)",
    4: "the NVIDIA driver denies this user permission",
    9: "the NVIDIA driver is installed but not loaded",
    12: "the NVIDIA driver's library (libnvidia-ml.so.1, on Windows nvml.dll) was not found: "
    "no NVIDIA driver here, or a container that was started without its GPUs",
    FUNCTION_NOT_FOUND: "the installed NVIDIA driver has no function {call}",
    15: "the GPU was lost: the driver can no longer reach it",
    16: "the GPU stopped working and must be reset",
    18: "the NVIDIA driver's library and kernel module have different versions (usual after an update: reboot)",
}


class Failure(NamedTuple):
    """Why NVML gave no answer: its error code, where it gave one, and the reason in plain words."""

    code: int | None
    why: str


@dataclass(frozen=True)
class ListedGpu:
    """A GPU as NVML lists it.

    Attributes:
        index: NVML index.
        handle: What NVML's functions take; None after a failure.
        name: Product name, None where the driver did not tell.
        uuid: ``"GPU-..."``, None where the driver did not tell.
        failure: Why the GPU cannot be asked, or None.
        pci_place: PCI domain, bus and device, None where the driver did not tell.
    """

    index: int
    handle: Any
    name: str | None
    uuid: str | None
    failure: Failure | None = None
    pci_place: tuple[int, int, int] | None = None


def ask(nvml: Any, call: str, *arguments: Any) -> tuple[Any, Failure | None]:
    """Call a function of pynvml: its answer and None, or None and why there is no answer."""
    try:
        answer = getattr(nvml, call)(*arguments)
        return answer.decode() if isinstance(answer, bytes) else answer, None  # bytes: pynvml before 11.5
    except Exception as error:  # its own errors, and what old bindings or odd drivers make of an answer
        code = FUNCTION_NOT_FOUND if isinstance(error, AttributeError) else getattr(error, "value", None)
        known = _REASONS.get(code or 0)
        why = known.replace("{call}", call) if known else f"{call} failed: {type(error).__name__}: {error}"
        return None, Failure(code, why)


def find_visible_gpus(nvml: Any, environ: Mapping[str, str]) -> tuple[tuple[ListedGpu, ...], str | None]:
    """Return the GPUs that this process may use, in CUDA's order where it is known, and a remark.

    The remark says why there are none, or why there may be more than this process uses; else it is None.

    Args:
        nvml: The module pynvml, initialised.
        environ: The environment variables.
    """
    count, failure = ask(nvml, "nvmlDeviceGetCount")
    if not count:
        return (), failure.why if failure else "the NVIDIA driver sees no GPU"
    gpus = [_list_gpu(nvml, index) for index in range(count)]
    return select_visible_gpus(gpus, environ, lambda mig_uuid: _gpu_of_mig(nvml, mig_uuid))


def select_visible_gpus(
    gpus: Sequence[ListedGpu], environ: Mapping[str, str], gpu_of_mig: Callable[[str], str | None]
) -> tuple[tuple[ListedGpu, ...], str | None]:
    """Apply ``CUDA_VISIBLE_DEVICES`` as the CUDA driver does; returns what ``find_visible_gpus`` does.

    The first entry decides whether the list is one of ordinals or one of UUIDs; the list ends at its
    first invalid entry; a repeated entry leaves nothing (PyTorch's ``device_count`` reads it the same way).
    https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html

    Args:
        gpus: All that NVML lists, in its order.
        environ: The environment variables.
        gpu_of_mig: UUID of a MIG instance -> UUID of its GPU, None when unknown.
    """
    setting = environ.get("CUDA_VISIBLE_DEVICES")
    if setting is None:
        return tuple(gpus), None
    entries = [entry.strip() for entry in setting.split(",")]
    if entries[0].startswith(("GPU-", "MIG-")):
        chosen = _by_uuid(entries, gpus, gpu_of_mig)
    else:
        chosen = _by_ordinal(entries, gpus, environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID")
    if chosen is None:
        # Sampling a GPU by guess would report another job's numbers as ours; sampling all and saying so
        # keeps the right one among them.
        return tuple(gpus), f"which GPUs CUDA_VISIBLE_DEVICES={setting!r} means is unknown: all are sampled"
    if not chosen:
        return (), f"CUDA_VISIBLE_DEVICES={setting!r} hides every GPU from this process"
    return tuple(gpus[index] for index in chosen), None


def _list_gpu(nvml: Any, index: int) -> ListedGpu:
    handle, failure = ask(nvml, "nvmlDeviceGetHandleByIndex", index)
    if failure:
        return ListedGpu(index, None, None, None, failure)
    name, _ = ask(nvml, "nvmlDeviceGetName", handle)
    gpu_uuid, _ = ask(nvml, "nvmlDeviceGetUUID", handle)
    pci, _ = ask(nvml, "nvmlDeviceGetPciInfo", handle)
    place = None if pci is None else (int(pci.domain), int(pci.bus), int(pci.device))
    return ListedGpu(index, handle, name, gpu_uuid, pci_place=place)


def _gpu_of_mig(nvml: Any, mig_uuid: str) -> str | None:
    """Return the UUID of the GPU that a MIG instance is part of."""
    instance, failure = ask(nvml, "nvmlDeviceGetHandleByUUID", mig_uuid)
    if failure:
        return None
    gpu, failure = ask(nvml, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", instance)
    found: str | None = None if failure else ask(nvml, "nvmlDeviceGetUUID", gpu)[0]
    return found


def _by_uuid(
    entries: Iterable[str], gpus: Sequence[ListedGpu], gpu_of_mig: Callable[[str], str | None]
) -> tuple[int, ...] | None:
    """Return the indexes that (beginnings of) UUIDs name, or None where that cannot be told."""
    chosen: list[int] = []
    for entry in entries:
        prefix: str | None = entry  # of the UUID of a GPU
        if entry.startswith("MIG-GPU-"):  # MIG-<UUID of the GPU>/<GPU instance>/<compute instance>: before driver 470
            prefix = entry[len("MIG-") :].split("/")[0]
        elif entry.startswith("MIG-"):
            prefix = gpu_of_mig(entry)
        if prefix is None:
            return None
        matches = [index for index, gpu in enumerate(gpus) if gpu.uuid and gpu.uuid.lower().startswith(prefix.lower())]
        if not matches and any(gpu.uuid is None for gpu in gpus):
            return None
        if len(matches) != 1 or not prefix.startswith("GPU-"):
            break
        if matches[0] not in chosen:
            chosen.append(matches[0])
        elif not entry.startswith("MIG-"):  # several MIG instances may be parts of one GPU
            return ()
    return tuple(chosen)


def _by_ordinal(entries: Iterable[str], gpus: Sequence[ListedGpu], in_pci_order: bool) -> tuple[int, ...] | None:
    """Return the indexes that CUDA ordinals name, or None where CUDA's order cannot be learnt."""
    ordinals = _read_ordinals(entries, len(gpus))
    alike = gpus and gpus[0].name is not None and len({gpu.name for gpu in gpus}) == 1
    if not ordinals or in_pci_order or len(gpus) == 1 or alike:  # equally fast ones come by PCI bus, too
        by_bus = _in_pci_order(gpus)
        return tuple(by_bus[ordinal] for ordinal in ordinals)
    index_of = {gpu.uuid: index for index, gpu in enumerate(gpus) if gpu.uuid is not None}
    visible = _visible_uuids_from_cuda()
    if visible is not None and all(name in index_of for name in visible):
        return tuple(index_of[name] for name in visible)
    return tuple(range(len(gpus))) if len(ordinals) == len(gpus) else None


def _in_pci_order(gpus: Sequence[ListedGpu]) -> tuple[int, ...]:
    """Return the indexes by PCI bus. NVML's own order is mostly that one, but NVIDIA does not promise it."""
    places = [gpu.pci_place for gpu in gpus]
    if any(place is None for place in places) or len(set(places)) < len(places):
        return tuple(range(len(gpus)))
    return tuple(sorted(range(len(gpus)), key=lambda index: places[index] or ()))


def _read_ordinals(entries: Iterable[str], count: int) -> tuple[int, ...]:
    ordinals: list[int] = []
    for entry in entries:
        digits = re.match(r"\d+", entry)  # the driver reads like C: "1x" is 1, "-1" and "" end the list
        if digits is None or int(digits.group()) >= count:
            break
        if int(digits.group()) in ordinals:
            return ()
        ordinals.append(int(digits.group()))
    return tuple(ordinals)


def _visible_uuids_from_cuda() -> tuple[str, ...] | None:
    """Ask the CUDA driver for the UUIDs of its devices, in its order; None when it does not answer.

    The driver has applied ``CUDA_VISIBLE_DEVICES`` itself. ``cuInit`` makes no context and takes no
    device memory, and a framework that trains on a GPU has called it before.
    """
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
            return None
        uuids = []
        for ordinal in range(count.value):
            device, raw = ctypes.c_int(), (ctypes.c_ubyte * 16)()
            # Not cuDeviceGetUuid_v2: that one names the MIG instance, NVML's index belongs to the GPU.
            if cuda.cuDeviceGet(ctypes.byref(device), ordinal) or cuda.cuDeviceGetUuid(raw, device):
                return None
            uuids.append(f"GPU-{uuid.UUID(bytes=bytes(raw))}")
        return tuple(uuids)
    except (OSError, AttributeError):  # no such library; a function that it does not have
        return None
