"""``python -m kerasdiag``: the same as the ``kerasdiag`` command."""

import sys

from kerasdiag.cli import main

if __name__ == "__main__":
    sys.exit(main())
