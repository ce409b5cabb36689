"""The plans beside a store's shards, read again: for ``store info`` and ``store eject``."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasdiag.repair.ops import affine
from kerasdiag.repair.pixel_store.store_files import read_json
from kerasdiag.repair.plans.plan_files import FORMAT
from kerasdiag.spec import PIXEL_DTYPES, AugmentationOptions

_QUIET = {"interpolation_order", "fill_mode", "cval", "zca_epsilon"}  # they matter beside other options only


@dataclass(frozen=True, eq=False)
class SavedPlan:
    """A plan as it lies on the disk.

    Attributes:
        identity: Name of its directory.
        last_used_s: When autofix last used it, in seconds since the epoch.
        image_shape: Height, width, channels.
        pixel_dtype: dtype of the stored pixels, little-endian.
        files: Path of each shard below the store's directory.
        shard: For each row the number of its file.
        targets: ``labels`` and ``weights`` of each row, those that there are.
        one_hot_classes: Length of the one-hot vectors that the labels, class numbers, stand for; None
            where the labels are what they are.
        class_indices: Class name to index; empty without classes.
        batch_size: Rows in a full batch.
        steps_per_epoch: Batches of one iteration.
        shuffle: Whether each pass has an order of its own.
        seed: Key of draws and permutations; 0 where the generator has none.
        subset: ``"training"``, ``"validation"`` or None.
        augmentation: What happens to the pixels.
        unusual: What few generators have, as a script would name it: ``"mode='replay'"`` ...
    """

    identity: str
    last_used_s: float
    image_shape: tuple[int, int, int]
    pixel_dtype: str
    files: tuple[str, ...]
    shard: np.ndarray[Any, Any]
    targets: tuple[str, ...]
    one_hot_classes: int | None
    class_indices: dict[str, int]
    batch_size: int
    steps_per_epoch: int
    shuffle: bool
    seed: int
    subset: str | None
    augmentation: AugmentationOptions
    unusual: tuple[str, ...] = ()

    @property
    def num_rows(self) -> int:
        """Rows in one pass."""
        return len(self.shard)

    @property
    def augmentation_text(self) -> str:
        """The options that change a pixel, as one would type them."""
        options, neutral = self.augmentation, AugmentationOptions()
        names = [name for name in vars(options) if getattr(options, name) != getattr(neutral, name)]
        quiet = set() if affine.warps(options) else _QUIET
        shown = [f"{name}={_short(getattr(options, name))}" for name in names if name not in quiet]
        return ", ".join(shown) or "none"


def list_plans(directory: Path) -> tuple[list[SavedPlan], list[str]]:
    """Return the plans of a store, the one used last first; and what is wrong with those that cannot be read."""
    plans: list[SavedPlan] = []
    problems: list[str] = []
    for path in sorted((directory / "plans").glob("*/plan.json")):
        plan = _load(path)
        if isinstance(plan, str):
            problems.append(plan)
        else:
            plans.append(plan)
    return sorted(plans, key=lambda plan: -plan.last_used_s), problems


def _load(path: Path) -> SavedPlan | str:
    """Return a plan, or what is wrong with it."""
    try:
        fields = read_json(path)
        version = fields["kerasdiag_plan"]
        if version != FORMAT:
            return f"The plan {path} has format {version}; this kerasdiag reads format {FORMAT}."
        with np.load(path.with_name("rows.npz"), allow_pickle=False) as rows:
            shard, targets = rows["shard"], tuple(name for name in ("labels", "weights") if name in rows.files)
        height, width, channels = map(int, fields["image_shape"])
        pixel_dtype = str(fields.get("pixel_dtype", "uint8"))
        if pixel_dtype not in PIXEL_DTYPES:
            return f"The plan {path} has pixels of the dtype {pixel_dtype}, which this kerasdiag does not know."
        augmentation = dict(fields["augmentation"])
        augmentation["zoom_range"] = tuple(augmentation["zoom_range"])
        return SavedPlan(
            identity=path.parent.name,
            last_used_s=path.stat().st_mtime,
            image_shape=(height, width, channels),
            pixel_dtype=pixel_dtype,
            files=tuple(map(str, fields["files"])),
            shard=shard,
            targets=targets,
            one_hot_classes=fields["one_hot_classes"],
            class_indices={str(name): int(index) for name, index in fields["class_indices"].items()},
            batch_size=int(fields["batch_size"]),
            steps_per_epoch=int(fields["steps_per_epoch"]),
            shuffle=bool(fields["shuffle"]),
            seed=int(fields["seed"] or 0),
            subset=fields["subset"],
            augmentation=AugmentationOptions(**augmentation),
            unusual=_unusual(fields),
        )
    except OSError as error:
        return f"The plan {path} cannot be read: {error.strerror or error}."
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        return f"The plan {path} is damaged ({error})."


def _unusual(fields: dict[str, Any]) -> tuple[str, ...]:
    names = ("dtype", "data_format", "mode")
    found = [f"{name}={fields[name]!r}" for name in names if name in fields]
    if fields.get("class_mode") in {"input", "multi_output"}:
        found.append(f"class_mode={fields['class_mode']!r}")
    return tuple(found)


def _short(value: object) -> str:
    """A value as one would type it: 0.8, not 0.7999999999999999."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_short, value))})"
    return repr(value)
