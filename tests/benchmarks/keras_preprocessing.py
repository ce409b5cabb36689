"""What keras-preprocessing 1.0.9 costs each batch beside 1.1.2, against the price that the doctor tells (KD101).

    python tests/benchmarks/keras_preprocessing.py [EXE]

Installs both releases into folders of their own (pip, no network beyond it), and lets a process of each read the same
batches through flow_from_dataframe, by turns: links to a few small images, so that the list of files is all
that grows. EXE is the Python that reads, by default this one: the slow
releases mostly run on old ones. It needs NumPy, pandas and Pillow. Exits with 1 if the price model (so many seconds for each file and batch) is off by more than the band.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS = (5_000, 20_000, 100_000)
ROUNDS = 15  # each release by turns; the first is a warm-up
BATCH = 32
IMAGES = 100  # the rest are links to them; a file may have 65,000 at most
# The price was measured on one machine; others and other Pythons may be twice as fast or slow.
BAND = (0.5, 2.0)
RELEASES = ("1.0.9", "1.1.2")
NAME = "class_07/photo_{:06}.jpg"  # as long as names mostly are


def child(folder):
    """Read batches of the release in ``sys.path``: one for each line of stdin that asks for one."""
    sys.modules["tensorflow"] = None  # 1.1.2 would load it, to be a Sequence of tf.keras
    import pandas as pd
    from keras_preprocessing import image

    print("ready", image.__file__, flush=True)
    for line in sys.stdin:
        command, _, count = line.partition(" ")
        if command == "rows":
            frame = pd.DataFrame({"filename": [NAME.format(row) for row in range(int(count))]})
            batches = image.ImageDataGenerator().flow_from_dataframe(
                frame, folder, class_mode=None, target_size=(8, 8), batch_size=BATCH, shuffle=False
            )
            if len(batches) * BATCH < int(count):
                raise SystemExit(f"only {batches.n} of {count} rows were taken")
            print("ready", flush=True)
        else:
            begin = time.thread_time()  # it is all Python in one thread; what else runs here shall not count
            batches[0]
            print(time.thread_time() - begin, flush=True)


class Release:
    """A process that reads with one release."""

    def __init__(self, version, place, images, python):
        target = place / version
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
        subprocess.run([*command, f"keras-preprocessing=={version}"], check=True, stderr=subprocess.DEVNULL)
        # This file bears the name of a package too, so that it is loaded by its path under another name.
        script = (
            f"import sys, importlib.util; sys.path.insert(0, {str(target)!r}); "
            f"spec = importlib.util.spec_from_file_location('benchmark', {__file__!r}); "
            f"module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); module.child({str(images)!r})"
        )
        self.process = subprocess.Popen(
            [python, "-W", "ignore", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert str(target) in self._line("ready"), "the other release was imported"

    def rows(self, count):
        self._ask(f"rows {count}")
        self._line("ready")

    def batch_s(self):
        self._ask("batch")
        return float(self._line())

    def _ask(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def _line(self, expected=""):
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("keras-preprocessing did not run; see above")
            if expected in line and not line.startswith("Found"):  # Keras counts images aloud
                return line

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


def _version(python):
    return subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def main(python=sys.executable):
    """Print the table; return the exit code."""
    from PIL import Image

    from kerasdiag.doctor.checks.keras_preprocessing import FILE_S

    print(f"  keras-preprocessing 1.0.9 beside 1.1.2 on {_version(python)}, CPU seconds for each batch of {BATCH}")
    print(f"  {'rows':>8} {'1.0.9':>10} {'1.1.2':>10} {'more':>10} {'us a file':>10} {'priced':>8}")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        (images / "class_07").mkdir(parents=True)
        for row in range(max(ROWS)):
            original = images / NAME.format(row % IMAGES)
            if row < IMAGES:
                Image.new("RGB", (8, 8), (row, 0, 0)).save(original)
            else:
                os.link(original, images / NAME.format(row))
        slow, fast = releases = [Release(version, Path(folder), images, python) for version in RELEASES]
        for rows in ROWS:
            for release in releases:
                release.rows(rows)
            times = [[release.batch_s() for release in (slow, fast)] for _ in range(ROUNDS)][1:]
            of_slow, of_fast = (statistics.median(column) for column in zip(*times))
            more = statistics.median(one - other for one, other in times)
            ratios.append(more / (FILE_S * rows))
            print(
                f"  {rows:8,} {of_slow:10.5f} {of_fast:10.5f} {more:10.5f} {more / rows * 1e6:10.3f} {FILE_S * rows:8.4f}",
                flush=True,
            )
        for release in releases:
            release.end()
    # The longest list says most: what a batch takes besides is smallest against it.
    ok = BAND[0] <= ratios[-1] <= BAND[1]
    print(
        f"  measured / priced at {ROWS[-1]:,} rows: {ratios[-1]:.2f}; the band is {BAND[0]:g} to {BAND[1]:g}: {'ok' if ok else 'OFF'}"
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
