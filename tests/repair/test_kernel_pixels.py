"""The compiled kernel against SciPy, NumPy and Pillow, called by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from repair.kernel_calls import Work, run_compiled, run_scipy

from kerasdiag.repair.kernels import compiled

# Values of a source: what Keras' loaders make of files, and arrays of floats.
RANGES = {"uint8": (0, 256), "uint16": (0, 65_536), "int32": (-(2**31), 2**31), "float32": (-300, 600)}
sides = st.one_of(st.integers(1, 5), st.integers(1, 40))
numbers = st.floats(-3, 3)


def draw_images(seed, dtype, shape):
    """Noise, or a ramp whose differences show the last bits of places and weights."""
    random = np.random.default_rng(seed)
    low, high = RANGES[dtype]
    if seed % 2:
        values = np.linspace(low, high - 1, int(np.prod(shape))).reshape(shape)
    else:
        values = random.uniform(low, high, shape)
    return np.floor(values).astype(dtype) if dtype != "float32" else values.astype(np.float32)


@st.composite
def works(draw):
    count, channels = draw(st.sampled_from([1, 1, 3])), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(sorted(RANGES)))
    images = draw_images(draw(st.integers(0, 2**32 - 1)), dtype, (count, draw(sides), draw(sides), channels))
    bend, move = draw(st.sampled_from([0.0, 1e-9, 0.1, 1.0])), draw(st.sampled_from([0.0, 1e-7, 0.5, 1.0, 40.0]))
    values = np.array(draw(st.lists(numbers, min_size=6 * count, max_size=6 * count))).reshape(count, 6)
    return Work(
        images,
        np.eye(2) + values[:, :4].reshape(count, 2, 2) * bend,
        values[:, 4:] * move,
        order=draw(st.sampled_from([-1, 0, 1, 1])),
        fill_mode=draw(st.sampled_from(compiled.FILL_MODES)),
        cval=draw(st.sampled_from([0.0, 7.0, 255.0, -3.5, 1e6, 1 / 3])),
        flips=(draw(st.booleans()), draw(st.booleans())),
        scale=draw(st.sampled_from([1.0, 1 / 255, 3.0])),
    )


@given(works())
@settings(max_examples=600, deadline=None, derandomize=True)
@example(Work(np.full((1, 3, 3, 1), 2**24 + 1, np.int32), np.eye(2)[None], np.full((1, 2), 0.5)))
def test_warp_equals_scipy(work):
    """Any dtype, size, map, order, fill mode and flip: the same bits, also where a place falls on a pixel or beside the image."""
    np.testing.assert_array_equal(run_compiled(work), run_scipy(work))


@pytest.mark.parametrize("fill_mode", compiled.FILL_MODES)
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("size", [(9, 11), (1, 11), (9, 1), (1, 1), (2, 2)])
def test_places_far_outside(size, order, fill_mode):
    """Coordinates beyond any image, in either direction, give what SciPy gives."""
    images = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    for factor in (1e3, -1e6, 1e12):
        shift = np.array([[-factor, factor / 3]])
        work = Work(images, np.eye(2)[None] * factor, shift, order=order, fill_mode=fill_mode, cval=9.0)
        np.testing.assert_array_equal(run_compiled(work), run_scipy(work))


@pytest.mark.parametrize("channels", [1, 3])
def test_order_of_products_where_neighbours_cancel(channels):
    """On a chessboard of both signs, halfway between pixels, only the last bits of the products are left."""
    random = np.random.default_rng(0)
    signs = np.where(np.add.outer(np.arange(12), np.arange(13)) % 2, -1, 1)[None, :, :, None]
    images = np.float32(signs * random.uniform(0.9999999, 1, (40, 12, 13, channels)) * 1e6)
    shifts = 0.5 + random.normal(size=(40, 2)) * 1e-9
    work = Work(images, np.eye(2)[None] + random.normal(size=(40, 2, 2)) * 1e-10, shifts)
    wanted = run_scipy(work)
    assert np.median(np.abs(wanted)) < 1
    np.testing.assert_array_equal(run_compiled(work), wanted)


def test_whole_pixels_beside_the_image():
    """Shifts by whole pixels fall on edges and on the seams between repetitions."""
    for fill_mode in compiled.FILL_MODES:
        for order in (0, 1):
            for step in range(-23, 24):
                images = np.random.default_rng(0).integers(0, 256, (1, 5, 6, 3), np.uint8)
                shift = np.array([[step, step / 2]])
                work = Work(images, np.eye(2)[None], shift, order=order, fill_mode=fill_mode, cval=9.0)
                np.testing.assert_array_equal(run_compiled(work), run_scipy(work), f"{fill_mode} {order} {step}")


MEANS = np.array([103.939, 116.779, 123.68, 60.5, -3.0], np.float32)
elementwise = st.sampled_from(
    [("multiply", 1 / 127.5), ("divide", 127.5), ("subtract", 1.0), ("subtract", MEANS), ("divide", MEANS),
     ("reverse channels", None)]
)  # fmt: skip


def per_channel(links, channels):
    return [(name, operand[:channels] if np.ndim(operand) else operand) for name, operand in links]


@given(
    works(),
    st.one_of(st.none(), st.floats(-400, 400)),
    st.one_of(st.none(), st.sampled_from([0.0, 1.0]), st.floats(-1, 4)),
    st.lists(elementwise, max_size=4),
)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_colour_and_chain_equal_numpy_and_pillow(work, shift, factor, links):
    """Channel shift, brightness and elementwise operations in this order, each rounded as NumPy and Pillow round it."""
    channels = work.images.shape[3]
    work.colours = (shift, factor if channels in (1, 3, 4) else None)
    if work.colours != (None, None):
        work.scale = 1.0  # colour comes before the rescale, which is then a link
    work.links = per_channel(links, channels)
    np.testing.assert_array_equal(run_compiled(work), run_scipy(work))


@given(
    works(), st.lists(elementwise, max_size=2), st.sampled_from([["center sample"], ["center sample", "scale sample"]])
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_samplewise_steps_equal_numpy_but_for_rounding(work, links, sums):
    """Mean and deviation are sums in another order: equal to a few parts in a million of what is summed."""
    work.images = np.minimum(work.images.astype(np.float64), 70_000).clip(-70_000).astype(work.images.dtype)
    work.cval = min(work.cval, 300.0)
    before = per_channel(links, work.images.shape[3])
    work.links = before
    largest = np.abs(run_scipy(work)).max()
    work.links = [*before, ("center sample", None)]
    got, wanted = run_compiled(work), run_scipy(work)
    assert np.abs(got - wanted).max() <= 4e-6 * largest
    if len(sums) > 1 and all(one.std() > 1e-2 * largest for one in wanted):
        work.links.append(("scale sample", None))
        got, wanted = run_compiled(work), run_scipy(work)
        assert np.abs(got - wanted).max() <= 4e-4
