"""``kerasdiag doctor``: what on this machine and in this environment makes a training slow."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasdiag.doctor.collect import Request
    from kerasdiag.findings import DoctorReport

EXIT_FOUND = 1
EXIT_INCOMPLETE = 3

FORMATS = ("text", "json")
FAIL_ON = ("never", "warn", "error")

_HELP = "find what makes a training slow: packages, disk, cores, workers, the script"
_DESCRIPTION = """\
Look at this machine, this environment, your data, your script and a profile of its training. Each
finding says what it costs, how that is known, and what to do. Nothing is changed, TensorFlow is not imported.

    kerasdiag doctor                              packages and cores
    kerasdiag doctor --data photos/               the disk under the images too (reads some of them)
    kerasdiag doctor --data train.csv --x-col path --directory photos/
    kerasdiag doctor --data photos/ --profile run.kdprof.json
                                                  what your training waited decides what matters
    kerasdiag doctor train.py                     the script too (a notebook, a folder of them); it is never run
    kerasdiag doctor --format json --fail-on warn for scripts
    kerasdiag explain KD301                       everything about one check

The profile is what BottleneckProfiler(report="run.kdprof.json") saved. Exit codes: 0 fine, 1 findings as severe
as --fail-on, 2 wrong usage, 3 with --strict: a check crashed or did not come back.
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command to the command line."""
    parser = commands.add_parser(
        "doctor", help=_HELP, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    look = parser.add_argument_group("what to look at")
    look.add_argument(
        "scripts", nargs="*", metavar="SCRIPT", help="training scripts, notebooks, folders of them; never run"
    )
    look.add_argument("--data", metavar="DIR|CSV", help="the images: a folder, or a CSV with one row for each")
    look.add_argument("--x-col", metavar="NAME", help="column of the file names (filename)")
    look.add_argument("--directory", metavar="DIR", help="folder of the file names (that of the CSV)")
    look.add_argument("--profile", type=Path, metavar="FILE", help="a saved profile of the training")
    look.add_argument("--no-io", action="store_true", help="read no file of the data")
    choose = parser.add_argument_group("which checks")
    choose.add_argument(
        "--select", type=_codes, action="extend", default=[], metavar="CODES", help="only these, such as KD101,KD3"
    )
    choose.add_argument("--ignore", type=_codes, action="extend", default=[], metavar="CODES", help="not these")
    choose.add_argument("--timeout", type=_seconds, metavar="S", help="give up on a check after S seconds (10)")
    choose.add_argument("--list", action="store_true", help="list all checks and do nothing else")
    show = parser.add_argument_group("what comes out")
    show.add_argument("--format", choices=FORMATS, default="text", help="text (default) or json")
    show.add_argument("-v", "--verbose", action="store_true", help="what every check saw, and how long it took")
    show.add_argument("--fail-on", choices=FAIL_ON, default="error", help="exit with 1 from this severity on (error)")
    show.add_argument("--strict", action="store_true", help="exit with 3 if a check crashed or did not come back")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine, print, and return the exit code."""
    from kerasdiag.cli.printing import show_table
    from kerasdiag.doctor.checks import CHECKS
    from kerasdiag.doctor.documentation import rows
    from kerasdiag.doctor.runner import TIMEOUT_S, examine
    from kerasdiag.doctor.selection import select_checks

    checks = select_checks(CHECKS, arguments.select, arguments.ignore)
    if arguments.list:
        opt_in = () if arguments.select or arguments.ignore else [check for check in CHECKS if check.is_opt_in]
        show_table(rows([check for check in CHECKS if check in checks or check in opt_in]))
        return 0
    report = examine(checks, _request(arguments), timeout_s=arguments.timeout or TIMEOUT_S)
    _print(report, arguments)
    return exit_code(report, arguments.fail_on, strict=arguments.strict)


def exit_code(report: DoctorReport, fail_on: str, *, strict: bool) -> int:
    """Return 1 for findings as severe as ``fail_on``, else 3 for an incomplete report if ``strict``, else 0."""
    from kerasdiag.findings import Severity

    least = None if fail_on == "never" else Severity(fail_on).rank
    if least is not None and any(finding.severity.rank >= least for finding in report.findings):
        return EXIT_FOUND
    return EXIT_INCOMPLETE if strict and not report.complete else 0


def _request(arguments: argparse.Namespace) -> Request:
    from kerasdiag.doctor.collect import Request
    from kerasdiag.environment.data_files import DataRequest
    from kerasdiag.errors import DoctorUsageError
    from kerasdiag.profile import RunProfile

    data = None
    if arguments.data is not None:
        data = DataRequest(arguments.data, arguments.x_col or DataRequest("").x_col, arguments.directory)
    elif arguments.x_col is not None or arguments.directory is not None:
        raise DoctorUsageError("--x-col and --directory belong to --data FILE.csv, which is missing.")
    profile = RunProfile.load(arguments.profile) if arguments.profile is not None else None
    return Request(data, profile, reads_files=not arguments.no_io, scripts=tuple(arguments.scripts) or None)


def _print(report: DoctorReport, arguments: argparse.Namespace) -> None:
    from kerasdiag.report import doctor_json, doctor_text

    if arguments.format == "json":
        sys.stdout.write(doctor_json.render(report))
    else:
        sys.stdout.write(doctor_text.render_for(sys.stdout, report, verbose=arguments.verbose))


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code.strip() for code in text.split(",") if code.strip())


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0. Received: {text}")
    return seconds
