"""Images that are broken, or not on the scale that their model expects."""

from __future__ import annotations

import math
from typing import NamedTuple

from kerasdiag.applications import Scale, family_of_module
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy, Severity
from kerasdiag.first_batch import ImageFacts, ModelFront
from kerasdiag.profile import RunProfile

CONSTANT_FRACTION = 0.25  # below it: a black frame, an empty slice, as every dataset may have some
# Fewer different values: masks, drawings, or images so dark that they look as if rescaled twice.
LEAST_LEVELS = 17
PIXEL_LEVELS = 256  # as many as a channel of 8 bits has
# A sample of so many values, and no more levels than that, is of 8 bits; a small one has few levels anyhow.
LEAST_VALUES = 4 * PIXEL_LEVELS
# Times the deviation that a model was made for: 255 or 127.5, by which images are forgotten to be divided, less what a
# batch may vary less than all data.
RAW_DEVIATIONS = 20
_WHITE = 255.0
_CAFFE_MEANS = (103.939, 123.68)  # least and greatest of three
_CAFFE_HIGH = _WHITE - _CAFFE_MEANS[0]
# What images divided by 255, or brought to -1 to 1, become when they are preprocessed once more.
_TWICE = (
    ("tf", -1.0085, -0.991),
    ("torch", -2.14, -1.78),
    ("caffe", -_CAFFE_MEANS[1] - 1.05, -_CAFFE_MEANS[0] + 1.05),
)


class _Range(NamedTuple):
    low: float
    high: float

    @property
    def spread(self) -> float:
        return self.high - self.low


class _Fault(NamedTuple):
    code: str
    severity: Severity
    what: str
    remedy: str


def broken_images(profile: RunProfile) -> Finding | None:
    """NaN or Inf in images, or images of one value."""
    images = profile.first_batch.images if profile.first_batch is not None else None
    if images is None:
        return None
    of_them = f"{{}} of the first {images.count} images of the first batch"
    if images.not_finite:
        severity, follows = _of_nan(profile)
        return Finding(
            "nan-images",
            severity,
            f"{of_them.format(images.not_finite)} hold NaN or Inf; the rest is {_words(_range(images))}: {follows}.",
            (_evidence(images),),
            Remedy(
                "Look for a division by zero (by the greatest value, or the deviation, of a constant image), or a damaged "
                "file; tf.debugging.check_numerics or np.isfinite in the pipeline finds the image."
            ),
            {"not_finite": images.not_finite},
        )
    if images.count < 2 or images.constant < CONSTANT_FRACTION * images.count:
        return None
    is_every = images.constant == images.count
    return Finding(
        "constant-images",
        Severity.WARN if is_every else Severity.INFO,
        f"{of_them.format(images.constant)} have one value in every pixel ({_words(_range(images))} in all): nothing can "
        "be learned from them.",
        (_evidence(images),),
        Remedy("Look at them as the model gets them: a wrong file, a crop beside the object, a cast that cuts off."),
        {"constant": images.constant, "images": images.count},
    )


def _of_nan(profile: RunProfile) -> tuple[Severity, str]:
    """What comes of NaN: a layer that nobody knows may fill it, as nan_to_num does; one that computes does not."""
    if profile.first_batch is not None and profile.first_batch.model.first is not None:
        return Severity.ERROR, "one such image makes loss and weights NaN"
    return Severity.INFO, "unless the model fills them, one such image makes loss and weights NaN"


def wrong_range(profile: RunProfile) -> Finding | None:
    """Images on another scale than the model expects."""
    first = profile.first_batch
    if first is None or first.images is None:
        return None
    images = first.images
    if images.not_finite or images.constant == images.count or images.levels < LEAST_LEVELS:
        return None
    values = _range(images)
    fault = _fault(images, values, first.model)
    if fault is None:
        return None
    return Finding(
        fault.code,
        fault.severity,
        f"The images of the first batch are {_words(values)}, and {fault.what}.",
        (_evidence(images),),
        Remedy(fault.remedy),
        {"low": values.low, "high": values.high},
    )


def _fault(images: ImageFacts, values: _Range, model: ModelFront) -> _Fault | None:
    return (
        _twice_before(images, values)
        or _twice_in_model(values, model)
        or _not_for_normalization(images, values, model)
        or (_not_for_application(_after_rescaling(values, model), model) if model.module else None)
        or _plain_model(values, model)
    )


_ONCE = "Rescale once: in the data or in a layer of the model, for training, validation and prediction alike."


def _twice_before(images: ImageFacts, values: _Range) -> _Fault | None:
    """Whatever the model: nobody means values like these."""
    is_by_255 = values.low >= 0 and 0.6 <= values.high * _WHITE <= 1.01 and _were_pixels(images, values)
    mode = next((name for name, low, high in _TWICE if low <= values.low and values.high <= high), None)
    if not is_by_255 and mode is None:
        return None
    how = (
        "that is what dividing twice by 255 gives: all images are nearly the same black"
        if is_by_255
        else f"that is what preprocess_input (mode {mode!r}) gives for images that were rescaled before: all are nearly "
        "the same"
    )
    return _Fault("rescaled-twice", Severity.WARN, how, _ONCE)


def _were_pixels(images: ImageFacts, values: _Range) -> bool:
    """Whether these were 0 to 255: a single channel may be a spectrogram, whose values are that small."""
    is_white = abs(values.high * _WHITE - 1) < 1e-3
    is_of_8_bits = images.levels <= PIXEL_LEVELS and images.count * math.prod(images.shape[1:]) >= LEAST_VALUES
    return images.channels > 1 or is_white or is_of_8_bits


