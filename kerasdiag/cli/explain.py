"""``kerasdiag explain``: everything about one check of the doctor, or about a verdict or finding of the profiler."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from typing import Any

_HELP = "everything about one check of the doctor, a verdict, or a finding of a run"
_DESCRIPTION = """\
What a check finds, why that matters, what to do, and when to ignore it; or what a verdict or finding of the profiler
means, and what to do about it.

    kerasdiag explain KD101
    kerasdiag explain input-bound
    kerasdiag explain slowest-stage
    kerasdiag doctor --list       all checks
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command to the command line."""
    parser = commands.add_parser(
        "explain", help=_HELP, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "code",
        metavar="CODE",
        help="code or name of a check (KD101), a verdict (input-bound), or a finding of a run (slowest-stage)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the page of all that has this name.

    Raises:
        DoctorUsageError: Nothing has it.
    """
    from kerasdiag.cli.printing import show
    from kerasdiag.cli.wrapping import wrap_page
    from kerasdiag.diagnosis.advice import explain_verdict
    from kerasdiag.diagnosis.explanations import explain_finding
    from kerasdiag.doctor.checks import CHECKS
    from kerasdiag.doctor.documentation import page
    from kerasdiag.doctor.selection import find_check
    from kerasdiag.errors import DoctorUsageError
    from kerasdiag.report.console import stream_width

    name = re.sub(r"[_\s]+", "-", arguments.code.strip().lower())  # as in Python, or as the panel has it
    pages = [each for each in (explain_verdict(name), explain_finding(name)) if each is not None]
    try:
        pages.append(page(find_check(CHECKS, name)))
    except DoctorUsageError:
        if not pages:
            raise DoctorUsageError(_nothing(arguments.code, name)) from None
    show(wrap_page("\n\n".join(pages), stream_width(sys.stdout)))
    return 0


def _nothing(given: str, name: str) -> str:
    """The error for a name of nothing: what is near it first, then all that there is."""
    from kerasdiag.diagnosis.explanations import EXPLANATIONS
    from kerasdiag.diagnosis.verdict import Verdict
    from kerasdiag.doctor.checks import CHECKS

    groups = {
        "Verdicts": [str(verdict) for verdict in Verdict],
        "Findings of a run": list(EXPLANATIONS),
        "Checks": [check.code for check in CHECKS],
    }
    names = [each for group in groups.values() for each in group] + [check.name for check in CHECKS]
    every = {each.lower(): each for each in names}
    near = [every[each] for each in difflib.get_close_matches(name, every)]
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    listed = [f"  {title}: {', '.join(group)}" for title, group in groups.items()]
    return "\n".join([f"There is nothing by the name {given}.{guess} There are:", *listed])
