"""Affine warp, flips and rescale of uint8 images in one pass, compiled by Numba.

Numbers equal ``scipy.ndimage.affine_transform`` (orders 0 and 1, ``mode="nearest"``) bit for bit:
coordinates, weights and sums are taken in float64 and in SciPy's own order (``NI_GeometricTransform``
and ``get_spline_interpolation_weights`` in SciPy's ``ni_interpolation.c`` and ``ni_splines.c``),
without contraction into fused multiply-adds. That order changed between SciPy 1.13 and 1.17, so
``choose.py`` finds out by trying which one the installed SciPy has.

The loops over a row's coordinates and weights are vectorised by LLVM. The step of one RGB pixel is
not, so that one is written as portable vector code: ``_blend_rgb``.
"""

from __future__ import annotations

from typing import Any  # Numba's and llvmlite's objects

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_F32, _F64 = ir.FloatType(), ir.DoubleType()

NO_WARP, NEAREST_PIXEL, BILINEAR = -1, 0, 1  # what to do with an image; 0 and 1 are SciPy's orders
# Whether the machine code is kept on disk; choose.py loads this module again without, where that fails.
CACHE_ON_DISK: bool = globals().get("CACHE_ON_DISK", True)
# The step of one pixel reads and writes a whole vector, so both ends need room behind the last one.
IMAGE_PADDING = 8  # bytes
OUT_PADDING = 4  # floats


def _compile(function: Any) -> Any:
    """Compile when first called, and keep the result on disk where there is a place for it."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if CACHE_ON_DISK:
        try:
            return njit(**options, cache=True)(function)
        except RuntimeError:  # neither beside this file nor in the user's cache directory
            pass
    return njit(**options)(function)


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


def _constant(element: Any, values: list[Any]) -> Any:
    return ir.Constant(ir.VectorType(element, len(values)), values)


def _vector(element: Any, lanes: int) -> Any:
    return ir.VectorType(element, lanes)


def _load(builder: Any, address: Any, count: int) -> Any:
    value = builder.load(builder.inttoptr(address, _vector(_I8, count).as_pointer()))
    value.align = 1
    return value


def _pixel(builder: Any, loaded: Any, first: int) -> Any:
    """Three neighbouring bytes as the first three of four doubles."""
    lanes = _constant(_I32, [first, first + 1, first + 2, first + 2])
    undefined = ir.Constant(loaded.type, ir.Undefined)
    return builder.uitofp(builder.shuffle_vector(loaded, undefined, lanes), _vector(_F64, 4))


def _splat(builder: Any, value: Any, element: Any) -> Any:
    undefined = ir.Constant(_vector(element, 4), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, _constant(_I32, [0] * 4))


def _store_blend(builder: Any, pixels: list[Any], weights: list[Any], scale: Any, out: Any) -> None:
    """Write the weighted sum of the upper left, upper right, lower left and lower right pixel."""
    x0, x1, y0, y1 = (_splat(builder, weight, _F64) for weight in weights)
    total = None
    # SciPy multiplies a pixel by the weight of its row, then of its column, and adds the four
    # products in this order. Any other order rounds differently.
    for pixel, y, x in zip(pixels, (y0, y0, y1, y1), (x0, x1, x0, x1)):
        product = builder.fmul(builder.fmul(pixel, y), x)
        total = product if total is None else builder.fadd(total, product)
    value = builder.fmul(builder.fptrunc(total, _vector(_F32, 4)), _splat(builder, scale, _F32))
    builder.store(value, builder.inttoptr(out, _vector(_F32, 4).as_pointer())).align = 4


@intrinsic
def _blend_neighbours(typing, upper, lower, x0, x1, y0, y1, scale, out):  # type: ignore[no-untyped-def]
    """Blend two pairs of neighbouring RGB pixels into one pixel.

    ``upper`` is the address of the upper left pixel and ``lower`` that of the lower left one minus
    2, so that two loads of 8 bytes hold all four and end where the lower right pixel ends. 16 bytes
    are written to ``out``, of which the last 4 are scratch.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        top, bottom = _load(builder, args[0], 8), _load(builder, args[1], 8)
        pixels = [
            _pixel(builder, top, 0),
            _pixel(builder, top, 3),
            _pixel(builder, bottom, 2),
            _pixel(builder, bottom, 5),
        ]
        _store_blend(builder, pixels, args[2:6], args[6], args[7])
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 2, *[types.float64] * 4, types.float32, types.uintp), generate


