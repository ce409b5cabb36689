"""``kerasdiag explain``: everything about one check."""

from __future__ import annotations

import argparse
from typing import Any

_HELP = "everything about one check of the doctor"
_DESCRIPTION = """\
What a check finds, why that matters, what to do, and when to ignore it.

    kerasdiag explain KD101
    kerasdiag doctor --list       all checks
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command to the command line."""
    parser = commands.add_parser(
        "explain", help=_HELP, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("code", metavar="CODE", help="code of the check, such as KD101")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the page of one check."""
    from kerasdiag.cli.printing import show
    from kerasdiag.doctor.checks import CHECKS
    from kerasdiag.doctor.documentation import page
    from kerasdiag.doctor.selection import find_check

    show(page(find_check(CHECKS, arguments.code)))
    return 0
