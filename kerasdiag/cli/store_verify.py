"""``kerasdiag store verify``: every record against its checksum."""

from __future__ import annotations

import sys
from pathlib import Path

from kerasdiag.cli.printing import show
from kerasdiag.repair.conversion.shard import Manifest
from kerasdiag.repair.pixel_store.store import open_store, read_header, read_shard, store_of
from kerasdiag.repair.pixel_store.store_files import read_json
from kerasdiag.repair.pixel_store.tfrecord import crc32c
from kerasdiag.repair.progress import Progress, size

EXIT_DAMAGED = 1
EXIT_INTERRUPTED = 130


def run(directory: Path) -> int:
    """Check a store; return 0 if all is well, 1 if something is damaged."""
    directory = directory.absolute()
    loader, root = read_header(directory)
    crc32c()  # raises where the checksums cannot be computed
    manifests, problems = _manifests(directory)
    store = store_of(directory, loader, root, manifests)
    progress = Progress(store.num_records, "verifying")
    try:
        with progress:
            problems += store.verify(progress=progress.advance)
    except KeyboardInterrupt:
        checked = f"after {progress.done:,} of {store.num_records:,} records"
        print(f"kerasdiag: stopped {checked}; the store is as it was.", file=sys.stderr)
        return EXIT_INTERRUPTED
    for problem in problems:
        show(problem)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
        show(
            f'{directory} is damaged ({count}). Delete it with: kerasdiag store clean "{directory}"'
            " - the next autofix makes it anew from the images."
        )
        return EXIT_DAMAGED
    held = f"{store.num_records:,} records in {len(store.files):,} shards ({size(store.num_bytes)})"
    show(f"{directory} is whole: {held} match their checksums.")
    return 0


def _manifests(directory: Path) -> tuple[list[Manifest], list[str]]:
    """Return the shards that can be looked into, and what is wrong with the others."""
    index = directory / "index.json"
    if not index.exists():
        open_store(directory)  # raises: it is unfinished, there is nothing to verify yet
    try:
        shards = [str(shard) for shard in read_json(index)["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [], [f"{index} cannot be read ({error})."]
    found = [read_shard(directory, shard) for shard in shards]
    return [manifest for manifest, _ in found if manifest], [problem for manifest, problem in found if not manifest]
