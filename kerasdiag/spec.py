"""GeneratorSpec: what a live ImageDataGenerator iterator is, as data.

Argument names of Keras verbatim. A spec holds everything that decides which pixels, labels and
weights the generator yields, so that nothing later needs the live object to know it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional  # Any: augmentation options may be numbers, sequences or functions

import numpy as np

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
# dtypes that a store may have, the narrowest first; Pillow's grayscale modes L, I;16 and I have no other values.
PIXEL_DTYPES = ("uint8", "uint16", "int32")


@dataclass(frozen=True)
class LoaderOptions:
    """What decides the pixels that the generator's loader makes of a file, before any augmentation.

    Attributes:
        color_mode: ``"rgb"``, ``"grayscale"`` or ``"rgba"``.
        target_size: Height and width in pixels.
        interpolation: Filter of the resize: ``"nearest"``, ``"bilinear"``, ``"bicubic"``,
            ``"hamming"``, ``"box"`` or ``"lanczos"``.
        keep_aspect_ratio: Whether the image is cropped to the target's aspect ratio first.
        pixel_dtype: dtype in which the pixels are stored, values unchanged: ``"uint8"``; or
            ``"uint16"`` or ``"int32"``, which only grayscale files of more than 8 bits need.

    Raises:
        ValueError: ``pixel_dtype`` is none of these.
    """

    color_mode: str
    target_size: tuple[int, int]
    interpolation: str = "nearest"
    keep_aspect_ratio: bool = False
    pixel_dtype: str = "uint8"

    def __post_init__(self) -> None:
        if self.pixel_dtype not in PIXEL_DTYPES:
            raise ValueError(f"pixel_dtype is one of {', '.join(PIXEL_DTYPES)}. Received: {self.pixel_dtype!r}.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return (*self.target_size, CHANNELS[self.color_mode])

    @property
    def image_bytes(self) -> int:
        """Bytes of one stored image: height * width * channels * bytes of a value in ``pixel_dtype``."""
        height, width, channels = self.image_shape
        return height * width * channels * np.dtype(self.pixel_dtype).itemsize


@dataclass(frozen=True, eq=False)
class ArrayData:
    """What ``ImageDataGenerator.flow`` was given.

    Attributes:
        images: [rows, ...], images in the generator's data format and dtype. Not a copy.
        extra_inputs: Further inputs of the model, [rows, ...] each.
        targets: [rows, ...], or None.
    """

    images: np.ndarray[Any, Any]
    extra_inputs: tuple[np.ndarray[Any, Any], ...] = ()
    targets: Optional[np.ndarray[Any, Any]] = None


# Arrays compare element by element, so these values are compared by what they hold, never by ==.
@dataclass(frozen=True, eq=False)
class AugmentationOptions:
    """The arguments of ``ImageDataGenerator`` that change pixels; names and meaning are Keras' own.

    ``zoom_range`` is the pair that Keras makes of it. ``mean``, ``std`` and
    ``zca_whitening_matrix`` are what ``ImageDataGenerator.fit`` left behind, None without it.
    """

    featurewise_center: bool = False
    samplewise_center: bool = False
    featurewise_std_normalization: bool = False
    samplewise_std_normalization: bool = False
    zca_whitening: bool = False
    zca_epsilon: float = 1e-6
    rotation_range: Any = 0
    width_shift_range: Any = 0.0
    height_shift_range: Any = 0.0
    brightness_range: Any = None
    shear_range: Any = 0.0
    zoom_range: tuple[float, float] = (1.0, 1.0)
    channel_shift_range: Any = 0.0
    fill_mode: str = "nearest"
    cval: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    rescale: Any = None
    preprocessing_function: Any = None
    interpolation_order: int = 1
    mean: Any = None
    std: Any = None
    zca_whitening_matrix: Any = None


@dataclass(frozen=True, eq=False)
class GeneratorSpec:
    """Everything that decides what a generator yields.

    Attributes:
        kind: Class of the iterator: ``"DataFrameIterator"``, ``"DirectoryIterator"`` or
            ``"NumpyArrayIterator"``.
        loader: What decides the pixels of a file; None where the images are an array.
        augmentation: What happens to them after loading; None where the iterator has no
            ImageDataGenerator.
        filepaths: Absolute or relative path of each row, as the generator opens it; empty for arrays.
        directory: The generator's ``directory``, or None where rows are named without one.
        class_mode: ``"categorical"``, ``"binary"``, ``"sparse"``, ``"raw"``, None ...
        class_indices: Class name to index, in the generator's order; None without classes.
        classes: Class index of each row, or a list of them for several labels a row.
        targets: Targets of each row for ``class_mode="raw"``; a list of them, one for each output of
            the model, for ``"multi_output"``.
        sample_weight: Weight of each row, or None.
        batch_size: Rows in a full batch.
        shuffle: Whether each pass has an order of its own.
        seed: The generator's seed, or None.
        subset: ``"training"``, ``"validation"`` or None.
        arrays: The images and what goes with them, where they are an array; else None.
        total_batches_seen: Batches that the generator has counted, which its seeds follow.
        index_array: Its order of rows in the present pass, or None before its first batch.
        dtype: dtype of the batches.
        floatx: Keras' ``floatx`` when the spec was read.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        overridden: Methods that user code replaced, by their qualified name.
        save_to_dir: Where the generator would save its pictures, or None.
    """

    kind: str
    loader: Optional[LoaderOptions]
    augmentation: Optional[AugmentationOptions]
    filepaths: tuple[str, ...]
    directory: Optional[str]
    class_mode: Optional[str]
    class_indices: Optional[dict[str, int]]
    classes: Optional[tuple[Any, ...]]
    targets: Any
    sample_weight: Optional[np.ndarray[Any, Any]]
    batch_size: int
    shuffle: bool
    seed: Optional[int]
    subset: Optional[str]
    arrays: Optional[ArrayData] = None
    total_batches_seen: int = 0
    index_array: Optional[np.ndarray[Any, Any]] = None
    dtype: str = "float32"
    floatx: str = "float32"
    data_format: str = "channels_last"
    overridden: tuple[str, ...] = ()
    save_to_dir: Optional[str] = None

    @property
    def num_rows(self) -> int:
        """Rows in one pass over the data."""
        return len(self.filepaths) if self.arrays is None else len(self.arrays.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of an image, in this order whatever the data format."""
        if self.loader is not None:
            return self.loader.image_shape
        shape = self.of_arrays.images.shape[1:]
        return (*shape[1:], shape[0]) if self.channels_first else shape

    @property
    def batch_shape(self) -> tuple[int, int, int]:
        """Shape of an image in a batch, in the generator's data format."""
        height, width, channels = self.image_shape
        return (channels, height, width) if self.channels_first else (height, width, channels)

    @property
    def channels_first(self) -> bool:
        """Whether the first axis of an image counts its channels."""
        return self.data_format == "channels_first"

    @property
    def computing_dtype(self) -> str:
        """What the generator computes in: Keras' ``floatx`` for files, the dtype of its batches for arrays."""
        return self.floatx if self.arrays is None else self.dtype

    @property
    def of_files(self) -> LoaderOptions:
        """``loader`` of a generator that reads files."""
        assert self.loader is not None
        return self.loader

    @property
    def of_arrays(self) -> ArrayData:
        """``arrays`` of a generator that has them."""
        assert self.arrays is not None
        return self.arrays

    @property
    def batches_per_pass(self) -> int:
        """Batches in one pass; the last may be smaller."""
        return -(-self.num_rows // self.batch_size)
