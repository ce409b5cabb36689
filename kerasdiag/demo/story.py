"""The demo from beginning to end: measure, judge, repair, measure again."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # Keras' objects

from kerasdiag.demo import training
from kerasdiag.demo.outcome import Outcome, Run
from kerasdiag.demo.photos import make_photos
from kerasdiag.demo.rows import check_images, find_rows
from kerasdiag.demo.saved import check_folder, save
from kerasdiag.demo.sizing import SizedModel, fitting_batch_size, size_model
from kerasdiag.demo.table import render
from kerasdiag.diagnosis import Diagnosis, Verdict
from kerasdiag.environment.cache_directory import VARIABLE
from kerasdiag.environment.cores import usable_cores
from kerasdiag.errors import DataError
from kerasdiag.repair.convert import autofix
from kerasdiag.repair.progress import Progress
from kerasdiag.report.console import can_encode, stream_width, wants_color
from kerasdiag.report.terminal import duration, render_for

# A repaired epoch is short; several of them show the restarts between epochs, too.
_EPOCHS_AFTER = 3


@dataclass(frozen=True)
class DemoOptions:
    """What the command line chose.

    Attributes:
        data: Folder or CSV file of the user's images; None: images are made.
        x_col: Column of the paths in a CSV file.
        y_col: Column of the classes.
        directory: Where relative paths of a CSV file begin.
        images: How many images.
        size: Height and width the images are resized to, in pixels.
        batch_size: Images in a batch; None: 32, or all where there are fewer.
        save: Folder for the profiles and the figures, or None.
    """

    data: Path | None = None
    x_col: str | None = None
    y_col: str | None = None
    directory: Path | None = None
    images: int = 400
    size: int = 300
    batch_size: int | None = None
    save: Path | None = None


def run_demo(options: DemoOptions) -> Outcome:
    """Run the whole story, telling it on stdout.

    Everything that it writes lies in one temporary folder, which goes at the end, Ctrl-C included; the
    user's own cache is not touched.

    Raises:
        DataError: TensorFlow or a package is missing, the user's images cannot be used, or a batch cannot be made.
    """
    # What can be wrong is looked at before TensorFlow starts, which takes seconds, and before two minutes are spent.
    if options.save is not None:
        check_folder(options.save)
    rows = None if options.data is None else _find_rows(options, options.data)
    num_images = options.images if rows is None else len(rows)
    batch_size = fitting_batch_size(options.batch_size, num_images, options.size)
    keras = _import_keras()
    if rows is not None:
        check_images([path for path, _ in rows])
    folder = Path(tempfile.mkdtemp(prefix="kerasdiag-demo-"))
    try:
        with _cache_in(folder / "cache"):
            outcome = _tell(keras, options, batch_size, rows, folder)
            if options.save is not None:
                save(outcome, options.save)
                _say(f"profiles and figures are in {options.save}")
            return outcome
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            print(f"kerasdiag: {folder} could not be removed; it is not needed any more.", file=sys.stderr)


def _tell(
    keras: Any, options: DemoOptions, batch_size: int, rows: list[tuple[str, str]] | None, folder: Path
) -> Outcome:
    _say(_machine(keras))
    rows = _made(options, folder) if rows is None else rows
    if options.data is not None:
        _say(f"{len(rows):,} images of {options.data}")
    generator = training.make_generator(keras, rows, options.size, batch_size)
    classes = len(generator.class_indices)

    _head("How fast is the generator at its best?")
    _say(
        "ImageDataGenerator with rotation, shear, zoom and flip, "
        f"{options.size}x{options.size}, batches of {batch_size}; a model that computes next to nothing:"
    )
    idle = training.make_model(keras, options.size, classes, 0)
    found = {}
    for workers in training.WORKERS:
        found[workers] = _step_s(training.train_on_generator(idle, generator, workers))
        rate = batch_size / found[workers]
        _say(f"  workers={workers:<3}{duration(found[workers]):>9} for a batch, {rate:,.0f} images/s")
    best = min(found, key=lambda workers: found[workers])

    _head("A model that this machine could feed")
    sized = _sized(keras, options, classes, generator, found[best])

    _head("The training as most scripts have it")
    _say("model.fit(train_data, callbacks=[BottleneckProfiler()])\n")
    diagnosis = training.train_on_generator(sized.model, generator, training.DEFAULT_WORKERS, shown=True)
    print("\n" + render_for(sys.stdout, diagnosis), flush=True)
    before = Run(f"generator, workers={training.DEFAULT_WORKERS}", diagnosis, batch_size)
    _say(f"The same with workers={best}, the generator's best by itself ...")
    at_best = training.train_on_generator(sized.model, generator, best)
    before, best_run = _better(before, Run(f"generator, workers={best} (best)", at_best, batch_size))
    outcome = Outcome(before, best_run, None, sized.step_s, found[best])
    if diagnosis.verdict is not Verdict.INPUT_BOUND:
        return _told(outcome)

    _head("The repair")
    # Without storage= autofix takes the smallest repair that is enough; the demo shows what the largest brings.
    _say('train_data = autofix(train_data, profiler, storage="disk")\n')
    # The verdict that was shown is the evidence: that of the steady steps.
    repaired = autofix(
        generator, diagnosis, steps_per_epoch=len(generator), cache_dir=folder / "store", storage="disk", verbose=1
    )
    report = repaired.repair_report
    if report.store is None:
        return _told(outcome)
    _say("\nThe same training again:\n")
    after = training.train_on_dataset(sized.model, repaired, epochs=_EPOCHS_AFTER, shown=True)
    return _told(
        Outcome(
            before,
            best_run,
            Run("autofix", after, batch_size),
            sized.step_s,
            found[best],
            report.conversion_s,
            report.converted or 0,
            report.kernel,
            report.kernel_reason,
        )
    )


def _better(default: Run, best: Run) -> tuple[Run, Run]:
    """Return both runs; the first one twice where more workers did not pay beside the model, which is said."""
    if best.step_s < default.step_s:
        return default, best
    _say(
        f"It made a step of {duration(best.step_s)}, no shorter than the {duration(default.step_s)} of "
        f"workers={training.DEFAULT_WORKERS}: with this model workers={training.DEFAULT_WORKERS} is the generator's best."
    )
    named = replace(default, name=f"{default.name} (best)")
    return named, named


def _told(outcome: Outcome) -> Outcome:
    stream = sys.stdout
    text = render(
        outcome,
        width=stream_width(stream),
        color=wants_color(stream),
        ascii_only=not can_encode(stream, "╭─│"),
    )
    print(f"\n{text}", flush=True)
    return outcome


def _find_rows(options: DemoOptions, data: Path) -> list[tuple[str, str]]:
    return find_rows(data, options.images, x_col=options.x_col, y_col=options.y_col, directory=options.directory)


def _made(options: DemoOptions, folder: Path) -> list[tuple[str, str]]:
    with Progress(options.images, "making photos") as progress:
        rows = make_photos(folder / "photos", options.images, on_photo=progress.advance)
    _say(f"{options.images:,} photo-like JPEGs of 500x375 made, sorted by class")
    return rows


def _sized(keras: Any, options: DemoOptions, classes: int, generator: Any, batch_s: float) -> SizedModel:
    batch = generator[0]

    def tell(one: SizedModel) -> None:
        _say(
            f"  {one.filters:>4} filters: {duration(one.step_s):>9} a step, {one.step_s / batch_s:.0%} of a batch's time"
        )

    return size_model(
        lambda filters: training.make_model(keras, options.size, classes, filters),
        lambda model: training.cached_step_s(model, batch),
        batch_s,
        tell,
    )


def _step_s(diagnosis: Diagnosis) -> float:
    if not diagnosis.mean_step_s:
        raise DataError(f"The demo could not measure this training: {diagnosis.statement}")
    return diagnosis.mean_step_s


def _import_keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import pandas as pd
        import PIL.Image
        import scipy
        import tensorflow as tf
    except ImportError as error:
        raise DataError(
            f"The demo trains a model, and that needs more than is installed here ({error}). "
            'Install it with: pip install "kerasdiag[tensorflow]"'
        ) from error
    del pd, PIL, scipy
    return tf.keras


@contextlib.contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Let everything that kerasdiag remembers go to ``folder``: the demo's runs are nobody's evidence."""
    known = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        if known is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = known


def _machine(keras: Any) -> str:
    import tensorflow as tf

    package = sys.modules[keras.Model.__module__.partition(".")[0]]  # keras or tf_keras; tf.keras may have no version
    cores = usable_cores()
    gpus = len(tf.config.list_physical_devices("GPU"))
    return (
        f"TensorFlow {tf.__version__}, {package.__name__} {package.__version__}, {cores} core{'s' if cores > 1 else ''}, "
        f"{gpus or 'no'} GPU{'' if gpus == 1 else 's'}"
    )


def _head(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _say(text: str) -> None:
    width = stream_width(sys.stdout)
    for line in text.split("\n"):
        print("\n".join(textwrap.wrap(line, width, subsequent_indent="  ") or [""]), flush=True)
