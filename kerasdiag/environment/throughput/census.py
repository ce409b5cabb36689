"""What image files are, by their headers, and what Keras' loader would say to them. For the child process."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from typing import Any  # Pillow has no types here

from kerasdiag.environment.throughput.facts import ImageFile
from kerasdiag.environment.throughput.pixel_work import PixelWork

# Only these are decoded: for others Pillow starts programs (PostScript) or needs a screen.
DECODED_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "PPM", "TIFF", "GIF", "WEBP")
MAX_PIXELS = 40_000_000  # 160 MB at four bytes; photos of telephones and cameras have fewer
MAX_FILE_BYTES = 64 * 1024**2
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = (None, 0, 1)
_WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def look(image_module: Any, path: str) -> ImageFile:
    """Return what the header of a file says; never raises for what is in it."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe waits for a writer
            return ImageFile(path, problem="no regular file")
        known = ImageFile(path, status.st_size)
        if status.st_size == 0:
            return replace(known, problem="empty")
        with open(path, "rb") as file:
            return _header(image_module, known, file)
    except OSError as error:
        return ImageFile(path, problem=error.strerror or str(error))


def _header(image_module: Any, known: ImageFile, file: Any) -> ImageFile:
    try:
        # It reads the header alone, and raises DecompressionBombError for more than 179 million pixels.
        image = image_module.open(file)
        width, height = image.size
        return replace(
            known,
            format=str(image.format),
            mode=str(image.mode),
            width=int(width),
            height=int(height),
            bits=_bits(image, file),
            is_rotated=_is_rotated(image),
        )
    except Exception as error:
        return replace(known, problem=in_words(error))


def decode(work: PixelWork, known: ImageFile) -> tuple[ImageFile, bytes]:
    """Decode a file whole, where that is safe; return what became known, and its bytes if it is sound.

    Args:
        work: What decodes.
        known: What its header said.
    """
    if known.problem or known.pixels > MAX_PIXELS or known.num_bytes > MAX_FILE_BYTES:
        return known, b""
    if known.format not in DECODED_FORMATS:
        return known, b""
    try:
        with open(known.path, "rb") as file:
            data = file.read(MAX_FILE_BYTES)
        begin = time.perf_counter()
        work.decode(data)
        return replace(known, is_decoded=True, decode_s=time.perf_counter() - begin), data
    except Exception as error:
        return replace(known, problem=in_words(error)), b""


def in_words(error: Exception) -> str:
    """Return in a few words why an image cannot be loaded."""
    name = type(error).__name__
    if name == "UnidentifiedImageError":
        return "no image that Pillow knows"
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror or name
    if name == "DecompressionBombError":
        return "more pixels than Pillow takes"
    first = str(error).partition("\n")[0][:100]
    return f"{name}: {first}" if first else name


def _bits(image: Any, file: Any) -> int:
    if image.mode in _WIDE_MODES:
        return 32 if image.mode == "F" else 16
    if image.format == "PNG":  # Pillow calls its 16-bit colours RGB: the depth stands in the header
        file.seek(24)
        depth = file.read(1)
        return max(8, depth[0]) if depth else 8
    return 8


def _is_rotated(image: Any) -> bool:
    if image.format not in ("JPEG", "MPO"):  # of a PNG Pillow would decode all to find it
        return False
    try:
        return image.getexif().get(_EXIF_ORIENTATION) not in _UPRIGHT
    except Exception:  # Keras never looks at it
        return False
