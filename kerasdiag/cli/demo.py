"""``kerasdiag demo``: the whole story on this machine in a minute or two."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HELP = "see it: a slow training, the verdict, the repair, the same training again"
_DESCRIPTION = """\
Make some hundred photo-like JPEGs, train a small CNN on them from flow_from_dataframe with rotation,
shear, zoom and flip, say what held it up, repair it with autofix, train again, and print one table.

    kerasdiag demo
    kerasdiag demo --data ~/photos                     your images; the folder of each is its class
    kerasdiag demo --data rows.csv --x-col path --y-col label

The model is sized for this machine: its step takes about a fifth of what the generator needs for a
batch at its best number of workers. Everything is written to a temporary folder, which goes at the end;
your images are only read.

Exit code 0: the training was input-bound with at least 60 % data wait, waits less than 5 % after the
repair, and its step became at least 3 times faster than with the generator at its best; or your own
images turned out not to be the bottleneck. 1: this machine showed something else, and it says what.
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command to the command line."""
    parser = commands.add_parser(
        "demo", help=_HELP, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="DIR|CSV", help="your own images")
    parser.add_argument("--x-col", metavar="NAME", help="column of the paths in a CSV file (default: the first)")
    parser.add_argument("--y-col", metavar="NAME", help="column of the classes (default: classes are made up)")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where relative paths of a CSV file begin")
    parser.add_argument(
        "--images", type=_positive, default=400, metavar="N", help="how many images, at most (default: 400)"
    )
    parser.add_argument("--size", type=_positive, default=300, metavar="PIXELS", help="height and width (default: 300)")
    parser.add_argument(
        "--batch-size",
        type=_positive,
        metavar="N",
        help="images in a batch (default: 32, or all where there are fewer)",
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="keep the profiles and the figures there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 0 if the story holds on this machine."""
    from kerasdiag.demo.story import DemoOptions, run_demo

    options = DemoOptions(
        data=arguments.data,
        x_col=arguments.x_col,
        y_col=arguments.y_col,
        directory=arguments.directory,
        images=arguments.images,
        size=arguments.size,
        batch_size=arguments.batch_size,
        save=arguments.save,
    )
    try:
        with _ended_by_signals():
            outcome = run_demo(options)
    except KeyboardInterrupt:
        print("\nkerasdiag: stopped.", file=sys.stderr)
        return 130
    if outcome.needs_no_repair and arguments.data is not None:
        print(
            "Your input pipeline is not what holds this training up; autofix repairs where a fifth of the time waits."
        )
        return 0
    for failure in outcome.failures:
        print(f"kerasdiag: {failure}", file=sys.stderr)
    return 1 if outcome.failures else 0


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a closed terminal and ``kill`` end the demo as Ctrl-C does, so that its files go."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number in numbers if before[number] is signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1. Received: {text!r}")
    return value
