"""Which process of a multi-process training this is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import NamedTuple

# Launchers in the order they are believed: the training's own configuration before the scheduler's.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),  # torchrun
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)
_TASK_ORDER = ("chief", "master", "worker", "ps", "evaluator")  # as TensorFlow counts a cluster's processes


class ProcessRank(NamedTuple):
    """Number of this process, from 0, and of all processes."""

    rank: int
    size: int


def process_rank(environ: Mapping[str, str] | None = None) -> ProcessRank:
    """Return rank and size from ``TF_CONFIG`` or the launcher's variables; (0, 1) when there are none."""
    environ = os.environ if environ is None else environ
    found = _from_tf_config(environ.get("TF_CONFIG", ""))
    for rank_name, size_name in _LAUNCHERS:
        if found is None:
            found = _from_numbers(environ.get(rank_name, ""), environ.get(size_name, ""))
    return found or ProcessRank(0, 1)


def _from_numbers(rank: str, size: str) -> ProcessRank | None:
    try:
        found = ProcessRank(int(rank), int(size))
    except ValueError:
        return None
    return found if 0 <= found.rank < found.size and found.size > 1 else None


def _from_tf_config(text: str) -> ProcessRank | None:
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        kinds = sorted(cluster, key=lambda kind: _TASK_ORDER.index(kind) if kind in _TASK_ORDER else len(_TASK_ORDER))
        before = sum(len(cluster[kind]) for kind in kinds[: kinds.index(task["type"])])
        return _from_numbers(str(before + int(task["index"])), str(sum(len(hosts) for hosts in cluster.values())))
    except (ValueError, KeyError, TypeError):
        return None
