"""What each finding of a run means, why it matters and what to do: the pages of ``kerasdiag explain``."""

from __future__ import annotations

from typing import NamedTuple

from kerasdiag.diagnosis.verdict import PARTLY_INPUT_BOUND_FRACTION
from kerasdiag.stage_timing import EXPLAINED_FRACTION


class Explanation(NamedTuple):
    """What is written about a finding.

    Attributes:
        meaning: What was seen.
        matters: Why it is told.
        do: What to do about it.
    """

    meaning: str
    matters: str
    do: str


_NO_ERROR = "No error says so: the training runs, and learns little or nothing."
_ONCE = (
    "Rescale once, in the data or in a layer of the model, and in validation and prediction as in training. "
    "`kerasdiag doctor train.py` shows the lines (KD715)."
)

EXPLANATIONS = {
    # The training.
    "slowest-stage": Explanation(
        "The stages of the input (reading, decoding, warping, a map ...) were timed one by one, and this one takes most "
        f"of the time. Told where the training waits for its data {PARTLY_INPUT_BOUND_FRACTION:.0%} of its time or more. "
        f"Where all of them explain less than {EXPLAINED_FRACTION:.0%} of that wait, none is blamed: look at what feeds them "
        "(a Python generator, a disk), and at what else uses the cores.",
        "Making any other stage faster changes little.",
        "Follow the line below it. Where there is none, the next step of the panel (autofix) covers that stage.",
    ),
    "throttled": Explanation(
        "The container has a CPU quota, and the kernel stopped the process in many of its periods because it was used up.",
        "All threads stand still until the next period, those that prepare batches too; more workers make it worse.",
        "Raise the quota (docker run --cpus, resources.limits.cpu) or start fewer threads, then profile again.",
    ),
    "memory-nearly-full": Explanation(
        "The peak of the process came near the limit of its container.",
        "A little more, and the kernel kills it (memory.max) or slows it to a crawl (memory.high).",
        "Smaller shuffle buffers, fewer workers, no cache() in memory; or a higher limit.",
    ),
    "stalled-by-memory": Explanation(
        "The kernel counts the time in which a task could not go on because memory had to be freed first (pressure stall "
        "information). It was a tenth of this run or more.",
        "Every thread may be hit, also those that prepare batches; before that, files fall out of the page cache.",
        "Smaller shuffle buffers, fewer workers, no cache() in memory; or a higher limit.",
    ),
    "stalled-by-disk": Explanation(
        "The kernel counts the time in which a task could not go on because it waited for a disk (pressure stall "
        "information). It was a tenth of this run or more, and the training waited for its data.",
        "It may be another program's task where the container has no counter of its own.",
        "`kerasdiag doctor --data DIR` measures the disk with your own files.",
    ),
    "stolen-cores": Explanation(
        "A virtual machine sees how much of its CPU time its host gave to other machines. It was a tenth or more.",
        "Whatever prepares batches gets that much less done, and no setting inside the machine helps.",
        "A machine with cores of its own, a larger one, or another host: stop and start it, and profile again.",
    ),
    "gpu-throttled": Explanation(
        "The driver held the clocks of a GPU down during the run, and gave the reasons: heat, power or an outside brake. "
        "A power limit alone is how a busy card works, and makes a note only.",
        "Each step takes longer than this card could do it, whatever the input does.",
        "See `nvidia-smi -q -d TEMPERATURE,PERFORMANCE,POWER`: cooling, the power limit, the power supply.",
    ),
    "gpu-shared": Explanation(
        "Other processes computed on the same GPU while this training ran.",
        "Utilization and memory are theirs, too, and steps take longer: what was measured holds for this company only.",
        "Profile again when the GPU is free, or choose another one with CUDA_VISIBLE_DEVICES.",
    ),
    "unequal-epochs": Explanation(
        "Epochs of one fit trained on different numbers of batches.",
        "Schedules, callbacks and validation run for the short epochs too. Often steps_per_epoch does not fit the data: "
        "the rest of an input that ended becomes an epoch of its own.",
        "Leave out steps_per_epoch, or give fit an input without an end (dataset.repeat(), or a generator with while "
        "True) together with it.",
    ),
    "drifting-wait": Explanation(
        "The share of time that waits for data differs between the first and the last epoch by more than chance.",
        "A wait that falls is mostly a first epoch that reads the disk; one that grows has a cause that goes on: memory "
        "that fills, heat, other programs. One number for the whole run describes neither part.",
        "Falling: judge by the later epochs. Growing: look at memory and clocks over time, and what else runs.",
    ),
    "callback-tax": Explanation(
        "Callbacks take a part of the training time that is worth a look, but not the fifth that makes a verdict.",
        "The device stands still meanwhile.",
        "Let the dearest one, which is named, work less often: every n-th batch, or every n-th epoch where its time lies "
        "between epochs.",
    ),
    "hidden-wait": Explanation(
        "The next batch was asked for while the device still computed the step before, and came late behind it.",
        "It costs nothing now. A faster step (mixed precision, a better GPU) would show it as a wait.",
        "Nothing, until the step becomes faster; then profile again.",
    ),
    "slowed-by-input": Explanation(
        "The step alone is clearly faster than the step beside its loader: both share the cores of the processor.",
        "A repair of the input then brings another speed-up than the wait alone promises, and less where it takes cores "
        "itself.",
        "Nothing by itself; trust a second profile after the repair more than the estimate before it.",
    ),
    "slowed-by-others": Explanation(
        "The step alone is clearly faster than in the training, and the input without the model is much too fast to be the "
        "reason.",
        "No repair of the input brings that time back, so the speed-up does not count it.",
        "Other programs on the machine, threads of the training itself, a processor that was hot: profile again when "
        "nothing else runs.",
    ),
    "runs-eagerly": Explanation(
        "The model runs eagerly: Python starts the operations of each step one by one instead of running a graph.",
        "Small models become several times as slow, and the slow step may hide a wait for data.",
        "Leave out run_eagerly=True and tf.config.run_functions_eagerly(True), then profile again.",
    ),
    "remark": Explanation(
        "A note about how the run was measured, in the words of what measured it.",
        "It limits what the other numbers say.",
        "Read it beside the verdict; it mostly names what would change it.",
    ),
    "not-measured": Explanation(
        "A number of the report is missing, and the sentence says why.",
        "Missing is not zero: nothing follows from it.",
        "Where the reason can be removed (a package, a permission, an option), profile again.",
    ),
    # The first batch.
    "nan-images": Explanation(
        "Images of the first batch hold NaN or Inf.",
        "One such image makes the loss and all weights NaN, unless the model itself fills such pixels first.",
        "Look for a division by zero (a constant image) or a damaged file; np.isfinite in the pipeline finds the image.",
    ),
    "constant-images": Explanation(
        "Many images of the first batch have one value in every pixel.",
        "Nothing can be learned from them.",
        "Look at them as the model gets them: a wrong file, a crop beside the object, a cast that cuts off.",
    ),
    "rescaled-twice": Explanation(
        "The images of the first batch are so small in range that they were divided by 255 (or preprocessed) twice, or "
        "will be, by a layer of the model.",
        f"All images are nearly the same to the model. {_NO_ERROR}",
        _ONCE,
    ),
    "wrong-preprocessing": Explanation(
        "The mean of ImageNet was taken out of the images (preprocess_input of another model), and the model rescales "
        "0 to 255 itself.",
        f"The model gets values that it was not made for. {_NO_ERROR}",
        "Hand it the images as they are, 0 to 255.",
    ),
    "not-rescaled": Explanation(
        "The images reach the model from 0 to 255, and it has nothing that rescales them; or its Normalization layer was "
        "adapted to images on another scale.",
        "Fresh weights are made for values near 1: such a model learns slowly or not at all.",
        "Put keras.layers.Rescaling(1 / 255) first in the model, or call adapt() with the images as fit gets them.",
    ),
    "not-preprocessed": Explanation(
        "A model of keras.applications gets images on another scale than its preprocess_input gives.",
        "Weights of ImageNet are worth little on another scale, and no error says so.",
        "Apply the preprocess_input of its module to images from 0 to 255, in validation and prediction too. Weights of a "
        "training of your own need what they were trained on.",
    ),
    "one-hot-labels": Explanation(
        "The labels are one-hot rows, and the loss takes numbers of classes.",
        "The loss compares other things than you mean, or the call fails.",
        "loss='categorical_crossentropy', or numbers: class_mode='sparse', label_mode='int', labels.argmax(-1).",
    ),
    "label-out-of-range": Explanation(
        "A label is no number of a class that the model has an output for.",
        "On a GPU the loss becomes NaN, and no error says why.",
        "Count the classes from 0, and give the last layer as many units as there are classes.",
    ),
    "one-class": Explanation(
        "The model has a single output and a categorical crossentropy.",
        "That loss of a single class is the same whatever the model says: nothing is learned.",
        "Two classes: Dense(1, activation='sigmoid') and binary_crossentropy. More: a unit for each, with softmax.",
    ),
    "integer-labels": Explanation(
        "The labels are numbers of classes, and the loss takes one-hot rows.",
        "The loss compares other things than you mean, or the call fails.",
        "loss='sparse_categorical_crossentropy', or one-hot labels: class_mode='categorical', to_categorical(labels).",
    ),
    "not-binary-labels": Explanation(
        "Labels lie outside of 0 to 1, where the binary crossentropy is defined.",
        "The loss may fall below zero, and what it rewards is not what you mean.",
        "Several classes: sparse_categorical_crossentropy. Masks of 0 and 255: divide them by 255.",
    ),
    "augmented-validation": Explanation(
        "The ImageDataGenerator of the validation data augments at random.",
        "val_loss is that of other images in each epoch, and mostly worse than that of the images themselves.",
        "Make the validation data with a generator of its own that only rescales or preprocesses.",
    ),
}


def explain_finding(code: str) -> str | None:
    """Return the page of a finding as plain text, None where no run has such a finding."""
    found = EXPLANATIONS.get(code)
    if found is None:
        return None
    parts = (("What it means", found.meaning), ("Why it matters", found.matters), ("What to do", found.do))
    return "\n\n".join([f"{code}\n  A finding of a run.", *(f"{title}\n  {text}" for title, text in parts)])
