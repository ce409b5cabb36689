"""From a plan on the disk to a readable tf.data script that needs no kerasdiag.

The script is ``ejected_pipeline.py.txt`` with its ``__NAMES__`` filled in; of its ``#if`` parts
only those stay that the plan has a use for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any  # ranges may be numbers or sequences

import numpy as np

from kerasdiag.errors import StoreError
from kerasdiag.repair import ops
from kerasdiag.repair.ops import affine
from kerasdiag.repair.plans.saved_plans import SavedPlan
from kerasdiag.spec import AugmentationOptions

MAX_LINES = 150
_TEMPLATE = "ejected_pipeline.py.txt"
_MAX_COLUMNS = 120
_HANDLED = {
    "rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range", "horizontal_flip",
    "vertical_flip", "rescale", "cval", "zca_epsilon",
}  # fmt: skip
_WARP_ONLY = {"fill_mode", "interpolation_order"}  # nothing but a warp looks at them


def choose_plan(directory: Path, plans: list[SavedPlan], wanted: str | None) -> SavedPlan:
    """Return the plan whose name begins with ``wanted``, or without one the plan used last.

    Args:
        directory: The store.
        plans: Its plans, the one used last first.
        wanted: Beginning of a plan's name, or None.

    Raises:
        StoreError: There is none, or several fit.
    """
    if not plans:
        raise StoreError(
            f"The pixel store in {directory} has no plan that can be read: no autofix has finished with it yet, or the"
            " labels are Python objects that no file holds. Call autofix again, then eject."
        )
    if wanted is None:
        return plans[0]
    fitting = [plan for plan in plans if wanted and plan.identity.startswith(wanted)]
    if len(fitting) != 1:
        what = "no plan" if not fitting else f"{len(fitting)} plans"
        known = ", ".join(plan.identity for plan in plans)
        raise StoreError(f"The pixel store in {directory} has {what} of the name {wanted!r}; there are: {known}.")
    return fitting[0]


def make_script(directory: Path, plan: SavedPlan) -> str:
    """Return the source of a script that reads the store in place and gives what the plan gives.

    Args:
        directory: The store.
        plan: One of its plans.

    Raises:
        StoreError: The store lacks shards that the plan needs, or the plan holds what no script can be written for yet.
    """
    _check(directory, plan)
    template = resources.files("kerasdiag.repair.plans").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    script = _keep_parts(template, _parts(plan))
    values = _values(directory, plan)
    return re.sub(r"__([A-Z_]+?)__", lambda found: values[found.group(1)], script)


def _check(directory: Path, plan: SavedPlan) -> None:
    for number in np.unique(plan.shard):
        if not (0 <= number < len(plan.files)) or not (directory / plan.files[number]).is_file():
            raise StoreError(
                f"The plan {plan.identity} needs a shard that {directory} no longer has. Call autofix again, then eject."
            )
    options, neutral = plan.augmentation, AugmentationOptions()
    allowed = _HANDLED if affine.warps(options) else _HANDLED | _WARP_ONLY
    unknown = [
        name
        for name, value in vars(options).items()
        if name not in allowed and value != getattr(neutral, name) and (name, value) != ("interpolation_order", 0)
    ]
    unknown.extend(plan.unusual)
    if unknown:
        raise StoreError(f"The plan {plan.identity} uses {', '.join(unknown)}, which no script can be written for yet.")


def _parts(plan: SavedPlan) -> set[str]:
    options = plan.augmentation
    shifts = (options.height_shift_range, options.width_shift_range)
    warps = affine.warps(options)
    has = {
        "warp": warps,
        "nearest": warps and options.interpolation_order == 0,
        "bilinear": warps and options.interpolation_order == 1,
        "choose": any(shift and affine.shift_values(shift) is not None for shift in shifts),
        "flip_horizontal": options.horizontal_flip,
        "flip_vertical": options.vertical_flip,
        "draws": warps or options.horizontal_flip or options.vertical_flip,
        "rescale": options.rescale,
        "shuffle": plan.shuffle,
        "classes": plan.class_indices,
        "one_hot": plan.one_hot_classes is not None,
    }
    return {name for name, value in has.items() if value}


def _keep_parts(template: str, parts: Collection[str]) -> str:
    """Drop what stands between ``#if name`` (or ``#if not name``) and ``#end`` where that does not hold."""
    kept, keep = [], True
    for line in template.splitlines(keepends=True):
        if line.startswith("#if "):
            name = line[4:].strip()
            keep = (name[4:] not in parts) if name.startswith("not ") else name in parts
        elif line.startswith("#end"):
            keep = True
        elif keep:
            kept.append(line)
    return "".join(kept)


