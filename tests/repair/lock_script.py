"""Counts to a number under the lock, step by step; several of these at once must not lose a step."""

import sys
import time
from pathlib import Path

from kerasdiag.repair.pixel_store.lock import StoreLock

lock, counter, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for _ in range(rounds):
    with StoreLock(lock):
        number = int(counter.read_text())
        time.sleep(0.002)
        counter.write_text(str(number + 1))
