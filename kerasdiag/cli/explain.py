"""``kerasdiag explain``: everything about one check of the doctor, or about a verdict of the profiler."""

from __future__ import annotations

import argparse
from typing import Any

_HELP = "everything about one check of the doctor, or a verdict"
_DESCRIPTION = """\
What a check finds, why that matters, what to do, and when to ignore it; or what a verdict of the profiler means, what
to do about it, and when it may be wrong.

    kerasdiag explain KD101
    kerasdiag explain input-bound
    kerasdiag doctor --list       all checks
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command to the command line."""
    parser = commands.add_parser(
        "explain", help=_HELP, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "code", metavar="CODE", help="code of a check, such as KD101, or a verdict, such as input-bound"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the page of one check or verdict."""
    from kerasdiag.cli.printing import show
    from kerasdiag.diagnosis.advice import explain_verdict
    from kerasdiag.doctor.checks import CHECKS
    from kerasdiag.doctor.documentation import page
    from kerasdiag.doctor.selection import find_check

    show(explain_verdict(arguments.code) or page(find_check(CHECKS, arguments.code)))
    return 0
