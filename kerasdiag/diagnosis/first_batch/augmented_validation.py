"""Validation on images that are changed at random."""

from __future__ import annotations

from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.profile import RunProfile

# Of the arguments of ImageDataGenerator those that draw.
_RANDOM = (
    "rotation_range",
    "width_shift_range",
    "height_shift_range",
    "shear_range",
    "zoom_range",
    "channel_shift_range",
    "brightness_range",
    "horizontal_flip",
    "vertical_flip",
)


def augmented_validation(profile: RunProfile) -> Finding | None:
    """An ImageDataGenerator that augments what a model is judged by."""
    data = profile.validation_input
    used = [name for name in (data.augmentation or () if data is not None else ()) if name in _RANDOM]
    if not used:
        return None
    return Finding(
        "augmented-validation",
        Severity.WARN,
        f"The validation images are augmented at random ({', '.join(used)}): val_loss is that of other images in each "
        "epoch, and mostly worse than that of the images themselves.",
        (Evidence(f"arguments of the ImageDataGenerator: {', '.join(used)}", Provenance.DECLARED),),
        Remedy(
            "Make the validation data with an ImageDataGenerator of its own that only rescales or preprocesses; with the "
            "same validation_split, its subset='validation' has the same rows."
        ),
    )
