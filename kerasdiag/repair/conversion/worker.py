"""A conversion worker: a plain child process that gets shard numbers on stdin and answers in JSON lines.

It imports NumPy, Pillow and the checksum, nothing of Keras, TensorFlow or the user's script. It ends
by itself when its parent is gone: stdin is then at its end, whatever the worker is doing.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from kerasdiag.repair.conversion.job import load_job
from kerasdiag.repair.conversion.shard import WideImageError, convert_shard
from kerasdiag.repair.pixel_store.lock import is_locked_by

TELL_EVERY_S = 0.3


class _LostError(Exception):
    """The parent's lock is another's now."""


def main() -> None:
    """Serve until stdin ends. Line 1 says where the job is, each later line is the number of a shard."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    orders: queue.Queue[int] = queue.Queue()
    start = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    _set_pillow(start["pillow"])
    job = load_job(Path(start["store"]))
    if job is None:
        raise SystemExit(f"there is no job in {start['store']}")
    lock, token, parent = Path(start["lock"]), start["token"], os.getppid()

    def tell(**fields: Any) -> None:  # Any: what JSON can hold
        try:
            answers.write(json.dumps(fields) + "\n")
            answers.flush()
        except OSError:
            os._exit(1)  # the parent is gone

    def may_commit() -> None:
        if not is_locked_by(lock, token):
            raise _LostError

    counter = _Counter(tell, parent)
    tell(ready=True)
    while True:
        number = orders.get()
        try:
            manifest = convert_shard(job, number, on_image=counter, may_commit=may_commit)
        except _LostError:
            tell(lost=number)
        except WideImageError as error:
            tell(wide=[error.path, error.found, error.needed])
        except OSError as error:
            names = [None if name is None else os.fsdecode(name) for name in (error.filename, error.filename2)]
            tell(oserror=[error.errno, error.strerror or str(error), *names])
        except Exception:
            tell(error=traceback.format_exc())
        else:
            counter.flush()
            tell(done=number, records=len(manifest.names))


def _listen(orders: queue.Queue[int]) -> None:
    for line in sys.stdin.buffer:
        orders.put(int(line))
    os._exit(0)


class _Counter:
    """Counts images and says so now and then."""

    def __init__(self, tell: Any, parent: int) -> None:
        self._tell, self._parent = tell, parent
        self._images, self._told = 0, time.monotonic()

    def __call__(self) -> None:
        self._images += 1
        if time.monotonic() - self._told >= TELL_EVERY_S:
            if os.getppid() != self._parent:  # something else keeps our stdin open
                os._exit(1)
            self.flush()

    def flush(self) -> None:
        if self._images:
            self._tell(images=self._images)
        self._images, self._told = 0, time.monotonic()


def pillow_settings() -> dict[str, Any]:
    """Return the settings of Pillow in this process that decide what it can load."""
    from PIL import Image, ImageFile

    return {"max_pixels": Image.MAX_IMAGE_PIXELS, "truncated": bool(ImageFile.LOAD_TRUNCATED_IMAGES)}


def _set_pillow(settings: dict[str, Any]) -> None:
    import warnings

    from PIL import Image, ImageFile

    Image.MAX_IMAGE_PIXELS = settings["max_pixels"]
    ImageFile.LOAD_TRUNCATED_IMAGES = settings["truncated"]
    warnings.simplefilter("ignore")  # Keras' loader would print them once per process; nobody reads ours
