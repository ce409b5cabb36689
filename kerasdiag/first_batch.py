"""What the first batch of a training holds, and what its model expects: facts, judged in ``diagnosis``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional  # Python 3.9 cannot evaluate "X | None", and the JSON reader does


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
    """

    shape: tuple[int, ...]
    dtype: str
    count: int
    low: Optional[float]
    high: Optional[float]
    levels: int
    constant: int = 0
    not_finite: int = 0


@dataclass(frozen=True)
class LabelFacts:
    """The labels of a batch.

    Attributes:
        shape: Their shape.
        low: Least of them.
        high: Greatest.
        are_whole: Whether all are whole numbers.
        are_one_hot: Whether each row is zeros and a single one.
    """

    shape: tuple[int, ...]
    low: float
    high: float
    are_whole: bool
    are_one_hot: bool


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