def _twice_in_model(values: _Range, model: ModelFront) -> _Fault | None:
    """A Rescaling layer takes 0 to 255, and gets what was brought to 1 already, or preprocessed."""
    if not 1 / 300 <= model.factor <= 1 / 100:
        return None
    layer = f"the model multiplies them by {_as_written(model.factor)} itself"
    severity = _severity(model)
    if values.low >= -3 and values.high <= 3:
        return _Fault("rescaled-twice", Severity.WARN, f"{layer}: all images are nearly the same to it", _ONCE)
    if _is_caffe(values):
        text = "Hand the model the images as they are, 0 to 255: this preprocess_input is that of another model."
        return _Fault("wrong-preprocessing", severity, f"{layer}, from 0 to 255; their mean is taken out already", text)
    return None


def _not_for_normalization(images: ImageFacts, values: _Range, model: ModelFront) -> _Fault | None:
    """A Normalization layer knows how much the values vary that it was made for.

    A small range is a small deviation. A large one may be a few bright pixels, as in pictures of stars.
    """
    if model.deviation is None:
        return None
    share = values.spread * abs(model.factor) / model.deviation
    layer = f"the model has a Normalization layer for values that vary by {model.deviation:.3g}"
    if share < 0.05:
        return _Fault("rescaled-twice", Severity.WARN, f"{layer}: all images are nearly the same to it", _ONCE)
    deviation = (images.deviation or 0.0) * abs(model.factor)  # profiles of earlier versions have none
    if share > 100 and deviation > RAW_DEVIATIONS * model.deviation:
        text = "Give adapt() the images as fit gets them: both rescaled, or both as they are."
        return _Fault("not-rescaled", Severity.WARN, f"{layer}; these vary by {deviation:.3g}", text)
    return None


def _not_for_application(values: _Range, model: ModelFront) -> _Fault | None:
    """A model of keras.applications that leaves preprocessing to its user."""
    family = family_of_module(model.module or "")
    if family is None:
        return None
    is_raw = values.low >= -1 and values.high > _CAFFE_HIGH + 1
    is_to_one = 0 <= values.low < 0.02 and 0.5 < values.high <= 1.001
    if family.scale is Scale.CAFFE:
        # Without weights of a training it learns on the scale that it gets.
        is_small = values.low >= -3 and values.high <= 3
        is_wrong = model.is_trained and (is_raw or is_small)
    else:
        is_wrong = is_raw or (model.is_trained and is_to_one)
    if not is_wrong:
        return None
    expects = {
        Scale.CAFFE: f"{-_CAFFE_MEANS[1]:.0f} to {_CAFFE_HIGH:.0f}, the mean of ImageNet taken out of 0 to 255",
        Scale.TF: "-1 to 1",
        Scale.TORCH: "-2.1 to 2.6, mean and deviation of ImageNet taken out of 0 to 1",
    }[family.scale]
    # Weights do not tell who trained them: those of the user's own training want what they were trained on.
    return _Fault(
        "not-preprocessed",
        Severity.WARN if model.is_trained else Severity.INFO,
        f"this model of keras.applications ({family.module}) expects {expects}"
        + (", if its weights are ImageNet's" if model.is_trained else ""),
        f"Apply keras.applications.{family.module}.preprocess_input to images from 0 to 255, in validation and prediction "
        "too; nothing else may rescale them. "
        + (
            "Weights of a training of your own need what they were trained on."
            if model.is_trained
            else "Or divide them by 255."
        ),
    )


def _plain_model(values: _Range, model: ModelFront) -> _Fault | None:
    """Nothing in the model takes 0 to 255 down to what its fresh weights are made for."""
    if model.module or model.first is None or model.normalizes or model.is_trained or model.factor != 1 or model.offset:
        return None
    if values.low < 0 or not 100 < values.high <= _WHITE + 0.5:
        return None
    return _Fault(
        "not-rescaled",
        Severity.INFO,
        "nothing in the model rescales or normalizes them: fresh weights are made for values near 1, and such a model "
        "learns slowly or not at all",
        "Put keras.layers.Rescaling(1 / 255) first in the model, or divide by 255 in the data.",
    )


def _as_written(factor: float) -> str:
    """The factor as a Rescaling layer is written: 1/255, not the 0.003922 that float32 makes of it."""
    divisor = next((one for one in (_WHITE, _WHITE / 2) if abs(factor * one - 1) < 1e-3), None)
    return f"{factor:.4g}" if divisor is None else f"1/{divisor:g}"


def _severity(model: ModelFront) -> Severity:
    """Fresh weights may still learn something; those of a training are lost."""
    return Severity.ERROR if model.is_trained else Severity.INFO


def _is_caffe(values: _Range) -> bool:
    return -_CAFFE_MEANS[1] - 1 <= values.low <= -90 and 0 < values.high <= _CAFFE_HIGH + 1


def _after_rescaling(values: _Range, model: ModelFront) -> _Range:
    ends = [value * model.factor + model.offset for value in values]
    return _Range(min(ends), max(ends))


def _range(images: ImageFacts) -> _Range:
    return _Range(images.low or 0.0, images.high or 0.0)


def _words(values: _Range) -> str:
    return f"from {values.low:.4g} to {values.high:.4g}"


def _evidence(images: ImageFacts) -> Evidence:
    text = f"first {images.count} images of a batch of shape {images.shape}, {images.dtype}: {_words(_range(images))}"
    if images.mean is not None and images.deviation is not None:
        text += f", mean {images.mean:.4g}, deviation {images.deviation:.4g}"
    return Evidence(text, Provenance.MEASURED)
