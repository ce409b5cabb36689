"""Does the input roofline of ``kerasdiag doctor`` hold: what it predicts beside what ImageDataGenerator gives.

    python tests/benchmarks/roofline.py DATA_DIR [--rounds 3] [--sizes 224 300] [--workers 1 2 4]

The rows are links to the images of DATA_DIR, repeated to 2,048, so that reads come from the page cache, as in
pipeline.py. In each round, for each size, with and without augmentation: the doctor measures for its 5 seconds,
in a process of its own as always, and Keras' own feeding (OrderedEnqueuer of Keras 2, PyDatasetAdapter of Keras 3)
makes batches of 32 with 1, 2 and 4 workers; every second round the other way round, so that both see the same
load. The table shows medians over the rounds. Exit code 1: one of them is more than 15 % off.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

ROWS, BATCH = 2048, 32
EPOCH = 16  # times all rows: an epoch must not end within a measurement
ARTICLE = {"rotation_range": 30, "shear_range": 0.2, "zoom_range": 0.2, "horizontal_flip": True, "rescale": 1 / 255}
OPTIONS = {"affine": ARTICLE, "none": {"rescale": 1 / 255}}
MOST_OFF = 0.15
# Batches come in bursts of as many as there are workers: whole bursts are timed, several of them.
SKIPPED_S, WINDOW_S, BURSTS = 1.0, 3.0, 4


def feed(folder):
    """Measure what each line asks for: size, augmentation, workers; answer in images a second."""
    import pandas as pd
    from keras_api import keras

    names = sorted(os.listdir(folder)) * EPOCH
    frame = pd.DataFrame({"file": names, "class": [f"class {number % 10}" for number in range(len(names))]})
    answers, sys.stdout = sys.stdout, sys.stderr  # Keras prints what it found
    print("READY", file=answers, flush=True)
    for line in sys.stdin:
        size, augmentation, workers = json.loads(line)
        source = keras.preprocessing.image.ImageDataGenerator(**OPTIONS[augmentation])
        generator = source.flow_from_dataframe(
            frame, str(folder), x_col="file", y_col="class", target_size=(size, size), batch_size=BATCH, seed=1
        )
        print(f"RATE {rate_of(generator, workers)}", file=answers, flush=True)


def rate_of(generator, workers):
    batches, stop = keras_batches(generator, workers)
    started = time.perf_counter()
    marks = []
    for number, _ in enumerate(batches):
        now = time.perf_counter()
        if not marks and (now - started < SKIPPED_S or number < 2 * workers):
            continue
        marks.append(now)
        done = len(marks) - 1
        if done and done % workers == 0 and done >= BURSTS * workers and now - marks[0] > WINDOW_S:
            break
    stop()
    return (len(marks) - 1) * BATCH / (marks[-1] - marks[0])


def keras_batches(generator, workers):
    """What ``fit`` reads from, without the model: the batches, and how to end them."""
    from keras_api import IS_KERAS_2, keras

    if IS_KERAS_2:
        enqueuer = keras.utils.OrderedEnqueuer(generator, use_multiprocessing=False, shuffle=False)
        enqueuer.start(workers=workers, max_queue_size=10)
        return enqueuer.get(), enqueuer.stop
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    generator.workers = workers
    adapter = PyDatasetAdapter(generator)
    adapter.on_epoch_begin()
    return adapter._get_iterator(), adapter.on_epoch_end


def predict(folder, size, augmentation):
    """Return images a second by number of workers, and what the doctor says of it."""
    from kerasdiag.doctor.collect import Facts, Request, Sources
    from kerasdiag.doctor.input_line import roofline_in_words, stages_in_words
    from kerasdiag.doctor.supply import roofline_of
    from kerasdiag.environment.data_files import DataRequest
    from kerasdiag.environment.throughput.asked import WorkRequest

    request = Request(DataRequest(str(folder)), work=WorkRequest((size, size), augmentation))
    groups = ("data", "reads", "throughput")
    environment = Facts(request, Sources(), set(groups)).environment(groups)
    drawn = roofline_of(environment)
    if drawn is None:
        raise SystemExit(f"nothing was measured: {environment.throughput.not_measured}")
    said = f"{roofline_in_words(drawn)}\n      {stages_in_words(environment.throughput)}"
    return drawn.by_workers, said


def start_feeding(folder):
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), "--feed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    heard(process, "READY")
    return process


def heard(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return line.split()[1:]
    raise SystemExit("the generator's process ended")


@dataclasses.dataclass
class Case:
    size: int
    augmentation: str
    workers: tuple
    predicted: dict = dataclasses.field(default_factory=dict)
    measured: dict = dataclasses.field(default_factory=dict)
    said: str = ""

    def predict(self, folder):
        by_workers, self.said = predict(folder, self.size, self.augmentation)
        for count in self.workers:
            self.predicted.setdefault(count, []).append(by_workers[min(count, len(by_workers)) - 1])

    def measure(self, process):
        for count in self.workers:
            process.stdin.write(json.dumps([self.size, self.augmentation, count]) + "\n")
            process.stdin.flush()
            self.measured.setdefault(count, []).append(float(heard(process, "RATE")[0]))


def print_table(cases):
    from keras_api import keras_version, tf

    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"TensorFlow {tf.__version__}, Keras {keras_version}, {os.cpu_count()} cores, load {load}; images/s, medians")
    print(f"  {'':<28}{'workers':>8}{'predicted':>11}{'measured':>10}{'off':>8}   rounds: predicted | measured")
    worst = 0.0
    for case in cases:
        for count in case.workers:
            said, became = statistics.median(case.predicted[count]), statistics.median(case.measured[count])
            off = said / became - 1
            worst = max(worst, abs(off))
            rounds = " | ".join(
                " ".join(f"{one:.0f}" for one in some[count]) for some in (case.predicted, case.measured)
            )
            name = f"{case.size}x{case.size}, augmentation {case.augmentation}"
            print(f"  {name:<28}{count:>8}{said:>11,.0f}{became:>10,.0f}{off:>+8.1%}   {rounds}")
        print(f"    said: {case.said}")
    print(f"  at most {worst:.1%} off, target {MOST_OFF:.0%}: {'met' if worst <= MOST_OFF else 'MISSED'}")
    return worst <= MOST_OFF


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory of images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 300], help="height and width in pixels")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--feed", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.feed:
        feed(arguments.data)
        return
    images = sorted(path for path in arguments.data.iterdir() if path.is_file())
    cases = [Case(size, name, tuple(arguments.workers)) for size in arguments.sizes for name in OPTIONS]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROWS):
            source = images[number % len(images)].resolve()
            Path(folder, f"{number:05}{source.suffix}").symlink_to(source)
        process = start_feeding(folder)
        for number in range(arguments.rounds):
            for case in cases:
                steps = [lambda case=case: case.predict(folder), lambda case=case: case.measure(process)]
                for step in steps if number % 2 == 0 else reversed(steps):
                    step()
            print(
                f"round {number + 1} of {arguments.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True
            )
        process.kill()
        process.wait()
    sys.exit(not print_table(cases))


if __name__ == "__main__":
    main()
