"""The NVIDIA driver asked in a process of its own: one that hangs or crashes there is an answer, and nothing else ends."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any  # what JSON can hold

from kerasdiag.environment.child_process import answers, run_child, take_order
from kerasdiag.environment.gpus import GpuFacts, GpuState, count_cards, find_gpus

ASK_S = 10.0  # a driver that has to wake eight GPUs up takes that long
# One that was given less and did not answer may only be slow.
_FAIR_S = 5.0


def main() -> None:
    """Ask, and answer in one line; the child's part."""
    order = take_order()
    answer = answers()
    found = find_gpus(Path(order["root"]), order["environ"], own_processes=(os.getpid(), order["parent"]))
    answer(json.dumps(asdict(found)))


def ask_gpus(root: Path = Path("/"), environ: Mapping[str, str] | None = None, seconds: float = ASK_S) -> GpuFacts:
    """Ask the driver and the PCI bus. Never raises.

    Args:
        root: Where ``/sys`` is found.
        environ: Environment variables; by default those of this process.
        seconds: When the driver is given up.
    """
    environ = dict(os.environ if environ is None else environ)
    heard: list[bytes] = []
    order = {"root": str(root), "environ": environ, "parent": os.getpid()}
    ending = run_child(__name__, order, heard.append, max(0.0, seconds))
    try:
        return _facts(json.loads(b"".join(heard)))
    except (ValueError, TypeError, KeyError, AttributeError):  # it never came so far
        if ending.not_started:
            why = f"the NVIDIA driver was not asked: no process can be started for it ({ending.not_started})"
        elif ending.is_given_up:
            why = f"the NVIDIA driver did not answer within {seconds:.0f} s"
        else:
            why = f"the NVIDIA driver ended the process that asked it ({ending.in_words()})"
        return GpuFacts(
            remark=why,
            cards=count_cards(root),
            visible_devices=environ.get("CUDA_VISIBLE_DEVICES"),
            is_silent=True,
            lacks_time=ending.is_given_up and seconds < _FAIR_S,
        )


def _facts(said: dict[str, Any]) -> GpuFacts:
    gpus = tuple(GpuState(**_with_tuples(gpu)) for gpu in said["gpus"])
    return GpuFacts(**{**_with_tuples(said), "gpus": gpus})


def _with_tuples(said: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples, and the facts have no lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
