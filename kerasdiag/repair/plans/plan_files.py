"""Plans on disk, beside the shards: what a reader without kerasdiag needs beside the pixels.

    plans/<id>/plan.json   options of the generator, batch size, steps, shapes, dtype of the pixels where it is not uint8
    plans/<id>/rows.npz    for each row: source, shard, offset of its pixels, labels, weight

The id is a hash of the content, so equal plans are written once. ``plan.json`` comes last.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from kerasdiag.repair.pixel_store.store import Store
from kerasdiag.repair.pixel_store.store_files import written_whole
from kerasdiag.repair.plans.plan import EXACT, PipelinePlan
from kerasdiag.repair.plans.targets import Targets

FORMAT = 1
_FITTED = ("mean", "std", "zca_whitening_matrix")  # None without a call of ImageDataGenerator.fit
_LISTED = 16  # numbers of an array that are written out


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
    if record is None:  # images in memory lie in no store
        return None
    names = [store.names[number].encode("utf-8", "surrogateescape") for number in record]
    rows: dict[str, Any] = {
        "row": plan.rows,
        "source": np.array(names, dtype=np.bytes_),
        "shard": store.file[record],
        "offset": store.data_offset[record],
    }
    for name, values in _all_targets(plan, targets).items():
        if values.dtype == object and not all(isinstance(value, str) for value in values.reshape(-1)):
            return None
        rows[name] = values.astype(np.str_) if values.dtype == object else values
    return rows


def _all_targets(plan: PipelinePlan, targets: Targets) -> dict[str, np.ndarray[Any, Any]]:
    """Labels and weights of all rows; class numbers for one-hot vectors, which would fill the disk."""
    numbers = targets.class_numbers
    labels = (numbers,) if numbers is not None else targets.labels(np.arange(len(plan.rows)))
    names = ("labels",) if len(labels) == 1 else tuple(f"labels_{number}" for number in range(len(labels)))
    found = dict(zip(names, labels))
    return found if targets.weights is None else {**found, "weights": targets.weights}


def _describe(plan: PipelinePlan, store: Store, targets: Targets) -> dict[str, Any]:
    spec = plan.spec
    # What is as most generators have it goes without saying: a plan's name is a hash of this, and older plans have
    # none of it.
    unusual = {name: value for name, (value, usual) in _unusual(plan, store).items() if value != usual}
    options = {
        name: _plain(value) for name, value in vars(plan.options).items() if value is not None or name not in _FITTED
    }
    return {
        "kerasdiag_plan": FORMAT,
        "generator": spec.kind,
        "image_shape": list(spec.image_shape),
        **unusual,
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


def _unusual(plan: PipelinePlan, store: Store) -> dict[str, tuple[str, str]]:
    """What few generators have: name, value and what it is elsewhere."""
    return {
        "pixel_dtype": (store.loader.pixel_dtype, "uint8"),
        "dtype": (plan.spec.dtype, "float32"),
        "data_format": (plan.spec.data_format, "channels_last"),
        "mode": (plan.mode, EXACT),
    }


def _plain(value: Any) -> Any:
    """An option as JSON knows it; a function by its name, a large array by what tells it from another."""
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
    if np.ndim(value) and np.size(value) > _LISTED:
        array = np.ascontiguousarray(value)
        return {"shape": list(array.shape), "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
    if np.ndim(value):
        return [float(part) for part in np.ravel(value)]
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
