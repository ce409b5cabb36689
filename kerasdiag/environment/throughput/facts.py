"""What was measured of a sample of images, as data: stages, rates, reads side by side, and what the files are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional

READ, DECODE, RESIZE, AUGMENT, BATCH = "reading", "decoding", "resizing", "augmentation", "batching"
AFFINE, FLIP, CHANNEL_SHIFT, BRIGHTNESS = "affine", "flip", "channel-shift", "brightness"  # steps of an augmentation
STAGES = (READ, DECODE, RESIZE, AUGMENT, BATCH)  # in the order in which an image goes through them


class Stage(NamedTuple):
    """One step of an image's way into a batch.

    Attributes:
        name: One of ``STAGES``.
        seconds: For each image, in one thread; reading is from memory.
        held_fraction: Share of it that holds the interpreter's lock (0-1), None where nothing told it.
    """

    name: str
    seconds: float
    held_fraction: Optional[float] = None


class ThreadRate(NamedTuple):
    """All stages together, by so many threads, from files in memory."""

    threads: int
    images_per_s: float
    cpu_s: float  # of a core, for each image: it grows where cores share a memory or an arithmetic unit


class ReadRate(NamedTuple):
    """Files that are not in memory, read by so many threads at the same time."""

    threads: int
    files_per_s: float
    num_files: int


@dataclass(frozen=True)
class ImageFile:
    """What one file of the sample is.

    Attributes:
        path: The file.
        num_bytes: Its length.
        format: Pillow's name, such as ``"JPEG"``; empty where it is none that Pillow knows.
        mode: Pillow's, such as ``"RGB"`` or ``"CMYK"``.
        width: In pixels.
        height: In pixels.
        bits: Of a channel in the file, 8 unless the format says more.
        is_rotated: Whether EXIF says that it is to be shown turned.
        problem: Why Keras' loader could not load it; empty where nothing was found.
        is_decoded: Whether all of it was decoded; else only its header was looked at.
        decode_s: How long decoding took, None where it was not decoded.
    """

    path: str
    num_bytes: int = 0
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    bits: int = 8
    is_rotated: bool = False
    problem: str = ""
    is_decoded: bool = False
    decode_s: Optional[float] = None

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


@dataclass(frozen=True)
class ImageWork:
    """What is done to each image, and who says so.

    Attributes:
        target_size: Height and width in pixels.
        steps: Steps of the augmentation, in Keras' order.
        size_said_by: Where the size comes from.
        steps_said_by: Where the augmentation comes from.
        left_out: Arguments of the generator that are not measured.
    """

    target_size: tuple[int, int]
    steps: tuple[str, ...]
    size_said_by: str
    steps_said_by: str
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThroughputFacts:
    """How fast this machine makes rows of batches from a sample of the images.

    Attributes:
        work: What was done to each image.
        stages: What each step takes; empty where it was not measured.
        rates: All steps together, by rising number of threads.
        reads: Reads side by side, from the disk, by rising number of threads.
        census: What the files of the sample are.
        num_timed: Images that the times come from.
        not_measured: Why there are no stages, or what cut the measurement short; empty where all was measured.
        lacks_time: Whether that is for lack of time.
    """

    work: ImageWork
    stages: tuple[Stage, ...] = ()
    rates: tuple[ThreadRate, ...] = ()
    reads: tuple[ReadRate, ...] = ()
    census: tuple[ImageFile, ...] = ()
    num_timed: int = 0
    not_measured: str = ""
    lacks_time: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether there is enough to tell how many images a second the input gives."""
        return bool(self.stages and self.rates)
