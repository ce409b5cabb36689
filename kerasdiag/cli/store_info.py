"""``kerasdiag store info``: what stores there are, or what one store holds."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kerasdiag.cli.printing import local_time, show, show_table
from kerasdiag.environment.cache_directory import VARIABLE, cache_directory
from kerasdiag.errors import StoreError
from kerasdiag.repair.choice.remember import SmallRepair, list_choices
from kerasdiag.repair.pixel_store import find_store
from kerasdiag.repair.pixel_store.find_store import StoreEntry, list_stores
from kerasdiag.repair.pixel_store.remove_store import is_left_over
from kerasdiag.repair.pixel_store.store import Store, open_store, read_header
from kerasdiag.repair.plans.saved_plans import SavedPlan, list_plans
from kerasdiag.repair.progress import size
from kerasdiag.repair.proof import certificate
from kerasdiag.repair.proof.certificate import Certificate
from kerasdiag.spec import LoaderOptions

_COLUMNS = ("IMAGES", "SIZE", "DEAD", "LOADER", "LAST USED", "DATA ROOT", "DIRECTORY")
_REMEMBERED = {
    False: "Repairs without a store, which autofix makes again by itself:",
    True: "Inputs whose store autofix reads into memory, because from the disk it did not feed their training:",
}


def run(directory: Path | None, *, as_json: bool) -> int:
    """List all stores, or describe the one in ``directory``."""
    if directory is None:
        _list(cache_directory(), as_json)
    else:
        _describe(directory.absolute(), as_json)
    return 0


def loader_text(loader: LoaderOptions) -> str:
    """Return loader options in a few words."""
    height, width = loader.target_size
    cropped = ", keep_aspect_ratio" if loader.keep_aspect_ratio else ""
    dtype = "" if loader.pixel_dtype == "uint8" else f", {loader.pixel_dtype}"
    return f"{loader.color_mode} {height}x{width} {loader.interpolation}{cropped}{dtype}"


def _list(cache_dir: Path, as_json: bool) -> None:
    entries = list_stores(cache_dir)
    stores = [(entry, _opened(entry)) for entry in entries if not is_left_over(entry.directory)]
    left = [entry for entry in entries if is_left_over(entry.directory)]
    if as_json:
        show(json.dumps([_fields(entry, store) for entry, store in stores], indent=1))
        return
    if not stores:
        show(f"There is no pixel store in {cache_dir} ({VARIABLE} or cache_dir= chooses another place).")
    else:
        show_table([_COLUMNS, *(_row(entry, store) for entry, store in stores)], right=(0, 1, 2))
        show(f"{len(stores)} in {cache_dir}, {size(sum(entry.num_bytes for entry, _ in stores))}")
    for entry, _ in stores:
        if entry.problem is not None:
            show(entry.problem)
    choices = [choice for _, choice in list_choices()]
    for is_of_store, title in _REMEMBERED.items():
        rows = [_choice_row(choice) for choice in choices if choice.needs_store is is_of_store]
        if rows:
            show(f"\n{title}")
            show_table([("REPAIR", "CHOSEN", "INPUT", "WHY"), *rows])
    if left:
        held = size(sum(entry.num_bytes for entry in left))
        show(f"An interrupted cleaning left {held} behind; `kerasdiag store clean` deletes them.")


def _row(entry: StoreEntry, store: Store | None) -> tuple[str, ...]:
    images, dead = ("-", "-") if store is None else (f"{len(store.record_of_name):,}", size(store.dead_bytes))
    loader = "-" if entry.loader is None else loader_text(entry.loader)
    return (
        images, size(entry.num_bytes), dead, loader, local_time(entry.last_used_s), entry.root or "-",
        str(entry.directory),
    )  # fmt: skip


def _choice_row(choice: SmallRepair) -> tuple[str, ...]:
    repair = f"workers={choice.workers}" if choice.workers else f'storage="{choice.repair}"'
    return (repair, choice.created_at[:16].replace("T", " "), choice.input, choice.reason)


def _describe(directory: Path, as_json: bool) -> None:
    loader, root = read_header(directory)
    entry = _entry(directory, loader, root)
    store = _opened(entry)
    plans, problems = list_plans(directory)
    if as_json:
        plan_fields = [{**_plan_fields(plan), "certificate": _proof_fields(directory, plan)} for plan in plans]
        show(json.dumps({**_fields(entry, store), "plans": plan_fields, "plan_problems": problems}, indent=1))
        return
    lines = [
        ("directory", str(directory)),
        ("data root", root),
        ("loader", loader_text(loader)),
        ("size", f"{size(entry.num_bytes)} on disk"),
        ("last used", local_time(entry.last_used_s)),
    ]
    if store is None:
        lines.append(("problem", entry.problem or "cannot be read"))
    else:
        replaced = store.num_records - len(store.record_of_name)
        dead = f"{size(store.dead_bytes)} of {replaced:,} records whose files changed" if replaced else "none"
        lines[3:3] = [("images", f"{len(store.record_of_name):,} in {len(store.files):,} shards"), ("dead", dead)]
        if store.skipped:
            lines.append(("left out", f"{len(store.skipped):,} images that cannot be loaded"))
    show_table(lines)
    if plans:
        show("")
        show_table([("PLAN", "ROWS", "BATCH", "STEPS", "SUBSET", "LAST USED", "AUGMENTATION"), *map(_plan_row, plans)])
    for plan in plans:
        proof = _certificate(directory, plan)
        if proof is not None:
            show("")
            show(f"certificate of {plan.identity}")
            show(proof.render())
    for problem in problems:
        show(problem)


def _certificate(directory: Path, plan: SavedPlan) -> Certificate | None:
    return certificate.load(directory / "plans" / plan.identity)


def _plan_row(plan: SavedPlan) -> tuple[str, ...]:
    numbers = (f"{plan.num_rows:,}", str(plan.batch_size), str(plan.steps_per_epoch))
    return (plan.identity, *numbers, plan.subset or "-", local_time(plan.last_used_s), plan.augmentation_text)


def _entry(directory: Path, loader: LoaderOptions, root: str) -> StoreEntry:
    num_records = problem = None
    try:
        num_records = open_store(directory).num_records
    except StoreError as error:
        problem = str(error)
    num_bytes, last_used_s = find_store.bytes_on_disk(directory), find_store.last_used_s(directory)
    return StoreEntry(directory, loader, root, num_bytes, num_records, last_used_s, problem)


def _opened(entry: StoreEntry) -> Store | None:
    try:
        return open_store(entry.directory) if entry.problem is None else None
    except StoreError:  # it went while we were looking
        return None


def _fields(entry: StoreEntry, store: Store | None) -> dict[str, Any]:
    loader = entry.loader
    return {
        "directory": str(entry.directory),
        "root": entry.root,
        "loader": None if loader is None else {**vars(loader), "target_size": list(loader.target_size)},
        "images": None if store is None else len(store.record_of_name),
        "size_bytes": entry.num_bytes,
        "dead_bytes": None if store is None else store.dead_bytes,
        "last_used": _iso(entry.last_used_s),
        "problem": entry.problem,
    }


def _plan_fields(plan: SavedPlan) -> dict[str, Any]:
    return {
        "plan": plan.identity,
        "rows": plan.num_rows,
        "batch_size": plan.batch_size,
        "steps_per_epoch": plan.steps_per_epoch,
        "subset": plan.subset,
        "augmentation": plan.augmentation_text,
        "last_used": _iso(plan.last_used_s),
    }


def _proof_fields(directory: Path, plan: SavedPlan) -> dict[str, Any] | None:
    proof = _certificate(directory, plan)
    return None if proof is None else {"statement": proof.statement, **dataclasses.asdict(proof)}


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
