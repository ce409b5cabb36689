"""``kerasdiag run``: profile every fit of a script that stays as it is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kerasdiag.cli.parser import STRAY_HINT

_HELP = "profile every fit of an unchanged script"
_USAGE = """\
kerasdiag run [--until-verdict] [-o FILE] SCRIPT [ARGUMENT ...]
       kerasdiag run [--until-verdict] [-o FILE] -m MODULE [ARGUMENT ...]"""
_DESCRIPTION = """\
Run a training script as it is, and say of every model.fit in it whether it waits for its data.

    kerasdiag run train.py --epochs 3              instead of: python train.py --epochs 3
    kerasdiag run -m package.train --epochs 3      instead of: python -m package.train --epochs 3
    kerasdiag run -o run.kdprof.json train.py      keep the profile; a second fit goes to run-2.kdprof.json
    kerasdiag run --until-verdict train.py         stop as soon as the verdict is clear

The script runs as under plain python: arguments, paths, output, losses, exit code and signals are its own.
What kerasdiag says goes to stderr. KERASDIAG_DISABLE=1 leaves plain python. A fit that has a
BottleneckProfiler gets no second panel. Fits in child processes are not seen.
"""
_STRAY = ". The script's own arguments come after the script: kerasdiag run train.py --epochs 3"
_EPILOG = """\
--until-verdict ends the script from inside a training step, with exit code 0, once the verdict has been the
same for 20 steps and its 95 % intervals lie on one side of the thresholds (5 % and 20 % wait, 20 % callbacks,
20 % starting the steps); at the latest with the first step that ends 60 s after the first one of the script. It
prints verdict, what to do next, and what the waiting costs. A fit that ends earlier just ends, and the script
goes on.

Nothing after that step is run: no model.save, no finally, no atexit. Keras' callbacks that keep the model
(ModelCheckpoint, BackupAndRestore and what is made from them) are left out from the start, so no checkpoint
of yours is replaced by one of a few steps; a script that loads between two fits what the first one kept does not
find it. A loop of your own keeps its callbacks. What else a script writes in its first steps is written:
TensorBoard and CSVLogger logs, files of its own callbacks, everything before fit. Where that hurts, give the
script another output folder.
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command to the command line."""
    parser = commands.add_parser(
        "run",
        help=_HELP,
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--until-verdict", action="store_true", help="stop once the verdict is clear (see below)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write each profile to FILE; its extension (.json, .txt) is the format",
    )
    parser.add_argument("-m", dest="is_module", action="store_true", help="run a module, as python -m does")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="SCRIPT ...", help="what to run, and its arguments"
    )
    parser.set_defaults(run=run, **{STRAY_HINT: _STRAY})


def run(arguments: argparse.Namespace) -> int:
    """Check what can be checked before the training, then hand this process over to the script."""
    from kerasdiag.cli import launch

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    python = launch.python_command(command, is_module=arguments.is_module)
    output = _check_output(arguments.output) if arguments.output else None
    environment = launch.script_environment(until_verdict=arguments.until_verdict, output=output)
    return launch.become(python, environment)


def _check_output(path: Path) -> Path:
    """Return where the profiles go, wherever the script may change to; refuse what cannot work."""
    from kerasdiag.errors import ReportError
    from kerasdiag.profiler.publisher import why_unwritable
    from kerasdiag.report import renderer_for

    renderer_for(path)
    path = Path.cwd() / path
    reason = why_unwritable(path)
    if reason is not None:
        raise ReportError(f"{path}: cannot be written ({reason}). Choose another -o.")
    return path
