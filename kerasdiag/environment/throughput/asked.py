"""What is done to each image: what the user says, else what the profile knows, else the reference."""

from __future__ import annotations

from typing import NamedTuple, Optional

from kerasdiag.environment.throughput.facts import AFFINE, BRIGHTNESS, CHANNEL_SHIFT, FLIP, ImageWork
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR
from kerasdiag.profile import RunProfile

KERAS_TARGET_SIZE = (256, 256)  # of flow_from_directory and flow_from_dataframe
# What --augmentation takes, and the steps that each stands for.
AUGMENTATIONS: dict[str, tuple[str, ...]] = {"affine": (AFFINE, FLIP), "none": ()}
REFERENCE = "affine"
_PROFILE = "the profile"
IN_WORDS = {
    (AFFINE, FLIP): "rotation, shear, zoom and flip",
    (): "no augmentation",
}
_STEPS = {
    "rotation_range": AFFINE,
    "width_shift_range": AFFINE,
    "height_shift_range": AFFINE,
    "shear_range": AFFINE,
    "zoom_range": AFFINE,
    "horizontal_flip": FLIP,
    "vertical_flip": FLIP,
    "channel_shift_range": CHANNEL_SHIFT,
    "brightness_range": BRIGHTNESS,
}
# A multiplication or a sum over the pixels, which the reference has, too.
_AS_CHEAP_AS_RESCALE = (
    "rescale",
    "samplewise_center",
    "samplewise_std_normalization",
    "featurewise_center",
    "featurewise_std_normalization",
)


class WorkRequest(NamedTuple):
    """What the command line says about the images.

    Attributes:
        target_size: Height and width in pixels, None where nothing was said.
        augmentation: One of ``AUGMENTATIONS``, None where nothing was said.
    """

    target_size: Optional[tuple[int, int]] = None
    augmentation: Optional[str] = None


def image_work(request: WorkRequest, profile: RunProfile | None) -> ImageWork:
    """Return what is done to each image, and who says so."""
    data = profile.training_input if profile is not None else None
    is_known = data is not None and data.kind == IMAGE_DATA_GENERATOR
    size, size_said_by = KERAS_TARGET_SIZE, "Keras' default; --target-size names another"
    if request.target_size is not None:
        size, size_said_by = request.target_size, "--target-size"
    elif is_known and data is not None and data.target_size is not None and len(data.target_size) == 2:
        size, size_said_by = (data.target_size[0], data.target_size[1]), _PROFILE
    steps = AUGMENTATIONS[REFERENCE]
    left_out: tuple[str, ...] = ()
    said_by = "assumed; --augmentation none leaves it out"
    if request.augmentation is not None:
        steps, said_by = AUGMENTATIONS[request.augmentation], "--augmentation"
    elif is_known and data is not None and data.augmentation is not None:
        found = {_STEPS[name] for name in data.augmentation if name in _STEPS}
        steps = tuple(step for step in (AFFINE, CHANNEL_SHIFT, FLIP, BRIGHTNESS) if step in found)
        known = (*_STEPS, *_AS_CHEAP_AS_RESCALE)
        left_out = tuple(name for name in data.augmentation if name not in known)
        said_by = _PROFILE
    return ImageWork(size, steps, size_said_by, said_by, left_out)


def is_of_profile(work: ImageWork) -> bool:
    """Whether this is what the training of a profile did to each image, as far as it is measured."""
    return work.size_said_by == work.steps_said_by == _PROFILE and not work.left_out


def steps_in_words(steps: tuple[str, ...]) -> str:
    """Return the steps of an augmentation as a reader calls them."""
    names = {AFFINE: "an affine transform", FLIP: "flip", CHANNEL_SHIFT: "channel shift", BRIGHTNESS: "brightness"}
    return IN_WORDS.get(steps) or ", ".join(names[step] for step in steps)
