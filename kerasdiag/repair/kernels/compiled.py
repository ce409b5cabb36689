"""Read, warp, flip and standardise the images of a batch in one pass, compiled by Numba.

SciPy changed the order of its sums between 1.13 and 1.17, so ``choose.py`` finds out by trying
which one the installed SciPy has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasdiag.repair.kernels import warp_rows
from kerasdiag.repair.kernels.finish import apply_link
from kerasdiag.repair.kernels.jit import compile_into_caller, compile_part, compile_when_called
from kerasdiag.repair.kernels.vector_code import call_pread
from kerasdiag.repair.kernels.warp_rows import CONSTANT, EDGE, FILL_MODES

__all__ = ["FILL_MODES", "IMAGE_PADDING", "OUT_PADDING", "augment_batch", "pack_matrices"]

NO_WARP, NEAREST_PIXEL, BILINEAR = -1, 0, 1  # what to do with an image; 0 and 1 are SciPy's orders
# The step of one RGB pixel reads and writes a whole vector, so both ends need room behind the last one.
IMAGE_PADDING = 8  # bytes
OUT_PADDING = 4  # floats


def pack_matrices(
    matrix: np.ndarray[Any, Any], shift: np.ndarray[Any, Any], *, shift_first: bool
) -> np.ndarray[Any, Any]:
    """Lay out affine maps for the kernel.

    Args:
        matrix: float64 [batch, 2, 2], output (row, column) to input.
        shift: float64 [batch, 2].
        shift_first: Whether SciPy adds the shift before the products of the matrix or after them.

    Returns:
        float64 [batch, 8]: yy, yx, y before, y after, xy, xx, x before, x after.
    """
    packed = np.zeros((len(matrix), 2, 4))
    packed[:, :, :2] = matrix
    packed[:, :, 2 if shift_first else 3] = shift  # the other stays 0, and adding 0 changes nothing
    return packed.reshape(-1, 8)


@compile_part
def _cast(line, scale, out):  # type: ignore[no-untyped-def]
    for k in range(len(line)):
        out[k] = np.float32(line[k]) * scale


@compile_into_caller
def _warp_row(image, begin, shape, order, fill_mode, fill, scale, places, weights, ways, out, start):  # type: ignore[no-untyped-def]
    """Write one row whose places are known; EDGE repeats the last pixel, which ``offset`` does by itself."""
    height, width, channels = shape
    offset, right, down = ways[0], ways[1], ways[2]
    shown, shown_end, first, end = warp_rows.columns_within(places, height, width)
    if fill_mode == CONSTANT:
        warp_rows.fill_columns(fill, channels, np.int64(0), shown, out, start)  # 0 alone would be compiled apart
    else:
        shown, shown_end = 0, width
    if fill_mode not in (EDGE, CONSTANT):
        warp_rows.map_beside(places, first, end, height, width, fill_mode)
    if order == NEAREST_PIXEL:
        warp_rows.nearest_row(places, height, width, channels, offset)
        _copy_pixels(image, begin, channels, offset, shown, shown_end, scale, out, start)
    else:
        warp_rows.bilinear_row(places, height, width, channels, weights, offset, right, down)
        if first >= end:
            first = end = shown_end
        if channels == 3 and image.itemsize == 1:
            # From left to right: what a pixel writes behind itself, the next one overwrites.
            warp_rows.blend_rgb_edge(image, begin, weights, offset, right, down, shown, first, scale, out, start)
            warp_rows.blend_rgb_inside(image, begin, width * 3, weights, offset, first, end, scale, out, start)
            warp_rows.blend_rgb_edge(image, begin, weights, offset, right, down, end, shown_end, scale, out, start)
        else:
            warp_rows.blend_any(
                image, begin, channels, weights, offset, right, down, shown, shown_end, scale, out, start
            )
    warp_rows.fill_columns(fill, channels, shown_end, width, out, start)


@compile_part
def _copy_pixels(image, begin, channels, offset, first, end, scale, out, start):  # type: ignore[no-untyped-def]
    for column in range(first, end):
        for channel in range(channels):
            out[start + channels * column + channel] = np.float32(image[begin + offset[column] + channel]) * scale


@compile_part
def _bring_near(image):  # type: ignore[no-untyped-def]
    """Read a value of each cache line in order, which the processor does ahead of time.

    A turned image is read across its rows, where it does not: each line would be waited for.
    """
    total = np.float32(0)
    for k in range(0, len(image), 64 // image.itemsize):
        total += np.float32(image[k])
    return total


@compile_into_caller
def augment_image(  # type: ignore[no-untyped-def]
    image, begin, shape, order, fill_mode, fill, matrix, flip_rows, flip_columns, scale, kinds, operands,
    scratch, ways, out, start,
):  # fmt: skip
    """Warp, flip and standardise one image.

    Args:
        image: uint8, uint16, int32 or float32 array that holds the image from ``begin`` on; where it is
            uint8 RGB, ``IMAGE_PADDING`` further bytes can be read behind it.
        begin: Where the image begins.
        shape: (height, width, channels).
        order: ``NO_WARP``, ``NEAREST_PIXEL`` or ``BILINEAR``.
        fill_mode: ``EDGE``, ``CONSTANT``, ``REFLECT`` or ``WRAP``.
        fill: float32, what ``CONSTANT`` fills with, multiplied by ``scale``.
        matrix: float64 [8] of ``pack_matrices``: maps (row, column) of the output to the input.
        flip_rows: Whether the result is turned upside down.
        flip_columns: Whether the result is mirrored left to right.
        scale: float32 factor right behind the warp; 1 for none.
        kinds: int64 [links], what follows, see ``finish.apply_link``.
        operands: float32 [links, width * channels].
        scratch: float64 [6, width].
        ways: int64 [3, width], scratch.
        out: float32 [>= start + height * width * channels + OUT_PADDING]; the padding behind the
            image is overwritten.
        start: Where the image begins in ``out``.
    """
    height, width, channels = shape
    line = width * channels
    for out_row in range(height):
        row = height - 1 - out_row if flip_rows else out_row
        to = start + out_row * line
        if order == NO_WARP and not flip_columns:
            # Slices, because LLVM vectorises a loop only where no index can be negative.
            _cast(image[begin + row * line : begin + (row + 1) * line], scale, out[to : to + line])
        elif order == NO_WARP:
            for column in range(width):
                ways[0, column] = channels * (row * width + width - 1 - column)
            _copy_pixels(image, begin, channels, ways[0], np.int64(0), width, scale, out, to)
        else:
            warp_rows.place_row(matrix, row, height, width, flip_columns, scratch)
            _warp_row(image, begin, shape, order, fill_mode, fill, scale, scratch[:2], scratch[2:], ways, out, to)
        for link in range(len(kinds)):  # the row still lies in the nearest cache
            apply_link(out[to : to + line], channels, kinds[link], operands[link])


@compile_when_called
def augment_batch(  # type: ignore[no-untyped-def]
    pread, files, offsets, pixels, shape, orders, fill_mode, fill, matrices, flips, scale, kinds, operands,
    out,
):  # fmt: skip
    """Read the images of a batch and augment each while it lies in the processor's cache.

    Args:
        pread: Address of C's ``pread``, or 0 where the images lie in ``pixels``.
        files: int32 [batch], file descriptors; not used without ``pread``.
        offsets: int64 [batch], where each image begins: bytes in its file, or elements of ``pixels``.
        pixels: Scratch of one image, or the images themselves; see ``augment_image``.
        shape: (height, width, channels).
        orders: int64 [batch], see ``augment_image``.
        fill_mode: See ``augment_image``.
        fill: See ``augment_image``.
        matrices: float64 [batch, 8] of ``pack_matrices``.
        flips: bool [batch, 2]: upside down, left to right.
        scale: float32 factor.
        kinds: int64 [links], see ``augment_image``.
        operands: float32 [links, width * channels].
        out: float32 [batch * height * width * channels + OUT_PADDING].

    Returns:
        -1, or the first row of the batch that could not be read.
    """
    length = shape[0] * shape[1] * shape[2]
    num_bytes = length * pixels.itemsize
    scratch, ways = np.empty((6, shape[1])), np.empty((3, shape[1]), np.int64)
    buffer = np.uintp(pixels.ctypes.data)
    for k in range(len(offsets)):
        done = 0 if pread else num_bytes
        while done < num_bytes:
            count = call_pread(
                np.uintp(pread), files[k], buffer + np.uintp(done), np.uintp(num_bytes - done), offsets[k] + done
            )
            if count <= 0:
                return k
            done += count
        begin = 0 if pread else offsets[k]
        if not pread:
            scratch[0, 0] = _bring_near(pixels[begin : begin + length])
        augment_image(
            pixels, begin, shape, orders[k], fill_mode, fill, matrices[k], flips[k, 0],
            flips[k, 1], scale, kinds, operands, scratch, ways, out, k * length,
        )  # fmt: skip
    return -1