@intrinsic
def _blend_pixels(typing, a, b, c, d, x0, x1, y0, y1, scale, out):  # type: ignore[no-untyped-def]
    """The same for four RGB pixels anywhere; 4 bytes are read of each, of which the last is not used."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pixels = [_pixel(builder, _load(builder, address, 4), 0) for address in args[:4]]
        _store_blend(builder, pixels, args[4:8], args[8], args[9])
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 4, *[types.float64] * 4, types.float32, types.uintp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _pread(typing: Any, function: Any, file: Any, buffer: Any, count: Any, offset: Any) -> Any:
    """Call C's ``pread`` at an address; ``int64(function, file, buffer, count, offset)``.

    An address and not a ctypes function, because Numba caches no function that refers to one.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function, file, buffer, count, offset = args
        kind = ir.FunctionType(_I64, [_I32, _I64, _I64, _I64])
        return builder.call(builder.inttoptr(function, kind.as_pointer()), [file, buffer, count, offset])

    return types.int64(types.uintp, types.int32, types.uintp, types.uintp, types.int64), generate


@_compile
def _place_row(matrix, row, height, width, flip, places):  # type: ignore[no-untyped-def]
    """Set places[0], places[1] to the input's y and x of each pixel of an output row."""
    first = width - 1.0 if flip else 0.0
    step = -1.0 if flip else 1.0
    y_start, x_start = matrix[2] + row * matrix[0], matrix[6] + row * matrix[4]
    for column in range(width):
        source_column = first + step * column
        places[0, column] = y_start + source_column * matrix[1] + matrix[3]
        places[1, column] = x_start + source_column * matrix[5] + matrix[7]


@_compile
def _nearest_row(places, height, width, channels, offset):  # type: ignore[no-untyped-def]
    """Set ``offset`` to where the pixel nearest to each place begins."""
    for column in range(width):
        y = min(max(places[0, column], 0.0), height - 1.0)
        x = min(max(places[1, column], 0.0), width - 1.0)
        offset[column] = channels * (int(y + 0.5) * width + int(x + 0.5))


@_compile
def _bilinear_row(places, height, width, channels, weights, offset, right, down):  # type: ignore[no-untyped-def]
    """Set weights of left, right, upper and lower neighbour, and where the neighbours lie.

    ``offset`` is where the upper left one begins; ``right`` and ``down`` are the ways to the other
    ones, 0 where SciPy takes the edge's pixel for both.

    Returns:
        First and last + 1 column whose four neighbours are neighbours in the image, too. A row of
        an affine map meets the image in one piece, so this holds for all columns between.
    """
    for column in range(width):  # LLVM vectorises this loop
        y, x = places[0, column], places[1, column]
        up, left = np.floor(y), np.floor(x)
        # SciPy takes the last weight as what the others leave of 1, which is not always y - up.
        weights[2, column] = 1.0 - (y - up)
        weights[0, column] = 1.0 - (x - left)
        weights[3, column] = 1.0 - weights[2, column]
        weights[1, column] = 1.0 - weights[0, column]
        inner_up = min(max(up, 0.0), height - 1.0)
        inner_left = min(max(left, 0.0), width - 1.0)
        offset[column] = channels * (int(inner_up) * width + int(inner_left))
        right[column] = channels if inner_left == left and left < width - 1.0 else 0
        down[column] = channels * width if inner_up == up and up < height - 1.0 else 0
    first, end = 0, width
    while first < width and (right[first] == 0 or down[first] == 0):
        first += 1
    while end > first and (right[end - 1] == 0 or down[end - 1] == 0):
        end -= 1
    return first, end


@_compile
def _blend_rgb_edge(image, weights, offset, right, down, first, end, scale, out, start):  # type: ignore[no-untyped-def]
    """Columns ``first`` to ``end``, whose neighbours may be one and the same pixel."""
    source, target = np.uintp(image.ctypes.data), np.uintp(out.ctypes.data)
    for column in range(first, end):
        a = source + np.uintp(offset[column])
        b, c = a + np.uintp(right[column]), a + np.uintp(down[column])
        _blend_pixels(
            a, b, c, c + np.uintp(right[column]), weights[0, column], weights[1, column], weights[2, column],
            weights[3, column], scale, target + np.uintp(4 * (start + 3 * column)),
        )  # fmt: skip


@_compile
def _blend_rgb_row(image, line, weights, offset, right, down, first, end, scale, out, start):  # type: ignore[no-untyped-def]
    source, target = np.uintp(image.ctypes.data), np.uintp(out.ctypes.data)
    # From left to right: what a pixel writes behind itself, the next one overwrites.
    _blend_rgb_edge(image, weights, offset, right, down, 0, first, scale, out, start)
    for column in range(first, end):
        upper = source + np.uintp(offset[column])
        _blend_neighbours(
            upper, upper + np.uintp(line - 2), weights[0, column], weights[1, column], weights[2, column],
            weights[3, column], scale, target + np.uintp(4 * (start + 3 * column)),
        )  # fmt: skip
    _blend_rgb_edge(image, weights, offset, right, down, end, len(offset), scale, out, start)


