"""Plans on disk, beside the shards: what a reader without kerasdiag needs beside the pixels.

    plans/<id>/plan.json   options of the generator, batch size, steps, shapes, dtype of the pixels where it is not uint8
    plans/<id>/rows.npz    for each row: source, shard, offset of its pixels, labels, weight

The id is a hash of the content, so equal plans are written once. ``plan.json`` comes last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from kerasdiag.repair.pixel_store.store import Store
from kerasdiag.repair.pixel_store.store_files import written_whole
from kerasdiag.repair.plans.plan import PipelinePlan, Targets

FORMAT = 1


def save_plan(plan: PipelinePlan, store: Store, targets: Targets) -> Path | None:
    """Write a plan beside its store's shards, unless it is there already.

    Returns:
        Its directory, or None where labels are Python objects that no file format holds.

    Raises:
        OSError: The store cannot be written.
    """
    rows = _rows(plan, store, targets)
    if rows is None:
        return None
    content = io.BytesIO()
    np.savez(content, **rows)
    description = json.dumps(_describe(plan, store, targets), indent=1, sort_keys=True).encode() + b"\n"
    identity = hashlib.sha256(description + hashlib.sha256(content.getvalue()).digest()).hexdigest()[:12]
    folder = store.directory / "plans" / identity
    if not (folder / "plan.json").exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in (("rows.npz", content.getvalue()), ("plan.json", description)):
            with written_whole(folder / name) as file:
                file.write(data)
    else:
        os.utime(folder / "plan.json")  # the plan used last is the one that `store eject` takes
    return folder


def _rows(plan: PipelinePlan, store: Store, targets: Targets) -> dict[str, Any] | None:
    record = plan.record
    names = [store.names[number].encode("utf-8", "surrogateescape") for number in record]
    rows: dict[str, Any] = {
        "row": plan.rows,
        "source": np.array(names, dtype=np.bytes_),
        "shard": store.file[record],
        "offset": store.data_offset[record],
    }
    for name, values in zip(("labels", "weights"), _all_targets(plan, targets)):
        if values.dtype == object and not all(isinstance(value, str) for value in values.reshape(-1)):
            return None
        rows[name] = values.astype(np.str_) if values.dtype == object else values
    return rows


def _all_targets(plan: PipelinePlan, targets: Targets) -> tuple[np.ndarray[Any, Any], ...]:
    """Labels and weights of all rows; class numbers for one-hot vectors, which would fill the disk."""
    numbers = targets.class_numbers
    if numbers is None:
        return targets.batch(np.arange(len(plan.rows)))
    return (numbers, *([] if targets.weights is None else [targets.weights]))


def _describe(plan: PipelinePlan, store: Store, targets: Targets) -> dict[str, Any]:
    spec = plan.spec
    options = {
        name: [float(part) for part in np.ravel(value)] if np.ndim(value) else _plain(value)
        for name, value in dataclasses.asdict(plan.options).items()
    }
    # uint8 goes without saying: a plan's name is a hash of this, and older plans know no dtype.
    dtype = {} if store.loader.pixel_dtype == "uint8" else {"pixel_dtype": store.loader.pixel_dtype}
    return {
        "kerasdiag_plan": FORMAT,
        "generator": spec.kind,
        "image_shape": list(spec.loader.image_shape),
        **dtype,
        "files": [os.path.relpath(path, store.directory).replace(os.sep, "/") for path in store.files],
        "class_mode": spec.class_mode,
        # Labels are class numbers then, and stand for one-hot vectors of this length.
        "one_hot_classes": None if targets.class_numbers is None else len(spec.class_indices or ()),
        "class_indices": {str(name): int(index) for name, index in (spec.class_indices or {}).items()},
        "batch_size": spec.batch_size,
        "steps_per_epoch": plan.steps_per_epoch,
        "shuffle": spec.shuffle,
        # A seed that was drawn for one run makes no other plan of the same rows and options.
        "seed": None if spec.seed is None else plan.seed,
        "subset": spec.subset,
        "augmentation": options,
    }


def _plain(value: Any) -> Any:
    """A number as JSON knows it."""
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
