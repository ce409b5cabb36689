"""``kerasdiag doctor``: what on this machine and in this environment makes a training slow."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasdiag.cli.waiting_line import WaitingLine
from kerasdiag.environment.own_python import own_pip
from kerasdiag.errors import ReportError

if TYPE_CHECKING:
    from kerasdiag.doctor.collect import Request
    from kerasdiag.findings import DoctorReport

EXIT_FOUND = 1
EXIT_INCOMPLETE = 3

FORMATS = ("text", "json", "markdown", "github")
FAIL_ON = ("never", "warn", "error")
AUGMENTATIONS = ("none", "affine")
MOST_SIDE = 4096  # of --target-size; a batch of such images has 6 GB

_HELP = "find what makes a training slow: packages, disk, cores, workers, the script"
_DESCRIPTION = """\
Look at this machine, this environment, your data, your script and a profile of its training for what makes it
slow. Each finding says what it costs, how that is known, and what to do. Nothing is changed. TensorFlow is
started in a process of its own only.

    kerasdiag doctor                              packages and cores
    kerasdiag doctor --data photos/               the disk and the images too: how many a second this
                                                  machine reads, decodes and augments (5 s, reads some)
    kerasdiag doctor --data photos/ --target-size 224x224 --augmentation none
    kerasdiag doctor --data train.csv --x-col path --directory photos/
    kerasdiag doctor --data photos/ --profile run.kdprof.json
                                                  what your training waited decides what matters
    kerasdiag doctor --python .venv               the packages of another Python, seen from outside
    kerasdiag doctor -r requirements.txt -r Dockerfile
                                                  packages that nobody has installed yet
    kerasdiag doctor train.py                     the training script too (notebook, folder); it is not run
    kerasdiag doctor --format json --fail-on warn for scripts
    kerasdiag doctor --format markdown            to paste into an issue, without names of yours
    kerasdiag explain KD301                       everything about one check

The profile is what BottleneckProfiler(report="run.kdprof.json") saved. A project keeps options in its
pyproject.toml:

    [tool.kerasdiag]
    ignore = ["KD302"]
    fail-on = "warn"                              also select, strict, timeout, data, x-col, directory

