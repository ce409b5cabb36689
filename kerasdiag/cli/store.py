"""``kerasdiag store``: look at, check, delete and take along the pixel stores that autofix made."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_HELP = "look at, check, delete or eject the pixel stores that autofix made"
_DESCRIPTION = """\
autofix keeps what Keras' loader made of each image in a pixel store, in the cache directory. A store
can be made again from the images at any time. Where something smaller was enough (more workers, or its
kernel over the original files), or a store has to be read into memory, it keeps a note of that beside the stores.

    kerasdiag store info                       every store: size, last use, whose images
    kerasdiag store info DIR                   one store and its plans
    kerasdiag store verify DIR                 compare every record with its checksum
    kerasdiag store clean                      delete stores, after asking
    kerasdiag store eject DIR -o pipeline.py   the same pipeline as plain tf.data, without kerasdiag
"""
_INFO = """\
Without DIR: every store in the cache directory (KERASDIAG_CACHE_DIR chooses another one), the inputs
for which a repair without a store was enough, and those whose store is read into memory. With DIR: one
store, and its plans: a plan is what one generator does with the images (rows, labels, batch size,
augmentation), with the certificate of the comparison that autofix made before it handed the dataset over.

    kerasdiag store info
    kerasdiag store info ~/.cache/kerasdiag/stores/19766a8ff968
    kerasdiag store info --json                for scripts
"""
_VERIFY = """\
Compare every record of a store with its checksum. Exit code 0: all is well; 1: something is damaged, one
sentence each. Nothing is changed, and Ctrl-C may stop it at any time.

    kerasdiag store verify ~/.cache/kerasdiag/stores/19766a8ff968

What is damaged is mended by deleting the store (kerasdiag store clean DIR): the next autofix makes it anew.
"""
_CLEAN = """\
Delete a store, or without DIR all stores in the cache directory and what autofix remembers besides them
(kerasdiag store info lists both). Says what it would delete and how large that is, then asks. Only pixel
stores are deleted, never your images; the next autofix makes a deleted store anew.

    kerasdiag store clean ~/.cache/kerasdiag/stores/19766a8ff968
    kerasdiag store clean                      all stores
    kerasdiag store clean --yes                do not ask (scripts)

A store that a conversion is writing is left alone. A training that reads a store fails when it is deleted.
"""
_EJECT = """\
Write a tf.data script of at most 150 lines that reads the store where it lies and gives what the repaired
dataset gives: the same rows, labels, batches and steps, the same augmentation, for the same draws the same
pixels. It needs TensorFlow and NumPy, and no kerasdiag.

    kerasdiag store eject ~/.cache/kerasdiag/stores/19766a8ff968 -o pipeline.py
    python pipeline.py                         shows what it gives, and how fast

    from pipeline import make_dataset
    model.fit(make_dataset(), epochs=3)

Each generator that used the store left a plan (training and validation: two). The one used last is taken;
--plan chooses another, kerasdiag store info DIR lists them.
"""


def add_parser(commands: Any) -> None:  # Any: argparse has no public type for it
    """Add the sub-command and its own sub-commands to the command line."""
    parser = _parser(commands, "store", _HELP, _DESCRIPTION)
    parser.set_defaults(run=lambda _: _print_help(parser))
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    info = _parser(actions, "info", "list stores, or describe one", _INFO)
    info.add_argument("directory", type=Path, nargs="?", metavar="DIR", help="a store; default: all in the cache")
    info.add_argument("--json", action="store_true", help="machine-readable output")
    info.set_defaults(run=_info)

    verify = _parser(actions, "verify", "compare every record with its checksum", _VERIFY)
    verify.add_argument("directory", type=Path, metavar="DIR", help="a store")
    verify.set_defaults(run=_verify)

    clean = _parser(actions, "clean", "delete stores, after asking", _CLEAN)
    clean.add_argument("directory", type=Path, nargs="?", metavar="DIR", help="a store; default: all in the cache")
    clean.add_argument("--yes", action="store_true", help="do not ask")
    clean.set_defaults(run=_clean)

    eject = _parser(actions, "eject", "write the pipeline as plain tf.data", _EJECT)
    eject.add_argument("directory", type=Path, metavar="DIR", help="a store")
    eject.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the script to write")
    eject.add_argument("--plan", metavar="ID", help="which plan; the beginning of its name is enough")
    eject.add_argument("--force", action="store_true", help="overwrite FILE")
    eject.set_defaults(run=_eject)


def _parser(commands: Any, name: str, brief: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=brief, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return parser


def _print_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from kerasdiag.cli import store_info

    return store_info.run(arguments.directory, as_json=arguments.json)


def _verify(arguments: argparse.Namespace) -> int:
    from kerasdiag.cli import store_verify

    return store_verify.run(arguments.directory)


def _clean(arguments: argparse.Namespace) -> int:
    from kerasdiag.cli import store_clean

    return store_clean.run(arguments.directory, yes=arguments.yes)


def _eject(arguments: argparse.Namespace) -> int:
    from kerasdiag.cli import store_eject

    return store_eject.run(arguments.directory, arguments.output, arguments.plan, force=arguments.force)