def _values(directory: Path, plan: SavedPlan) -> Mapping[str, str]:
    options = plan.augmentation
    targets = [f'plan["{name}"]' for name in plan.targets]
    names = ["images", *plan.targets]
    shaped = ", ".join(
        f"tf.ensure_shape(targets[{number}], [None, *first[{number}].shape[1:]])" for number in range(len(targets))
    )
    changes = ["order"] * plan.shuffle + ["draws"] * ("draws" in _parts(plan))
    low, high = options.zoom_range
    return {
        "STORE": _literal(str(directory)),
        "PLAN_ID": plan.identity,
        "SHARDS": _numbers(plan.files),
        "SHAPE": ", ".join(map(str, plan.image_shape)),
        "DTYPE": plan.pixel_dtype,
        "ACCURACY": "0.02 of 255 grey levels"
        if plan.pixel_dtype == "uint8"
        else "a ten-thousandth of the largest value",
        "BATCH_SIZE": str(plan.batch_size),
        "STEPS": str(plan.steps_per_epoch),
        "SEED": str(plan.seed % 2**63),  # NumPy takes no negative one
        "RESCALE": repr(options.rescale),
        "NUM_CLASSES": str(plan.one_hot_classes),
        "CLASS_INDICES": _class_indices(plan.class_indices),
        "TARGETS": f"({targets[0]},)" if len(targets) == 1 else f"({', '.join(targets)})",
        "THETA": _within(options.rotation_range, ops.ROTATION),
        "TX": _shift(options.height_shift_range, "HEIGHT", ops.ROW_SHIFT, ops.ROW_SHIFT_SIGN),
        "TY": _shift(options.width_shift_range, "WIDTH", ops.COLUMN_SHIFT, ops.COLUMN_SHIFT_SIGN),
        "SHEAR": _within(options.shear_range, ops.SHEAR),
        "ZX": _zoom(low, high, ops.ROW_ZOOM),
        "ZY": _zoom(low, high, ops.COLUMN_ZOOM),
        "ITERATIONS": f"has its own {' and '.join(changes)}" if changes else "is the same",
        "ELEMENT": f"images, {shaped}" if shaped else "images",
        "BATCH": ", ".join(names),
        "SHOWN": "".join(f', "{name}", {name}.numpy().tolist()' for name in plan.targets),
    }


def _literal(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a name that is no valid text
        return ascii(text)
    return repr(text)


def _numbers(files: tuple[str, ...]) -> str:
    """The numbers of the shards, in order: ``range(12)``, or ``[*range(0, 12), *range(14, 20)]``."""
    numbers = []
    for name in files:
        found = re.fullmatch(r"shards/pixels-(\d{5,})\.tfrecord", name)
        if found is None:
            raise StoreError(f"The plan names {name!r}, which is not a shard of a pixel store.")
        numbers.append(int(found.group(1)))
    ranges = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        ranges.append((members[0], members[-1] + 1))
    if len(ranges) == 1:
        return f"range({ranges[0][0]}, {ranges[0][1]})" if ranges[0][0] else f"range({ranges[0][1]})"
    return "[" + ", ".join(f"*range({first}, {end})" for first, end in ranges) + "]"


def _class_indices(indices: Mapping[str, int]) -> str:
    text = "{" + ", ".join(f"{_literal(name)}: {index}" for name, index in indices.items()) + "}"
    if len(text) + len("CLASS_INDICES = ") <= _MAX_COLUMNS:
        return text
    return f"None  # {len(indices)} classes: see class_indices in plan.json beside rows.npz"


def _within(limit: Any, number: int) -> str:
    return f"{limit!r} * (2 * numbers[{number}] - 1)" if limit else "np.zeros(count)"


def _shift(limit: Any, size: str, number: int, sign: int) -> str:
    if not limit:
        return "np.zeros(count)"
    values = affine.shift_values(limit)
    if values is None:
        drawn = _within(limit, number)
    else:
        shown = f"range({limit})" if np.ndim(limit) == 0 else repr(list(limit))
        drawn = f"choose({shown}, numbers[{number}], numbers[{sign}])"
    return f"{drawn} * {size}" if np.max(limit) < 1 else drawn


def _zoom(low: float, high: float, number: int) -> str:
    if low == high:
        return f"np.full(count, {low!r})" if low != 1 else "np.ones(count)"
    return f"{low!r} + ({high!r} - {low!r}) * numbers[{number}]"
