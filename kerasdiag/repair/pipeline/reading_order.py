"""Which order of reading suits the disk that a store lies on."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import numpy as np

from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage import StorageClass
from kerasdiag.repair.pipeline.order import BLOCK_ROWS
from kerasdiag.repair.pixel_store.store import Store
from kerasdiag.repair.plans.plan import EXACT, REPLAY
from kerasdiag.spec import GeneratorSpec

PERMUTATION, BLOCKS, FILE_ORDER = "permutation", "blocks", "file order"
# Single reads that take longer than this on an idle disk come from a moving head or over a network;
# flash takes 0.1 ms.
SLOW_READ_S = 2e-3
# No disk answers this fast: some virtual file systems keep pages that they are asked to drop.
ANSWERED_BY_CACHE_S = 2e-5
_TIMED_READS = 12


class Reading(NamedTuple):
    """An order of reading: its name, what decided it, and the rows of a block (1: single reads)."""

    name: str
    reason: str
    block_rows: int = 1


IN_MEMORY = Reading("memory", "the images lie in memory")
ORIGINAL_FILES = Reading("original files", 'storage="none": each image is decoded anew in each pass')


def choose_reading(store: Store, spec: GeneratorSpec, environment: Environment, mode: str = EXACT) -> Reading:
    """Return single reads for flash and memory, blocks of neighbours for rotating and network disks."""
    facts = environment.storage(store.directory)
    kind = facts.storage_class
    slow, reason = kind in (StorageClass.ROTATING, StorageClass.NETWORK), f"{kind.value} storage: {facts.reason}"
    if kind == StorageClass.UNKNOWN:
        read_s = time_single_reads(store)
        if read_s is None or read_s < ANSWERED_BY_CACHE_S:
            reason = f"unknown storage ({facts.reason}), whose reads could not be timed"
        else:
            slow = read_s > SLOW_READ_S
            reason = f"unknown storage ({facts.reason}); a single read took {read_s * 1e3:.2f} ms"
    if mode == REPLAY:
        return Reading(PERMUTATION, f"replay, single reads in the generator's own order; {reason}")
    if not spec.shuffle:
        return Reading(FILE_ORDER, f"shuffle=False, single reads; {reason}")
    if not slow:
        return Reading(PERMUTATION, reason)
    if spec.seed is not None:
        # Images and masks with one seed must stay aligned, and a seed must repeat elsewhere: such an
        # order may not depend on disks and stores.
        return Reading(PERMUTATION, f"a seed, whose order must be the same on every disk, so single reads; {reason}")
    if spec.num_rows < 4 * BLOCK_ROWS * spec.batch_size and spec.num_rows * 4 < store.num_records:
        # Neighbours of a small subset are far apart in the files.
        return Reading(PERMUTATION, f"a small part of its store, single reads; {reason}")
    return Reading(BLOCKS, reason, BLOCK_ROWS)


def time_single_reads(store: Store) -> float | None:
    """Return the median seconds of a read that no cache answers, or None where that cannot be told."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "pread") or not store.num_records:
        return None
    of_first = np.flatnonzero(store.file == store.file[0])
    records = np.random.default_rng(0).choice(of_first, min(_TIMED_READS, len(of_first)), replace=False)
    descriptor = os.open(store.files[store.file[0]], os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        taken = []
        for record in records:
            offset = int(store.data_offset[record])
            os.posix_fadvise(descriptor, offset, store.loader.image_bytes, os.POSIX_FADV_DONTNEED)
            started = time.perf_counter()
            os.pread(descriptor, min(4096, store.loader.image_bytes), offset)
            taken.append(time.perf_counter() - started)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return float(np.median(taken))
