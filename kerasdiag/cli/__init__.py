"""The command line: one small file per sub-command, put together here."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from kerasdiag import __version__
from kerasdiag.cli import demo, doctor, explain, report, run, store
from kerasdiag.cli.parser import Parser
from kerasdiag.errors import KerasDiagError
from kerasdiag.texts import printable

EXIT_OK = 0
EXIT_USAGE = 2  # wrong usage or a bad input file; 1 and 3 belong to the doctor's findings
EXIT_INTERRUPTED = 130  # on Windows; elsewhere a process that Ctrl-C ends has no exit code

_DESCRIPTION = """\
Find out whether a Keras training waits for its data.

Run a training script as it is:

    kerasdiag run train.py --epochs 3

or add the profiler to it:

    from kerasdiag import BottleneckProfiler
    model.fit(train_data, callbacks=[BottleneckProfiler(report=["terminal", "run.kdprof.json"])])

and look at a run again later with: kerasdiag report run.kdprof.json
What on this machine makes trainings slow is found with: kerasdiag doctor
The whole story, on this machine, in two minutes: kerasdiag demo
What autofix keeps on the disk is shown, checked and deleted with: kerasdiag store
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (0 fine, 2 wrong usage or bad input file; the doctor also gives 1 and 3)."""
    parser = Parser(prog="kerasdiag", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"kerasdiag {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    demo.add_parser(commands)
    doctor.add_parser(commands)
    explain.add_parser(commands)
    run.add_parser(commands)
    report.add_parser(commands)
    store.add_parser(commands)
    parsed = parser.parse_all(arguments)
    if not hasattr(parsed, "run"):
        parser.print_help()
        return EXIT_OK
    try:
        code = parsed.run(parsed)
        if sys.stdout is not None:  # None: it was closed before we came (>&-)
            sys.stdout.flush()
        return int(code)
    except KerasDiagError as error:
        _say(str(error))
        return EXIT_USAGE
    except BrokenPipeError:  # `kerasdiag report ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        _say("stopped.")
        return _end_by_interrupt()


def _say(text: str) -> None:
    with contextlib.suppress(Exception):  # the exit code says it, too
        sys.stderr.write(f"kerasdiag: {printable(text)}\n")


def _end_by_interrupt() -> int:
    """End as Ctrl-C ends any program, so that a shell's loop ends with it; what hangs in a thread holds up nothing."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.name != "nt":
        os.kill(os.getpid(), signal.SIGINT)
    return EXIT_INTERRUPTED