Exit codes: 0 fine, 1 findings as severe as --fail-on, 2 wrong usage, 3 with --strict: a check crashed, did
not come back, or had no time.
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
    look.add_argument("--x-col", type=_named, metavar="NAME", help="column of the file names (filename)")
    look.add_argument("--directory", type=_named, metavar="DIR", help="folder of the file names (that of the CSV)")
    look.add_argument("--profile", type=Path, metavar="FILE", help="a saved profile of the training")
    look.add_argument(
        "--target-size", type=_size, metavar="HxW", help="pixels of the training (of the profile, else 256x256)"
    )
    look.add_argument(
        "--augmentation", choices=AUGMENTATIONS, help="of the training (of the profile, else affine with flip)"
    )
    look.add_argument("--no-io", action="store_true", help="read no file of the data")
    look.add_argument("--no-probe", action="store_true", help="do not start TensorFlow in another process")
    look.add_argument(
        "--python",
        type=_named,
        metavar="EXE",
        help="look at the packages of this interpreter or environment folder instead",
    )
    look.add_argument(
        "-r", "--requirement", type=_named, action="append", default=[], metavar="FILE",
        help="look at a list instead: requirements, a lock file, environment.yml, a Dockerfile; may be repeated",
    )  # fmt: skip
    choose = parser.add_argument_group("which checks")
    choose.add_argument("--select", type=_codes, action="extend", metavar="CODES", help="only these, such as KD101,KD3")
    choose.add_argument("--ignore", type=_codes, action="extend", metavar="CODES", help="not these")
    choose.add_argument("--timeout", type=_seconds, metavar="S", help="give up on a check after S seconds (12)")
    choose.add_argument("--list", action="store_true", help="list all checks and do nothing else")
    show = parser.add_argument_group("what comes out")
    show.add_argument(
        "--format", choices=FORMATS, default="text", help="text (default), json, markdown, or github (annotations)"
    )
    show.add_argument("-v", "--verbose", action="store_true", help="what every check saw, how long it took, and links")
    show.add_argument("--fail-on", choices=FAIL_ON, help="exit with 1 from this severity on (error)")
    show.add_argument(
        "--strict",
        action="store_true",
        default=None,
        help="exit with 3 if a check crashed, did not come back or had no time",
    )
    choose.add_argument("--no-config", action="store_true", help="take no options from pyproject.toml")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine, print, and return the exit code."""
    from kerasdiag.cli.printing import show_table, write_out
    from kerasdiag.doctor.checks import CHECKS
    from kerasdiag.doctor.documentation import rows
    from kerasdiag.doctor.runner import examine
    from kerasdiag.doctor.selection import select_checks

    _add_configuration(arguments)
    checks = select_checks(CHECKS, arguments.select or (), arguments.ignore or ())
    if arguments.list:
        opt_in = () if arguments.select or arguments.ignore else [check for check in CHECKS if check.is_opt_in]
        show_table(rows([check for check in CHECKS if check in checks or check in opt_in]))
        return 0
    waiting = WaitingLine(sys.stderr)
    try:
        report = examine(checks, _request(arguments), timeout_s=arguments.timeout, on_wait=waiting.tell)
    finally:
        waiting.clear()
    write_out(_rendered(report, arguments))
    return exit_code(report, arguments.fail_on or "error", strict=bool(arguments.strict))


def exit_code(report: DoctorReport, fail_on: str, *, strict: bool) -> int:
    """Return 1 for findings as severe as ``fail_on``, else 3 for an incomplete report if ``strict``, else 0."""
    from kerasdiag.findings import Severity

    least = None if fail_on == "never" else Severity(fail_on).rank
    if least is not None and any(finding.severity.rank >= least for finding in report.findings):
        return EXIT_FOUND
    return EXIT_INCOMPLETE if strict and not report.complete else 0


def _add_configuration(arguments: argparse.Namespace) -> None:
    """Take from pyproject.toml what the command line leaves open."""
    from kerasdiag.cli.configuration import find_file, read_options

    try:
        file = None if arguments.no_config else find_file(Path.cwd())
    except OSError:  # the current directory was deleted
        file = None
    if file is None:
        return
    options = read_options(file)
    if arguments.data is not None:  # the column and the folder of other data mean nothing here
        options = {name: value for name, value in options.items() if name not in ("x_col", "directory")}
    for name, value in options.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def _request(arguments: argparse.Namespace) -> Request:
    from kerasdiag.doctor.collect import Request
    from kerasdiag.environment.data_files import DataRequest
    from kerasdiag.environment.throughput.asked import WorkRequest
    from kerasdiag.errors import DoctorUsageError
    from kerasdiag.profile import RunProfile

    data = None
    if arguments.data is not None:
        data = DataRequest(arguments.data, arguments.x_col, arguments.directory)
    elif arguments.x_col is not None or arguments.directory is not None:
        raise DoctorUsageError("--x-col and --directory belong to --data FILE.csv, which is missing.")
    work = WorkRequest(arguments.target_size, arguments.augmentation)
    if data is None and work != WorkRequest():
        raise DoctorUsageError("--target-size and --augmentation belong to --data DIR|CSV, which is missing.")
    profile = RunProfile.load(arguments.profile) if arguments.profile is not None else None
    # A pipe (/dev/fd/63) is empty by now. With slashes, as Python takes it on every system.
    is_kept = arguments.profile is not None and arguments.profile.is_file()
    if arguments.python is not None and arguments.requirement:
        raise DoctorUsageError("--python and -r name two environments. Give one of them.")
    return Request(
        data,
        profile,
        reads_files=not arguments.no_io,
        probes=not arguments.no_probe,
        python=arguments.python,
        lists=tuple(arguments.requirement),
        work=work,
        scripts=tuple(arguments.scripts) or None,
        profile_file=arguments.profile.as_posix() if is_kept else "",
    )


def _rendered(report: DoctorReport, arguments: argparse.Namespace) -> str:
    if arguments.format == "json":
        from kerasdiag.report import doctor_json

        return doctor_json.render(report)
    if arguments.format == "markdown":
        from kerasdiag.report import doctor_markdown
        from kerasdiag.report.redaction import own_names, redact

        return doctor_markdown.render(redact(report, own_names()))
    if arguments.format == "github":
        from kerasdiag.report import doctor_github

        return doctor_github.render(report)
    try:
        from kerasdiag.report import doctor_text
    except Exception as error:  # rich is missing or broken, which is no reason to have looked for nothing
        raise ReportError(
            f"the text needs rich, which cannot be imported here ({type(error).__name__}: {error}): "
            f"{own_pip()} install rich. The other formats need none: --format json."
        ) from None
    return doctor_text.render_for(sys.stdout, report, verbose=arguments.verbose)


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    try:
        height, width = [int(side) for side in (sides * 2 if len(sides) == 1 else sides)]
    except ValueError:
        height = width = 0
    if not (0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE):
        expected = f"HEIGHTxWIDTH in pixels, from 1x1 to {MOST_SIDE}x{MOST_SIDE}"
        raise argparse.ArgumentTypeError(f"must be {expected}. Received: {text!r}")
    return height, width


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(code.strip() for code in text.split(",") if code.strip())
    if not codes:  # a variable of a shell script that is not set would mean all checks
        raise argparse.ArgumentTypeError(f"must be codes, such as KD101,KD3. Received: {text!r}")
    return codes


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0. Received: {text!r}")
    return seconds


def _named(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty.")
    return text
