"""What the first batch of a training holds, and what its model expects: facts, judged in ``diagnosis``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional  # Python 3.9 cannot evaluate "X | None", and the JSON reader does

from kerasdiag import profile_json

CHANNELS = (1, 3, 4)  # how many an image may have


def channel_axis(shape: tuple[int, ...]) -> int:
    """Return the axis of the channels of a batch of images: the last one, or the first of the image."""
    return 3 if shape[3] in CHANNELS else 1


@dataclass(frozen=True)
class ImageFacts:
    """A sample of the images of a batch.

    Attributes:
        shape: Shape of the whole batch.
        dtype: Its dtype.
        count: Images that were looked at: the first ones.
        low: Least finite value in them, None without one.
        high: Greatest finite value, None without one.
        levels: Different values among some ten thousand of them.
        constant: Images of which every value is the same.
        not_finite: Images with NaN or Inf.
        mean: Mean of all values, None where some are not finite.
        deviation: Their standard deviation around the mean of their channel, None likewise.
    """

    shape: tuple[int, ...]
    dtype: str
    count: int
    low: Optional[float]
    high: Optional[float]
    levels: int
    constant: int = 0
    not_finite: int = 0
    mean: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)
    deviation: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)

    @property
    def channels(self) -> int:
        """How many channels the images have, on whichever axis those are."""
        return self.shape[channel_axis(self.shape)]


@dataclass(frozen=True)
class LabelFacts:
    """The labels of a batch.

    Attributes:
        shape: Their shape.
        low: Least of them.
        high: Greatest.
        are_whole: Whether all are whole numbers.
        are_one_hot: Whether each row is zeros and a single one.
        low_weighted: Least of those whose sample weight is not 0; None where the weights leave out none.
        high_weighted: Greatest of those, None likewise.
    """

    shape: tuple[int, ...]
    low: float
    high: float
    are_whole: bool
    are_one_hot: bool
    low_weighted: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)
    high_weighted: Optional[float] = field(default=None, metadata=profile_json.ADDED_LATER)


@dataclass(frozen=True)
class ModelFront:
    """What images meet first in a model, as far as that is known for certain.

    Attributes:
        module: Module of keras.applications with its ``preprocess_input``, where it is a model from there that has no
            preprocessing of its own.
        factor: What Rescaling layers multiply the values with.
        offset: What they add then.
        deviation: Of the values that a Normalization layer before all computing was made for.
        first: Class of the first layer that computes on them; None where something unknown comes before it.
        normalizes: Whether any layer of the model normalizes, so that it learns on every scale.
        is_trained: Whether the model that computes on them first, which may lie in another one, came with
            weights of a training, and has not trained since it was compiled.
        loss: Name of the loss, of a model with one.
        outputs: Values for each prediction.
        output_rank: Dimensions of its output, batch included.
    """

    module: Optional[str] = None
    factor: float = 1.0
    offset: float = 0.0
    deviation: Optional[float] = None
    first: Optional[str] = None
    normalizes: bool = True
    is_trained: bool = False
    loss: Optional[str] = None
    outputs: Optional[int] = None
    output_rank: Optional[int] = None


@dataclass(frozen=True)
class FirstBatch:
    """Images and labels of the first batch that a training received.

    Attributes:
        model: What its model expects.
        images: The images, None where there are none or several.
        labels: The labels, None where there are none or several.
    """

    model: ModelFront
    images: Optional[ImageFacts] = None
    labels: Optional[LabelFacts] = None