@_compile
def _blend_gray_row(image, weights, offset, right, down, scale, out, start):  # type: ignore[no-untyped-def]
    for column in range(len(offset)):
        a = offset[column]
        b, c = a + right[column], a + down[column]
        x0, x1, y0, y1 = weights[0, column], weights[1, column], weights[2, column], weights[3, column]
        total = image[a] * y0 * x0
        total += image[b] * y0 * x1
        total += image[c] * y1 * x0
        total += image[c + right[column]] * y1 * x1
        out[start + column] = np.float32(total) * scale


@_compile
def _cast(line, scale, out):  # type: ignore[no-untyped-def]
    for k in range(len(line)):
        out[k] = np.float32(line[k]) * scale


@_compile
def augment_image(image, shape, mode, matrix, flip_rows, flip_columns, scale, scratch, ways, out, begin):  # type: ignore[no-untyped-def]
    """Warp, flip and rescale one image.

    Args:
        image: uint8 [>= height * width * channels + IMAGE_PADDING].
        shape: (height, width, channels); channels is 1 or 3.
        mode: ``NO_WARP``, ``NEAREST_PIXEL`` or ``BILINEAR``.
        matrix: float64 [8] of ``pack_matrices``: maps (row, column) of the output to the input.
        flip_rows: Whether the result is turned upside down.
        flip_columns: Whether the result is mirrored left to right.
        scale: float32 factor; 1 for none.
        scratch: float64 [6, width].
        ways: int64 [3, width], scratch.
        out: float32 [>= begin + height * width * channels + OUT_PADDING]; the padding behind the
            image is overwritten.
        begin: Where the image begins in ``out``.
    """
    height, width, channels = shape
    line = width * channels
    places, weights = scratch[:2], scratch[2:]
    offset, right, down = ways[0], ways[1], ways[2]
    for out_row in range(height):
        row = height - 1 - out_row if flip_rows else out_row
        start = begin + out_row * line
        if mode == NO_WARP and not flip_columns:
            # Slices, because LLVM vectorises a loop only where no index can be negative.
            _cast(image[row * line : (row + 1) * line], scale, out[start : start + line])
            continue
        if mode == BILINEAR:
            _place_row(matrix, row, height, width, flip_columns, places)
            first, end = _bilinear_row(places, height, width, channels, weights, offset, right, down)
            if channels == 1:
                _blend_gray_row(image, weights, offset, right, down, scale, out, start)
            else:
                _blend_rgb_row(image, line, weights, offset, right, down, first, end, scale, out, start)
            continue
        if mode == NEAREST_PIXEL:
            _place_row(matrix, row, height, width, flip_columns, places)
            _nearest_row(places, height, width, channels, offset)
        else:
            for column in range(width):
                offset[column] = channels * (row * width + width - 1 - column)
        for column in range(width):
            k, to = offset[column], start + channels * column
            out[to] = np.float32(image[k]) * scale
            if channels == 3:
                out[to + 1] = np.float32(image[k + 1]) * scale
                out[to + 2] = np.float32(image[k + 2]) * scale


@_compile
def read_and_augment(pread, files, offsets, image, shape, modes, matrices, flips, scale, out):  # type: ignore[no-untyped-def]
    """Read the images of a batch and augment each while it lies in the processor's cache.

    Args:
        pread: Address of C's ``pread``, or 0 where the images are read elsewhere: then ``files``
            has one row and ``image`` holds it.
        files: int32 [batch], file descriptors.
        offsets: int64 [batch], of the first pixel byte.
        image: uint8 [height * width * channels + IMAGE_PADDING], scratch.
        shape: (height, width, channels).
        modes: int64 [batch], see ``augment_image``.
        matrices: float64 [batch, 8] of ``pack_matrices``.
        flips: bool [batch, 2]: upside down, left to right.
        scale: float32 factor.
        out: float32 [batch * height * width * channels + OUT_PADDING].

    Returns:
        -1, or the first row of the batch that could not be read.
    """
    length = shape[0] * shape[1] * shape[2]
    scratch, ways = np.empty((6, shape[1])), np.empty((3, shape[1]), np.int64)
    buffer = np.uintp(image.ctypes.data)
    for k in range(len(files)):
        done = 0 if pread else length
        while done < length:
            count = _pread(
                np.uintp(pread), files[k], buffer + np.uintp(done), np.uintp(length - done), offsets[k] + done
            )
            if count <= 0:
                return k
            done += count
        augment_image(
            image, shape, modes[k], matrices[k], flips[k, 0], flips[k, 1], scale, scratch, ways, out, k * length
        )
    return -1
