"""What follows the warp of an image: channel shift, brightness, and a chain of float32 operations.

What needs no more than its own value is done row by row, while the row is warped (``apply_link``);
the rest needs the whole image, and is a kernel of its own, which few generators need to compile.

All of it is elementwise or a reduction over the image, so flips may come before or after. Each
operation rounds to float32 as NumPy does; sums for mean and deviation are taken in float64, which
NumPy's pairwise float32 sums approach to about 1e-7.
"""

from __future__ import annotations

import numpy as np

from kerasdiag.repair.kernels.jit import compile_part, compile_sum, compile_when_called

# Links of a chain; the last two look at the whole image.
MULTIPLY, DIVIDE, SUBTRACT, REVERSE_CHANNELS, CENTER_SAMPLE, SCALE_SAMPLE = range(6)
# Deviation over mean below which rounding, 1e-7 of the mean, is more than 1e-5 of the result.
PLAIN = 0.02
STD_EPSILON = 1e-6  # Keras adds it to a standard deviation


@compile_when_called
def finish_image(values, line, channels, colour, unbounded, kinds, operands):  # type: ignore[no-untyped-def]
    """Apply colour changes and the chain to an image.

    Args:
        values: float32 [rows * line], changed in place.
        line: Values in a row.
        channels: Values in a pixel; 4 means that the last one is alpha.
        colour: float32 [2]: channel shift and brightness, NaN for none.
        unbounded: Whether values outside 0 to 255 are possible.
        kinds: int64 [links].
        operands: float32 [links, line], for each link the second operand of each value of a row.

    Returns:
        Whether the image is so plain that what is left without its mean shows the rounding of the mean:
        then only the generator's own order of sums gives the generator's numbers.
    """
    shifts, brightens = not np.isnan(colour[0]), not np.isnan(colour[1])
    low, high = np.float32(0), np.float32(255)
    if shifts or (brightens and unbounded):
        low, high = _extremes(values, line)
    # A shift keeps the order of values, so these are what the shifted image's own are.
    darkest, brightest = np.float32(0), np.float32(255)
    if unbounded:
        darkest, brightest = low, high
        if shifts:
            darkest, brightest = min(max(low + colour[0], low), high), min(max(high + colour[0], low), high)
    stretches = darkest < 0 or brightest > 255
    by_row = 0
    while by_row < len(kinds) and kinds[by_row] < CENTER_SAMPLE:
        by_row += 1
    for start in range(0, len(values), line):  # row by row: each lies in the nearest cache until it is done
        row = values[start : start + line]
        if shifts:
            _shift(row, colour[0], low, high)
        if brightens and stretches:
            _brighten_any_range(row, channels, colour[1], darkest, brightest)
        elif brightens and channels == 4:
            _brighten_rgba(row, colour[1])
        elif brightens:
            _brighten(row, colour[1])
        for link in range(by_row):
            apply_link(row, channels, kinds[link], operands[link])
    return _finish_whole(values, line, channels, kinds[by_row:], operands[by_row:])


@compile_part
def _finish_whole(values, line, channels, kinds, operands):  # type: ignore[no-untyped-def]
    """Apply the links from the first one on that looks at the whole image; see ``finish_image``."""
    deviation, is_plain = -1.0, False
    for link in range(len(kinds)):
        kind = kinds[link]
        if kind == CENTER_SAMPLE:
            centre = _mean(values)
            _add(values, -np.float32(centre))
            deviation = _deviation(values)
            is_plain |= deviation < PLAIN * abs(centre)
        elif kind == SCALE_SAMPLE:
            if deviation < 0:
                deviation = _deviation(values)
            _divide(values, np.float32(deviation) + np.float32(STD_EPSILON))
        else:
            for start in range(0, len(values), line):
                apply_link(values[start : start + line], channels, kind, operands[link])
    return is_plain


@compile_part
def apply_link(row, channels, kind, operand):  # type: ignore[no-untyped-def]
    """Apply one link that is no reduction to one row."""
    if kind == MULTIPLY:
        for k in range(len(row)):
            row[k] = row[k] * operand[k]
    elif kind == DIVIDE:
        for k in range(len(row)):
            row[k] = row[k] / operand[k]
    elif kind == SUBTRACT:
        for k in range(len(row)):
            row[k] = row[k] - operand[k]
    else:
        for k in range(0, len(row) - channels + 1, channels):
            for channel in range(channels // 2):
                other = k + channels - 1 - channel
                row[k + channel], row[other] = row[other], row[k + channel]


@compile_part
def _extremes(values, line):  # type: ignore[no-untyped-def]
    """Row upon row, because LLVM vectorises that, and a minimum over all values not."""
    both = np.empty((2, line), np.float32)
    for k in range(line):
        both[0, k] = both[1, k] = values[k]
    for start in range(line, len(values), line):
        _fold(values[start : start + line], both[0], both[1])
    low, high = both[0, 0], both[1, 0]
    for k in range(line):
        low, high = min(low, both[0, k]), max(high, both[1, k])
    return low, high


@compile_part
def _fold(row, low, high):  # type: ignore[no-untyped-def]
    for k in range(len(row)):
        value = row[k]
        low[k] = value if value < low[k] else low[k]  # noqa: FURB136  # min and max are not vectorised
        high[k] = value if value > high[k] else high[k]  # noqa: FURB136


@compile_sum
def _mean(values):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(len(values)):
        total += values[k]
    return total / len(values)


@compile_sum
def _deviation(values):  # type: ignore[no-untyped-def]
    mean, total = _mean(values), 0.0
    for k in range(len(values)):
        total += (values[k] - mean) ** 2
    return np.sqrt(total / len(values))


@compile_part
def _add(values, number):  # type: ignore[no-untyped-def]
    for k in range(len(values)):
        values[k] = values[k] + number


@compile_part
def _divide(values, number):  # type: ignore[no-untyped-def]
    for k in range(len(values)):
        values[k] = values[k] / number


@compile_part
def _shift(values, intensity, low, high):  # type: ignore[no-untyped-def]
    for k in range(len(values)):
        values[k] = min(max(values[k] + intensity, low), high)


@compile_part
def _brighten(values, factor):  # type: ignore[no-untyped-def]
    """Keras makes 8 bits of the image by truncation, and so does Pillow's ``Brightness`` afterwards."""
    for k in range(len(values)):
        product = np.floor(values[k]) * factor
        values[k] = np.floor(min(max(product, np.float32(0)), np.float32(255)))


@compile_part
def _brighten_rgba(values, factor):  # type: ignore[no-untyped-def]
    """Alpha is made 8 bits too, and kept."""
    for pixel in range(0, len(values), 4):
        for k in range(pixel, pixel + 3):
            product = np.floor(values[k]) * factor
            values[k] = np.floor(min(max(product, np.float32(0)), np.float32(255)))
        values[pixel + 3] = np.floor(values[pixel + 3])


@compile_part
def _brighten_any_range(values, channels, factor, low, high):  # type: ignore[no-untyped-def]
    """Keras stretches such an image to 0 ... 255 beforehand, and back afterwards."""
    span = np.float32(high - low)
    largest = np.float32(span if span != 0 else 1)
    for k in range(len(values)):
        values[k] = (values[k] - low) / largest * np.float32(255)
    if channels == 4:
        _brighten_rgba(values, factor)
    else:
        _brighten(values, factor)
    for k in range(len(values)):
        values[k] = values[k] / np.float32(255) * span + low
