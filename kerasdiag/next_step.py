"""What to type next: one table from verdict and kind of input to a remedy.

It only names what exists and what would accept this input.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from kerasdiag import input_identity as kinds
from kerasdiag.findings import Remedy
from kerasdiag.input_identity import InputIdentity
from kerasdiag.profile import RunProfile
from kerasdiag.stage_timing import READ
from kerasdiag.step_times import MAX_EPOCH_ROWS, CallbackTime

Advice = Callable[[RunProfile, InputIdentity, float], Remedy]

# Workers are threads that share the interpreter; the article's reader stops at 16, and studies of
# loaders (Lotus, IISWC 2024) see nothing come of more than about 20.
MAX_WORKERS = 16

# 5 of warm-up and 20 that are measured, and some that trace.
ENOUGH_STEPS = 30

# What autofix takes, and the wait from which it repairs by itself: a fifth of the time.
REPAIRED_CLASSES = ("DataFrameIterator", "DirectoryIterator", "NumpyArrayIterator")
REPAIR_FACTOR = 1.25
NEARLY_ALL = 0.9  # of a callback's time
WAITS_FOR_DISK_FRACTION = (
    0.10  # of the training, some task waited for a disk: about as much as a wait that is worth mending
)


def next_step(verdict: str, profile: RunProfile, speedup_if_fixed: float | None) -> Remedy | None:
    """Return what to do about ``verdict``, or None where nothing needs doing.

    Args:
        verdict: Value of a ``Verdict``.
        profile: What was measured; its training input decides.
        speedup_if_fixed: How many times faster the batches must come.
    """
    if verdict == "not-enough-data":
        return _advise_more_steps(profile)
    if verdict == "compute-bound":
        return Remedy("Leave the input pipeline as it is; look at batch size, mixed precision and the model instead.")
    if verdict == "launch-bound":
        return _advise_launches(profile)
    if verdict == "callback-bound":
        return advise_callbacks(profile)
    data = profile.training_input
    if verdict == "mixed" and (speedup_if_fixed or 1.0) < REPAIR_FACTOR:
        return advise_callbacks(profile)
    if verdict not in ("input-bound", "partly-input-bound", "mixed") or data is None:
        return None
    return NEXT_STEPS.get(data.kind, _advise_other)(profile, data, speedup_if_fixed or 1.0)


def _advise_more_steps(profile: RunProfile) -> Remedy | None:
    """What gives a verdict; None where no number of steps does."""
    if profile.state == "not-started" and "data_wait" in profile.not_measured:
        return None
    verdict_comes = "the verdict comes with the 20th step after the first 5"
    steps = _steps_of_a_pass(profile)
    if steps is None or steps >= ENOUGH_STEPS:
        return Remedy(f"Train on: {verdict_comes}. steps_per_epoch={ENOUGH_STEPS} is enough.")
    if profile.training_input is not None and profile.training_input.kind == kinds.PYTHON_GENERATOR:
        return Remedy(f"This generator ended after step {steps}, and {verdict_comes}. Give fit one that goes on.")
    epochs = math.ceil(ENOUGH_STEPS / steps)
    if profile.state == "running" and (profile.planned_epochs or 0) >= epochs:
        return Remedy(f"Train on: {verdict_comes}.")
    epochs = max(epochs, 1 + len(profile.epochs))  # more than those that were not enough
    without = ", without steps_per_epoch" if profile.has_steps_per_epoch else ""
    return Remedy(
        f"A pass over this input has {steps} step{'s' if steps > 1 else ''}, and {verdict_comes}. Train for more epochs"
        f"{without}:",
        (f"model.fit(train_data, epochs={epochs}{_callbacks(profile)})",),
    )


def _steps_of_a_pass(profile: RunProfile) -> int | None:
    """How many steps the training input has batches for, None where nobody knows."""
    longest = max(profile.epochs.steps_of_single_epochs, default=0)
    planned = profile.planned_steps_per_epoch
    ended = profile.state == "completed" and not profile.stopped_early
    if ended and longest and (profile.has_steps_per_epoch is False or (planned is not None and longest < planned)):
        return longest
    data = profile.training_input
    if data is None:
        return None
    if not data.num_batches and data.n and data.batch_size:
        return math.ceil(data.n / data.batch_size)
    return data.num_batches or None


def _steps_together(profile: RunProfile) -> int | None:
    """How many steps Keras had better start at once; None where it can start no more than it does."""
    several = profile.steps_per_execution or 1
    together = max(16, 4 * several)
    together = min(together, profile.planned_steps_per_epoch or together)  # an execution does not reach over its epoch
    return None if profile.software.get("backend") == "torch" or together <= several else together


def _advise_launches(profile: RunProfile) -> Remedy:
    several = profile.steps_per_execution or 1
    together = _steps_together(profile)
    if together is None:
        return Remedy(
            "Give each step more work: larger batches, or a compiled model:", ("model.compile(..., jit_compile=True)",)
        )
    return Remedy(
        f"Have Keras start {'more' if several > 1 else 'several'} steps at once, compile the step, and use larger batches; "
        "callbacks then run once for all steps of an execution:",
        (f"model.compile(..., steps_per_execution={together}, jit_compile=True)",),
    )


def advise_callbacks(profile: RunProfile) -> Remedy:
    """Return what makes the dearest callback cheaper: that depends on the hooks that take its time."""
    dearest = profile.callbacks[0] if profile.callbacks else None
    if dearest is None:
        return Remedy(f"The dearest callback {_TOO_OFTEN}.")
    name = dearest.name
    if works_at_end_only(profile, dearest):
        return Remedy(
            f"{name} took {time_of(dearest)} after the last step of the training (in on_train_end, as far as can be told), "
            "and next to nothing before: that is paid once, and weighs less in a longer training. Nothing needs to change."
        )
    is_between_epochs = dearest.epoch_s > dearest.batch_s
    if name == "ModelCheckpoint" and not is_between_epochs and not _validates(profile):
        return Remedy(*_CHECKPOINT_WITHOUT_VALIDATION)
    if name == "TensorBoard" and not is_between_epochs:
        return _advise_tensorboard(profile)
    table = _CHEAPER_BETWEEN_EPOCHS if is_between_epochs else _CHEAPER_CALLBACKS
    if name in table:
        return Remedy(*table[name])
    if not is_between_epochs:
        return Remedy(f"{name} {_TOO_OFTEN}.")
    epochs = len(profile.epochs)
    of_them = f" in {epochs} epoch{'s' if epochs > 1 else ''}" if epochs else ""
    return Remedy(
        f"{name} took {time_of(dearest)}{of_them}, most of it outside of the steps: let it do its work every n-th "
        "epoch, or in a thread of its own."
    )


def _advise_tensorboard(profile: RunProfile) -> Remedy:
    text, code = (
        "Write less: no profile, losses once per epoch",
        'TensorBoard(folder, profile_batch=0, update_freq="epoch")',
    )
    together = _steps_together(profile)
    if together is None:
        return Remedy(f"{text}:", (code,))
    return Remedy(
        f"{text}. Where it does that already (they are the defaults of Keras 3), it is that the steps are shorter than its "
        "hooks: start several at once, and these run once for all of them:",
        (code, f"model.compile(..., steps_per_execution={together})"),
    )


def _validates(profile: RunProfile) -> bool:
    """Whether fit validates; ``validation_split`` names no input."""
    return profile.validation_input is not None or any(profile.epochs.validation_s)


def works_at_end_only(profile: RunProfile, callback: CallbackTime) -> bool:
    """Tell whether a callback took its time after the last step; never so where one epoch cannot be told from the end."""
    epochs = profile.epochs
    if profile.state != "completed" or not 2 <= len(epochs) < MAX_EPOCH_ROWS:
        return False
    # What all callbacks took between the epochs is more than any of them did.
    before_s = callback.batch_s + sum(epochs.callbacks_s[:-1]) + sum(epochs.checkpoint_s[:-1])
    return before_s < (1 - NEARLY_ALL) * _stalled_s(callback)


def time_of(callback: CallbackTime) -> str:
    """Return how long the training stood still for a callback, in words."""
    stalled_s = _stalled_s(callback)
    if stalled_s >= 1:
        return f"{stalled_s:.1f} s"
    return f"{stalled_s * 1e3:.0f} ms" if stalled_s >= 0.01 else f"{stalled_s * 1e3:.2g} ms"


def _stalled_s(callback: CallbackTime) -> float:
    return callback.batch_s + callback.epoch_s


_TOO_OFTEN = "works too often or too long: let it do its work every n-th batch, or once per epoch"
_Advised = tuple[str, tuple[str, ...]]
# Whose time is that of their batch hooks.
_CHEAPER_CALLBACKS: dict[str, _Advised] = {
    "ModelCheckpoint": (
        "Write the model less often, once per epoch at most, and only if it is better:",
        ('ModelCheckpoint(path, save_freq="epoch", save_best_only=True)',),
    ),
    "BackupAndRestore": ("Write the backup less often:", ('BackupAndRestore(folder, save_freq="epoch")',)),
    "ProgbarLogger": (
        "The progress bar is drawn after every batch, and steps are shorter than that takes. One line per epoch:",
        ("model.fit(..., verbose=2)",),
    ),
}
# The better model is the one of less val_loss: without it Keras 2 never writes a file.
_CHECKPOINT_WITHOUT_VALIDATION: _Advised = (
    "Write the model less often, once per epoch at most:",
    ('ModelCheckpoint(path, save_freq="epoch")',),
)
# Whose time is that of the other hooks: what they do once per epoch is long.
_CHEAPER_BETWEEN_EPOCHS: dict[str, _Advised] = {
    # Timed on Keras 2.10 to 3.15: weights alone take a quarter to a half of the time of a .keras file, and less of a
    # SavedModel's; about as much as an .h5 file.
    "ModelCheckpoint": (
        (
            "ModelCheckpoint writes once per epoch, and each time is long. If it writes the whole model, write its weights "
            "only; else write in every n-th epoch (save_freq=n * steps_per_epoch), or to a faster disk:"
        ),
        ('ModelCheckpoint("model.weights.h5", save_weights_only=True)',),
    ),
    "BackupAndRestore": (
        "BackupAndRestore writes once per epoch, and each time is long. Write in every 5th epoch, or to a faster disk:",
        ("BackupAndRestore(folder, save_freq=5 * steps_per_epoch)",),
    ),
    "TensorBoard": (
        (
            "TensorBoard works long at the end of epochs. If it writes histograms or images of weights, write them in every "
            "10th epoch, or not at all; else write to a faster disk:"
        ),
        ("TensorBoard(folder, histogram_freq=10, write_images=False)",),
    ),
    "ProgbarLogger": (
        "Epochs are shorter than it takes to print a line about each. Print none:",
        ("model.fit(..., verbose=0)",),
    ),
}


def suggest_workers(profile: RunProfile, data: InputIdentity, factor: float) -> int | None:
    """Return how many workers bring the batches ``factor`` times faster, or None if cores are short.

    Workers share the cores; one may stay for the training itself only where there are several, and
    with just one worker a second one overlaps reading with computing even on a single core.
    """
    now = max(1, data.workers or 1)
    cores = profile.cores or 1
    wanted = max(now + 1, math.ceil(now * factor - 0.01))  # 7.0000001 is 7
    suggested = min(wanted, max(2, cores), MAX_WORKERS)
    return suggested if suggested > now else None


def _advise_py_dataset(profile: RunProfile, data: InputIdentity, factor: float) -> Remedy:
    workers = suggest_workers(profile, data, factor)
    if workers is None:
        return Remedy(
            f"{data.workers} workers on {profile.cores} cores are all that helps a loader that computes: do less per batch. "
            "Decode and resize the images once, keep the result on disk or in memory, and only augment while training. One "
            "that mostly waits, for a network say, takes more workers than there are cores."
        )
    ran = f"Batches were prepared by {max(1, data.workers or 1)} worker{'s' if (data.workers or 1) > 1 else ''}"
    text = f"{ran}; this process has {profile.cores} cores. Try {workers} workers and profile again"
    if factor > workers / max(1, data.workers or 1) + 0.01:
        text += f"; it needs batches {factor:.1f} times as fast, so part of the wait will stay"
    text += ":"
    if _takes_workers_in_fit(profile):
        return Remedy(text, (f"model.fit(train_data, workers={workers}{_callbacks(profile)})",))
    return Remedy(text, (f"train_data.workers = {workers}", f"model.fit(train_data{_callbacks(profile)})"))


def _advise_image_generator(profile: RunProfile, data: InputIdentity, factor: float) -> Remedy:
    # An ImageDataGenerator iterator is a PyDataset too: workers apply where autofix does not repair
    # by itself (a small wait), and to subclasses, which it may not take.
    if factor < REPAIR_FACTOR or data.class_name not in REPAIRED_CLASSES:
        return _advise_py_dataset(profile, data, factor)
    return Remedy(
        "Let autofix find the smallest repair that is enough: more workers, its compiled augmentation, or the images "
        "converted once; pixels, labels, split and augmentation stay the same. It says so if this generator does something "
        "that it cannot keep. Before fit:",
        # Without evidence autofix finds the last profile of this input by itself.
        (
            "from kerasdiag import autofix",
            f"train_data = autofix(train_data{'' if profile.attached else ', profiler'})",
        ),
    )


def _advise_tf_data(profile: RunProfile, data: InputIdentity, factor: float) -> Remedy:
    if data.repaired is not None:
        return _advise_repaired(profile, data.repaired)
    operations = data.pipeline
    if operations[:2] == ("Tensor", "FlatMap"):  # what Dataset.from_generator is made of
        return Remedy(
            "The dataset reads from a Python generator, which one core runs. Move the work out of it: yield file "
            "names only, and read and decode in a parallel map:",
            ("dataset = dataset.map(load_image, num_parallel_calls=tf.data.AUTOTUNE)",),
        )
    # unbatch() and window() are made of such operations themselves, and are not the user's.
    is_plain = not {"Unbatch", "Window", "Zip"} & set(operations)
    if "Map" in operations and is_plain:
        return Remedy(
            "A map of this dataset runs on one core, one element after the other. Let it use all of them (Python in it, by "
            "py_function or numpy_function, still runs one call at a time: use TensorFlow's operations first):",
            ("dataset = dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)",),
        )
    if is_plain and ("FlatMap" in operations or "Interleave" in operations):
        return Remedy(
            "The files of this dataset are read one after the other. Read several at a time:",
            ("files.interleave(open_file, num_parallel_calls=tf.data.AUTOTUNE)",),
        )
    if operations and not any(operation.startswith("Prefetch") for operation in operations):
        return Remedy(
            "Nothing prepares the next batch while the model computes. Add as the last line of the pipeline:",
            ("dataset = dataset.prefetch(tf.data.AUTOTUNE)",),
        )
    if "Cache" in operations:
        return Remedy(
            "The pipeline caches already: what comes after cache() is too slow. Move what is not random before it, and "
            "batch before you map."
        )
    return Remedy(
        "Nothing obvious is missing. Do the work once: put cache() after decoding and before random "
        "augmentation, in memory if the data fit, else in a file:",
        ("dataset = dataset.cache()  # or .cache('/path/on/a/fast/disk')",),
    )


def _advise_repaired(profile: RunProfile, storage: str) -> Remedy:
    """What is left to do about a dataset that autofix has made."""
    if storage == "none":
        return Remedy(
            "This dataset decodes its image files anew in each pass. Let autofix convert them once:",
            ('train_data = autofix(train_generator, when="always", storage="disk")',),
        )
    if storage == "disk" and _waits_for_disk(profile):
        return Remedy(
            "This dataset reads from autofix's store, and the disk is what it waits for. Have the images in memory, if they "
            "fit there; a store on a faster disk (cache_dir=) helps as well:",
            ('train_data = autofix(train_generator, when="always", storage="memory")',),
        )
    on_disk = "reads from autofix's store, and nothing says that the disk is slow"
    return Remedy(
        f"This dataset {on_disk if storage == 'disk' else 'has its images in memory'}. The kernel of autofix uses all "
        "cores: more of them, or less augmentation, are what is left."
    )


def _waits_for_disk(profile: RunProfile) -> bool:
    """Whether the disk was seen to hold up the input: by its stages, or by what the system counted."""
    slowest = profile.input_stages.slowest if profile.input_stages is not None else None
    if slowest is not None and slowest.name == READ:
        return True
    # tf.data shows reading and augmenting as one map.
    stalled = profile.machine.stalled_fractions.get("io") if profile.machine is not None else None
    return stalled is not None and stalled >= WAITS_FOR_DISK_FRACTION


def _advise_python_generator(profile: RunProfile, data: InputIdentity, factor: float) -> Remedy:
    return Remedy(
        "A Python generator is read by one thread and cannot be split. Give fit something that has an index: the "
        "generator object underneath if there is one (what flow_from_dataframe returned, say), or a keras.utils."
        + ("Sequence" if _takes_workers_in_fit(profile) else "PyDataset")
        + " whose __getitem__ makes batch number i; then workers apply."
    )


def _advise_arrays(profile: RunProfile, data: InputIdentity, factor: float) -> Remedy:
    batch_size = data.batch_size or "batch_size"
    return Remedy(
        "The arrays lie in memory and still the step waits for them to be sliced and copied. Use a larger "
        "batch_size, or build the pipeline yourself:",
        (
            "dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x))",
            f"dataset = dataset.batch({batch_size}).prefetch(tf.data.AUTOTUNE)",
        ),
    )


def _advise_other(profile: RunProfile, data: InputIdentity, factor: float) -> Remedy:
    return Remedy(f"Raise the number of workers or the prefetching of {data.class_name}, and profile again.")


def _callbacks(profile: RunProfile) -> str:
    """The profiler as an argument, where the script has one."""
    return "" if profile.attached else ", callbacks=[profiler]"


def _takes_workers_in_fit(profile: RunProfile) -> bool:
    """Keras 2 takes ``workers`` in ``fit``, Keras 3 only as an attribute of the input."""
    if "tf_keras" in profile.software:
        return True
    return profile.software.get("keras", "3").startswith("2.")


NEXT_STEPS: dict[str, Advice] = {
    kinds.IMAGE_DATA_GENERATOR: _advise_image_generator,
    kinds.PY_DATASET: _advise_py_dataset,
    kinds.TF_DATA: _advise_tf_data,
    kinds.PYTHON_GENERATOR: _advise_python_generator,
    kinds.ARRAYS: _advise_arrays,
}
