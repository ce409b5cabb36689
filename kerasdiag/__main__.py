"""``python -m kerasdiag``: the same as the ``kerasdiag`` command."""

import os
import sys
from contextlib import suppress


def _forget_current_directory() -> None:
    """``python -m`` looks there first, where a ``json.py`` of the user would be run in place of Python's own."""
    with suppress(OSError):  # it was deleted
        if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated) and sys.path[:1] == [os.getcwd()]:
            del sys.path[0]


if __name__ == "__main__":
    _forget_current_directory()
    from kerasdiag.cli import main

    sys.exit(main())
