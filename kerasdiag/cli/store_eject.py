"""``kerasdiag store eject``: a plan as a tf.data script that needs no kerasdiag."""

from __future__ import annotations

import sys
from pathlib import Path

from kerasdiag.cli.printing import local_time
from kerasdiag.errors import StoreError
from kerasdiag.profile import write_whole
from kerasdiag.repair.pixel_store.store import open_store
from kerasdiag.repair.plans.eject import choose_plan, make_script
from kerasdiag.repair.plans.saved_plans import SavedPlan, list_plans


def run(directory: Path, output: Path, wanted: str | None, *, force: bool) -> int:
    """Write the script of one plan of a store."""
    directory = directory.absolute()
    open_store(directory)  # raises where there is none, or a shard is missing
    plans, problems = list_plans(directory)
    for problem in problems:
        print(f"kerasdiag: {problem}", file=sys.stderr)
    plan = choose_plan(directory, plans, wanted)
    if wanted is None and len(plans) > 1:
        print(f"kerasdiag: took the plan used last, {plan.identity}: {_describe(plan)}", file=sys.stderr)
        for other in plans[1:]:
            print(f"kerasdiag: --plan {other.identity} takes instead: {_describe(other)}", file=sys.stderr)
    if output.is_dir():
        raise StoreError(f"{output} is a directory; -o takes the name of the script.")
    if output.exists() and not force:
        raise StoreError(f"{output} exists; choose another -o, or overwrite it with --force.")
    script = make_script(directory, plan)
    try:
        write_whole(output, script)
    except OSError as error:
        raise StoreError(f"{output} cannot be written ({error.strerror or error}). Choose another -o.") from error
    print(f"wrote {output} ({len(script.splitlines())} lines); try it: python {output}", file=sys.stderr)
    return 0


def _describe(plan: SavedPlan) -> str:
    rows = f"{plan.num_rows:,} {plan.subset + ' ' if plan.subset else ''}rows in batches of {plan.batch_size}"
    return f"{rows}, augmentation: {plan.augmentation_text}, last used {local_time(plan.last_used_s)}"
