"""One row of an affine warp: where its pixels lie in the image, and their blend.

Numbers equal ``scipy.ndimage.affine_transform`` (orders 0 and 1) bit for bit: coordinates, weights
and sums are taken in float64 and in SciPy's own order (``NI_GeometricTransform``, ``map_coordinate``
and ``get_spline_interpolation_weights`` in SciPy's ``ni_interpolation.c`` and ``ni_splines.c``),
without contraction into fused multiply-adds.
"""

from __future__ import annotations

import numpy as np

from kerasdiag.repair.kernels.jit import compile_part
from kerasdiag.repair.kernels.vector_code import blend_neighbours, blend_pixels

# What lies beside the image, under SciPy's names.
FILL_MODES = ("nearest", "constant", "reflect", "wrap")
EDGE, CONSTANT, REFLECT, WRAP = range(4)


@compile_part
def place_row(matrix, row, height, width, flip, places):  # type: ignore[no-untyped-def]
    """Set places[0], places[1] to the input's y and x of each pixel of an output row."""
    first = width - 1.0 if flip else 0.0
    step = -1.0 if flip else 1.0
    y_start, x_start = matrix[2] + row * matrix[0], matrix[6] + row * matrix[4]
    for column in range(width):
        source_column = first + step * column
        places[0, column] = y_start + source_column * matrix[1] + matrix[3]
        places[1, column] = x_start + source_column * matrix[5] + matrix[7]


@compile_part
def columns_within(places, height, width):  # type: ignore[no-untyped-def]
    """Find the columns whose places lie in the image.

    A row of an affine map meets a rectangle in one piece, so what holds for two columns holds for
    all between them.

    Returns:
        First and last + 1 column on the image, then first and last + 1 one that has four neighbours
        there; (width, width) for none.
    """
    y_last, x_last = height - 1.0, width - 1.0
    shown, shown_end = 0, width
    while shown < width:
        y, x = places[0, shown], places[1, shown]
        if y >= 0.0 and x >= 0.0 and y <= y_last and x <= x_last:
            break
        shown += 1
    while shown_end > shown:
        y, x = places[0, shown_end - 1], places[1, shown_end - 1]
        if y >= 0.0 and x >= 0.0 and y <= y_last and x <= x_last:
            break
        shown_end -= 1
    first, end = shown, shown_end
    while first < end and (places[0, first] == y_last or places[1, first] == x_last):
        first += 1
    while end > first and (places[0, end - 1] == y_last or places[1, end - 1] == x_last):
        end -= 1
    return shown, shown_end, first, end


@compile_part
def map_beside(places, first, end, height, width, mode):  # type: ignore[no-untyped-def]
    """Move the places of the columns outside ``first`` to ``end`` into the image: reflected or wrapped."""
    for column in range(width):
        if first <= column < end:
            continue
        places[0, column] = _map(places[0, column], height, mode)
        places[1, column] = _map(places[1, column], width, mode)


@compile_part
def _map(place, length, mode):  # type: ignore[no-untyped-def]
    if 0.0 <= place <= length - 1.0:
        return place
    if length <= 1:
        return 0.0
    if mode == REFLECT:  # about the outer edge of the last pixel, so it comes twice
        period = 2.0 * length
        if place < 0:
            if place < -period:
                place = period * int(-place / period) + place
            if place < -length:
                return place + period
            return (1e-15 if place > -1e-15 else -place) - 1.0
        place -= period * int(place / period)
        return period - place - 1.0 if place >= length else place
    period = length - 1.0  # first and last pixel are the same place
    if place < 0:
        return place + period * (int(-place / period) + 1)
    return place - period * int(place / period)


@compile_part
def nearest_row(places, height, width, channels, offset):  # type: ignore[no-untyped-def]
    """Set ``offset`` to where the pixel nearest to each place begins."""
    for column in range(width):
        y = min(max(places[0, column], 0.0), height - 1.0)
        x = min(max(places[1, column], 0.0), width - 1.0)
        offset[column] = channels * (int(y + 0.5) * width + int(x + 0.5))


@compile_part
def bilinear_row(places, height, width, channels, weights, offset, right, down):  # type: ignore[no-untyped-def]
    """Set weights of left, right, upper and lower neighbour, and where the neighbours lie.

    ``offset`` is where the upper left one begins; ``right`` and ``down`` are the ways to the other
    ones, 0 where SciPy takes the edge's pixel for both.
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


@compile_part
def blend_rgb_edge(image, begin, weights, offset, right, down, first, end, scale, out, start):  # type: ignore[no-untyped-def]
    """Blend columns ``first`` to ``end`` of uint8 RGB, whose neighbours may be one and the same pixel."""
    source, target = np.uintp(image.ctypes.data) + np.uintp(begin), np.uintp(out.ctypes.data)
    for column in range(first, end):
        a = source + np.uintp(offset[column])
        b, c = a + np.uintp(right[column]), a + np.uintp(down[column])
        blend_pixels(
            a, b, c, c + np.uintp(right[column]), weights[0, column], weights[1, column], weights[2, column],
            weights[3, column], scale, target + np.uintp(4 * (start + 3 * column)),
        )  # fmt: skip


@compile_part
def blend_rgb_inside(image, begin, line, weights, offset, first, end, scale, out, start):  # type: ignore[no-untyped-def]
    """The same where the four neighbours of each column are neighbours in the image, too."""
    source, target = np.uintp(image.ctypes.data) + np.uintp(begin), np.uintp(out.ctypes.data)
    for column in range(first, end):
        upper = source + np.uintp(offset[column])
        blend_neighbours(
            upper, upper + np.uintp(line - 2), weights[0, column], weights[1, column], weights[2, column],
            weights[3, column], scale, target + np.uintp(4 * (start + 3 * column)),
        )  # fmt: skip


@compile_part
def blend_any(image, begin, channels, weights, offset, right, down, first, end, scale, out, start):  # type: ignore[no-untyped-def]
    """The same for any dtype and number of channels, one value after the other.

    Keras makes float32 of an image before it warps it, which rounds an int32 above 2**24.
    """
    for column in range(first, end):
        x0, x1, y0, y1 = weights[0, column], weights[1, column], weights[2, column], weights[3, column]
        for channel in range(channels):
            a = begin + offset[column] + channel
            b, c = a + right[column], a + down[column]
            total = np.float32(image[a]) * y0 * x0
            total += np.float32(image[b]) * y0 * x1
            total += np.float32(image[c]) * y1 * x0
            total += np.float32(image[c + right[column]]) * y1 * x1
            out[start + channels * column + channel] = np.float32(total) * scale


@compile_part
def fill_columns(value, channels, first, end, out, start):  # type: ignore[no-untyped-def]
    """Set the columns ``first`` to ``end`` to one value."""
    for k in range(start + channels * first, start + channels * end):
        out[k] = value
