"""``kerasdiag report``: show a saved profile again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

_HELP = "show the verdict of a saved profile"
_DESCRIPTION = """\
Read a profile that BottleneckProfiler saved, judge it by today's rules, and print the panel that
the training printed.

    kerasdiag report run.kdprof.json
    kerasdiag report run.kdprof.json -o run.txt     write the panel to a file
    kerasdiag report run.kdprof.json -o new.json    the profile with today's diagnosis
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command to the command line."""
    parser = commands.add_parser(
        "report", help=_HELP, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", type=Path, metavar="PROFILE", help="a .kdprof.json file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write to FILE instead; its extension (.txt, .json) is the format",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the report of one profile."""
    from kerasdiag.cli.printing import write_out
    from kerasdiag.diagnosis import diagnose
    from kerasdiag.errors import ReportError
    from kerasdiag.profile import RunProfile, write_whole
    from kerasdiag.report import renderer_for
    from kerasdiag.report.terminal import render_for

    render = renderer_for(arguments.output) if arguments.output else None
    diagnosis = diagnose(RunProfile.load(arguments.profile))
    if render is None:
        write_out(render_for(sys.stdout, diagnosis))
        return 0
    try:
        write_whole(arguments.output, render(diagnosis))
    except OSError as error:
        raise ReportError(
            f"{arguments.output}: cannot be written ({error.strerror or error}). Choose another -o."
        ) from error
    print(f"wrote {arguments.output}", file=sys.stderr)
    return 0
