"""``kerasdiag store clean``: delete stores, after saying how large they are and asking."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasdiag.cli.printing import local_time, show, show_table
from kerasdiag.environment.cache_directory import cache_directory
from kerasdiag.errors import StoreError
from kerasdiag.repair.choice.remember import SmallRepair, forget_all, list_choices
from kerasdiag.repair.pixel_store import find_store
from kerasdiag.repair.pixel_store.remove_store import (
    check_removable,
    is_left_over,
    left_over,
    remove_left_over,
    remove_store,
)
from kerasdiag.repair.progress import size

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class _Target:
    directory: Path
    remove: Callable[[Path], None]
    num_bytes: int
    text: str


def run(directory: Path | None, *, yes: bool) -> int:
    """Delete one store, or all; return 2 if any of them could not be deleted."""
    refused: list[str] = []
    targets = _one(directory) if directory is not None else _all(cache_directory(), refused)
    for reason in refused:
        print(f"kerasdiag: {reason}", file=sys.stderr)
    choices = [choice for _, choice in list_choices()] if directory is None else []
    if not targets and not choices:
        show(f"There is no pixel store to delete in {cache_directory()}.")
        return EXIT_USAGE if refused else 0
    if targets:
        show_table([(size(target.num_bytes), target.text, str(target.directory)) for target in targets], right=(0,))
    if choices:
        show(f"autofix remembers {choices_text(choices)} (kerasdiag store info lists them)")
    if not yes and not _confirmed(targets):
        show("Nothing was deleted.")
        return 0
    try:
        kept = [target for target in targets if not _deleted(target)]
        if choices:
            forget_all()
            show(f"forgot {choices_text(choices)}")
    except KeyboardInterrupt:
        print("kerasdiag: stopped; `kerasdiag store clean` deletes the rest.", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_USAGE if kept or refused else 0


def choices_text(choices: Sequence[SmallRepair]) -> str:
    """Return how many choices there are, in words."""
    of_stores = sum(choice.needs_store for choice in choices)
    without = len(choices) - of_stores
    parts = []
    if without:
        parts.append("1 repair without a store" if without == 1 else f"{without} repairs without a store")
    if of_stores:
        inputs = "1 input whose store goes" if of_stores == 1 else f"{of_stores} inputs whose stores go"
        parts.append(f"{inputs} into memory")
    return " and ".join(parts)


def _deleted(target: _Target) -> bool:
    try:
        target.remove(target.directory)
    except StoreError as error:
        print(f"kerasdiag: {error}", file=sys.stderr)
        return False
    show(f"deleted {target.directory}")
    return True


def _one(directory: Path) -> list[_Target]:
    directory = Path(os.path.abspath(directory))  # not resolved: a link to a store is not the store
    if is_left_over(directory):
        return [_left_over(directory)]
    check_removable(directory)
    return [_store(directory)]


def _all(cache_dir: Path, refused: list[str]) -> list[_Target]:
    targets = []
    stores_dir = cache_dir / "stores"
    for entry in find_store.list_stores(cache_dir):
        if is_left_over(entry.directory):
            continue
        try:
            check_removable(entry.directory)
        except StoreError as error:
            refused.append(str(error))
        else:
            targets.append(_store(entry.directory))
    return targets + [_left_over(path) for path in left_over(stores_dir)]


def _store(directory: Path) -> _Target:
    last_used = local_time(find_store.last_used_s(directory))
    return _Target(directory, remove_store, find_store.bytes_on_disk(directory), f"last used {last_used}")


def _left_over(path: Path) -> _Target:
    return _Target(path, remove_left_over, find_store.bytes_on_disk(path), "left by an interrupted cleaning")


def _confirmed(targets: list[_Target]) -> bool:
    """Ask; raise where there is nobody to ask."""
    what = {0: "what is remembered", 1: "this store"}.get(len(targets), f"these {len(targets)} stores")
    total = size(sum(target.num_bytes for target in targets))
    if not _is_terminal():
        raise StoreError(f"There is no terminal to ask whether to delete {what}; nothing was deleted. Say --yes.")
    try:
        question = f"Delete {what}, {total}?" if targets else f"Delete {what}?"
        answer = input(f"{question} The next autofix would make them anew. [y/N] ")
    except (EOFError, KeyboardInterrupt):
        show("")
        return False
    return answer.strip().lower() in ("y", "yes")


def _is_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False
