"""What a user should know about a repair, one sentence each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any  # the generator is a foreign object

import numpy as np
from numpy.typing import NDArray

from kerasdiag import compat
from kerasdiag.random_streams import streams_kept
from kerasdiag.repair.choice.candidate import WORTH_IT, Need
from kerasdiag.repair.conversion.prepare import PreparedStore
from kerasdiag.repair.ops import affine
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pipeline.pixels import PADDING
from kerasdiag.repair.plans.plan import REPLAY, PipelinePlan
from kerasdiag.spec import GeneratorSpec

_TIMED_CALLS = 5
# Images on which a Python function is tried before its numbers are promised.
_TRIED_IMAGES = 8


def find_all(generator: Any, maker: BatchMaker, prepared: PreparedStore | None) -> tuple[str, ...]:
    """Return the sentences about this generator and its repair.

    Args:
        generator: The generator.
        maker: The pipeline that takes its place.
        prepared: Its store; None where it has none.
    """
    plan = maker.plan
    findings = [] if prepared is None else _skipped_finding(prepared, plan.spec, plan.rows)
    return (
        *findings,
        *_keras_finding(generator, plan.steps_per_epoch),
        *_validation_finding(plan),
        *_unfitted_finding(plan.spec),
        *_function_finding(maker),
        *_replay_finding(plan),
    )


def gain_findings(gain: float | None, need: Need) -> list[str]:
    """Say so where a repair brings little."""
    if gain is None or gain >= WORTH_IT:
        return []
    text = (
        f"this repair makes the training about {max(gain, 0):.2f}x as fast only: of itself it takes at most "
        f"{need.images_per_s:,.0f} images/s"
    )
    if need.shares_cores:
        text += ", and the model computes on the cores that make its batches"
    return [text]


def worker_findings(spec: GeneratorSpec, workers: int, argument: str) -> list[str]:
    """Say what more workers ask of the user.

    Args:
        spec: The generator.
        workers: How many.
        argument: What ``fit`` must be given, empty where the generator holds the number itself.
    """
    findings = []
    if argument:
        findings.append(f"this Keras takes the number of workers in fit, so type: model.fit(train_data, {argument})")
    if spec.seed is not None:
        findings.append(
            f"{workers} workers draw from one stream of random numbers in the order in which they happen to run, so "
            f'with seed={spec.seed}, too, each run sees other augmentations; storage="none" or "disk" keeps them'
        )
    return findings


def _validation_finding(plan: PipelinePlan) -> list[str]:
    options = plan.options
    draws = (
        affine.warps(options) or options.horizontal_flip or options.vertical_flip or options.channel_shift_range != 0
        or options.brightness_range is not None
    )  # fmt: skip
    if plan.spec.subset != "validation" or not draws:
        return []
    text = (
        "this validation subset is augmented at random, because it comes from the ImageDataGenerator of the training; "
        "that is kept as it is. For a validation without augmentation make a second ImageDataGenerator with the same "
        "validation_split and no augmentation"
    )
    return [text]


def _unfitted_finding(spec: GeneratorSpec) -> list[str]:
    options = spec.augmentation
    if options is None:
        return []
    needs = {
        "featurewise_center": options.mean, "featurewise_std_normalization": options.std,
        "zca_whitening": options.zca_whitening_matrix,
    }  # fmt: skip
    names = [name for name, value in needs.items() if getattr(options, name) and value is None]
    if not names:
        return []
    return [f"{', '.join(names)} does nothing, here as in the generator, because its fit(...) was not called before"]


def _function_finding(maker: BatchMaker) -> list[str]:
    """Price a Python function that runs for each image."""
    options = maker.plan.options
    if not options.preprocessing_function or not isinstance(maker.augmenter.chain, str):
        return []
    image = first_images(maker, 1)[-1]
    taken = []
    with streams_kept():
        before = np.random.get_state()  # noqa: NPY002
        for _ in range(_TIMED_CALLS):
            copy = image.copy()
            started = time.perf_counter()
            options.preprocessing_function(copy)
            taken.append(time.perf_counter() - started)
        draws = not _same_state(before, np.random.get_state())  # noqa: NPY002
    cost_s = float(np.median(taken))
    name = getattr(options.preprocessing_function, "__qualname__", options.preprocessing_function)
    text = (
        f"preprocessing_function={name} stays a Python function: {cost_s * 1e3:.2g} ms an image, so at most "
        f"{1 / max(cost_s, 1e-9):,.0f} images/s while it holds the interpreter. keras.applications.*.preprocess_input is "
        "compiled; so is rescale=. What can be written as dataset.map(...) with TensorFlow's operations runs in parallel"
    )
    if draws:
        text += "; it draws from NumPy's global generator, so its numbers are not keyed by seed and row"
    return [text]


def first_images(maker: BatchMaker, count: int = _TRIED_IMAGES) -> list[NDArray[Any]]:
    """Return a black image and the first rows, as a ``preprocessing_function`` gets them but for the augmentation.

    Args:
        maker: The pipeline.
        count: Rows.
    """
    spec = maker.plan.spec
    size = int(np.prod(spec.image_shape))
    images: list[NDArray[Any]] = [np.zeros(spec.batch_shape, spec.computing_dtype)]
    buffer = np.zeros(size + PADDING, maker.pixels.dtype)
    for position in range(min(count, len(maker.plan.rows))):
        maker.pixels.read(position, buffer)
        image = buffer[:size].reshape(spec.image_shape).astype(spec.computing_dtype)
        images.append(np.ascontiguousarray(image.transpose(2, 0, 1)) if spec.channels_first else image)
    return images


def is_repeatable(function: Callable[..., Any], images: Iterable[NDArray[Any]]) -> bool:
    """Tell whether a function moves no global stream of random numbers and gives the same for the same image.

    Args:
        function: A ``preprocessing_function``.
        images: Images to try it on; some functions draw for some images only.
    """
    with streams_kept():
        for image in images:
            before, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002
            once, again = (np.asarray(function(np.array(image))) for _ in range(2))
            moved = not _same_state(before, np.random.get_state()) or pythons != random.getstate()  # noqa: NPY002
            if moved or once.tobytes() != again.tobytes():
                return False
    return True


def _same_state(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other))


def _replay_finding(plan: PipelinePlan) -> list[str]:
    if plan.mode != REPLAY:
        return []
    text = (
        "replay gives what iterating the generator directly gives. fit itself looks at a batch or two before it trains "
        "and by default shuffles the batches of a generator, so a fit on the generator saw other draws: see README"
    )
    return [text]


def _skipped_finding(prepared: PreparedStore, spec: GeneratorSpec, rows: Any) -> list[str]:
    missing = spec.num_rows - len(rows)
    if not missing:
        return []
    text = f"{missing:,} of {spec.num_rows:,} rows are left out because their images cannot be loaded"
    if spec.classes is not None and spec.class_indices and all(np.ndim(label) == 0 for label in spec.classes):
        classes = np.asarray(spec.classes)
        count = len(spec.class_indices)
        lost = np.bincount(classes, minlength=count) - np.bincount(classes[rows], minlength=count)
        of_class = [f"{name} {lost[index]:,}" for name, index in spec.class_indices.items() if lost[index]]
        shown = ", ".join(of_class[:10]) + (", ..." if len(of_class) > 10 else "")
        text += f"; rows lost by class: {shown}"
    first = prepared.skipped[0]
    text += f"; the first: {first.path} ({first.reason})"
    if spec.seed is not None:
        text += "; a generator that is zipped with this one (masks) must leave out the same rows"
    if -(-len(rows) // spec.batch_size) < spec.batches_per_pass:
        # Fewer steps would end a fit(steps_per_epoch=len(generator)) after its first epoch on Keras 2.
        text += "; an epoch keeps its number of steps, so its last batches repeat images"
    return [text]


def _keras_finding(generator: Any, steps: int) -> list[str]:
    version = compat.empties_every_second_epoch(generator)
    if version is None:
        return []
    text = (
        f"Keras {version} trains every second epoch on no batch if steps_per_epoch is passed to fit, whatever the input, "
        f"and fails likewise with validation_steps. Drop both: this dataset ends by itself after {steps} batches"
    )
    return [text]
