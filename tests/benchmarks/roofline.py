"""Does the input roofline of ``kerasdiag doctor`` hold: what it predicts beside what ImageDataGenerator gives.

    python tests/benchmarks/roofline.py DATA_DIR [--rounds 5] [--sizes 224 300] [--workers 1 2 4]

The rows are links to the images of DATA_DIR, repeated to 2,048, so that reads come from the page cache, as in
pipeline.py. In each round, for each size, with and without augmentation: Keras' own feeding (OrderedEnqueuer of
Keras 2, PyDatasetAdapter of Keras 3) makes batches of 32 with 1, 2 and 4 workers, the doctor measures for its 5
seconds, in a process of its own as always, and Keras feeds again. A round counts for a number of workers only if
its two feeds agree within 10 %, for else something else began or ended meanwhile; rows with fewer than 3 such
rounds get up to as many rounds again. The table shows medians over the rounds that count. Exit code 1: one row
is more than 15 % off, or the machine was too noisy to tell.
"""

from __future__ import annotations

import argparse
import collections
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
SKIPPED_S, WINDOW_S, BURSTS = 0.6, 1.6, 3
AGREE, LEAST_ROUNDS = 0.10, 3


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
    predicted: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    measured: dict = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    disturbed: dict = dataclasses.field(default_factory=collections.Counter)
    said: str = ""

    def run(self, folder, process):
        """One round: feed, predict, feed."""
        before = {count: self.feed(process, count) for count in self.workers}
        by_workers, said = predict(folder, self.size, self.augmentation)
        after = {count: self.feed(process, count) for count in reversed(self.workers)}
        for count in self.workers:
            middle = (before[count] + after[count]) / 2
            predicted = by_workers[min(count, len(by_workers)) - 1]
            counts = abs(before[count] - after[count]) <= AGREE * middle
            told = (
                f"{before[count]:.0f} {after[count]:.0f}, predicted {predicted:.0f}{'' if counts else ' (disturbed)'}"
            )
            print(f"    {self.size} {self.augmentation} {count}: {told}", file=sys.stderr, flush=True)
            if not counts:
                self.disturbed[count] += 1
                continue
            self.measured[count].append(middle)
            self.predicted[count].append(predicted)
            self.said = said

    def feed(self, process, count):
        process.stdin.write(json.dumps([self.size, self.augmentation, count]) + "\n")
        process.stdin.flush()
        return float(heard(process, "RATE")[0])

    @property
    def is_known(self):
        return all(len(self.measured[count]) >= LEAST_ROUNDS for count in self.workers)


def print_table(cases):
    from keras_api import keras_version, tf

    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"TensorFlow {tf.__version__}, Keras {keras_version}, {os.cpu_count()} cores, load {load}; images/s, medians")
    print(f"  {'':<30}{'workers':>8}{'predicted':>11}{'measured':>10}{'off':>8}   rounds: predicted | measured")
    worst = 0.0
    for case in cases:
        for count in case.workers:
            name = f"{case.size}x{case.size}, augmentation {case.augmentation}"
            shown = [" ".join(f"{one:.0f}" for one in some[count]) for some in (case.predicted, case.measured)]
            rounds = f"{shown[0]} | {shown[1]} ({case.disturbed[count]} disturbed)"
            if not case.measured[count]:
                print(f"  {name:<30}{count:>8}  too noisy to tell: {rounds}")
                continue
            said, became = statistics.median(case.predicted[count]), statistics.median(case.measured[count])
            worst = max(worst, abs(said / became - 1))
            print(f"  {name:<30}{count:>8}{said:>11,.0f}{became:>10,.0f}{said / became - 1:>+8.1%}   {rounds}")
        print(f"    said: {case.said}")
    is_known = all(case.is_known for case in cases)
    is_met = is_known and worst <= MOST_OFF
    noisy = "" if is_known else f" (the machine was too noisy: fewer than {LEAST_ROUNDS} quiet rounds in a row)"
    print(f"  at most {worst:.1%} off, target {MOST_OFF:.0%}: {'met' if is_met else 'MISSED'}{noisy}")
    return is_met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory of images")
    parser.add_argument("--rounds", type=int, default=5)
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
        for number in range(2 * arguments.rounds):
            for case in cases:
                if number < arguments.rounds or not case.is_known:
                    case.run(folder, process)
            print(f"round {number + 1}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
            if number + 1 >= arguments.rounds and all(case.is_known for case in cases):
                break
        process.kill()
        process.wait()
    sys.exit(not print_table(cases))


if __name__ == "__main__":
    main()
