"""Run every way through the kernels with each array directly before or behind a page that must not be touched.

A child process of test_guard_pages.py: a read or a write outside an array ends it by a signal.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from numba import njit

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from repair.kernel_calls import Work, chain_of, run_compiled

from kerasdiag.repair.kernels import choose, compiled

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
PROT_NONE = 0

SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 9), (9, 1), (3, 5), (31, 7), (8, 33))
DTYPES = ("uint8", "uint16", "int32", "float32")
# Leave the image as it is, move by parts of a pixel, look at it from afar, turn it, and look far beside it.
MAPS = (
    (np.eye(2), (0, 0)),
    (np.eye(2), (0.5, -0.25)),
    (np.eye(2) * 2.7, (-3.3, -1.9)),
    (np.array([[0.6, -0.8], [0.8, 0.6]]), (0.4, 1.1)),
    (np.eye(2), (1e7, -1e7)),
)
COLOURS = ((None, None), (40.0, None), (None, 1.7), (-30.0, 0.4))
CHAINS = (
    [],
    [("divide", 127.5), ("subtract", 1.0)],
    [("reverse channels", None), ("subtract", 100.0)],
    [("multiply", 0.5), ("center sample", None), ("scale sample", None)],
)


class Guarded:
    """Copies arrays to memory that ends, or begins, at a page without any rights."""

    def __init__(self, side):
        self.side = side
        self.maps = []

    def __call__(self, values):
        values = np.ascontiguousarray(values)
        if not values.nbytes:
            return values
        pages = -(-values.nbytes // PAGE)
        area = mmap.mmap(-1, (pages + 1) * PAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        at_end = self.side == "end"
        guard = address + (pages * PAGE if at_end else 0)
        if LIBC.mprotect(guard, PAGE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
        start = guard - values.nbytes if at_end else guard + PAGE
        assert start % values.itemsize == 0
        self.maps.append(area)
        memory = (ctypes.c_char * values.nbytes).from_address(start)
        copy = np.frombuffer(memory, values.dtype).reshape(values.shape)
        copy[...] = values
        return copy

    def clear(self):
        """Give the memory back; nobody may use what was placed before."""
        self.maps.clear()


def works():
    """Every fill mode, order, dtype and number of channels on every shape; colour and chains on some of them."""
    number = 0
    for shape, dtype, channels in itertools.product(SHAPES, DTYPES, (1, 3, 4)):
        random = np.random.default_rng(number)
        images = random.uniform(0, 255, (len(MAPS), *shape, channels)).astype(dtype)
        matrices, shifts = np.stack([one[0] for one in MAPS]), np.array([one[1] for one in MAPS], float)
        for order, fill_mode in itertools.product((-1, 0, 1), compiled.FILL_MODES):
            number += 1
            yield Work(
                images, matrices, shifts, order=order, fill_mode=fill_mode, cval=300.0 if number % 3 else 9.0,
                flips=(number % 2 == 0, number % 4 < 2), colours=COLOURS[number % len(COLOURS)],
                links=CHAINS[number // 4 % len(CHAINS)],
            )  # fmt: skip


def run_all(side):
    """Return how many batches ran; each gives what it gives in ordinary memory."""
    guarded, count = Guarded(side), 0
    with tempfile.TemporaryFile() as file:
        for work in works():
            wanted = run_compiled(work)
            np.testing.assert_array_equal(run_compiled(work, guarded), wanted)
            os.pwrite(file.fileno(), work.images.tobytes(), 0)
            np.testing.assert_array_equal(run_compiled(work, guarded, file=file.fileno()), wanted)
            for k, image in enumerate(work.images if not work.needs_whole_image else []):
                np.testing.assert_array_equal(run_image(work, k, image, guarded), wanted[k])
            guarded.clear()
            count += 1
    return count


@njit
def _call(image, shape, order, fill_mode, fill, matrix, flips, kinds, operands, scratch, ways, out):
    """Python cannot call ``augment_image`` itself."""
    compiled.augment_image(
        image, 0, shape, order, fill_mode, fill, matrix, flips[0], flips[1], np.float32(1), kinds, operands, scratch,
        ways, out, 0,
    )  # fmt: skip


def run_image(work, k, image, place):
    """One image with scratch memory of its own, which ``augment_batch`` makes by itself."""
    shape = tuple(int(side) for side in image.shape)
    width, channels = shape[1:]
    padding = compiled.IMAGE_PADDING if image.dtype == np.uint8 and channels == 3 else 0
    matrices = compiled.pack_matrices(
        work.matrices[k : k + 1], work.shifts[k : k + 1], shift_first=choose.choose_kernel().shift_first
    )
    out = place(np.zeros(image.size + compiled.OUT_PADDING, np.float32))
    _call(
        place(np.concatenate([image.reshape(-1), np.zeros(padding, image.dtype)])), shape, work.order,
        compiled.FILL_MODES.index(work.fill_mode), np.float32(work.cval), place(matrices)[0], work.flips,
        *chain_of(work, shape, place), place(np.zeros((6, width))), place(np.zeros((3, width), np.int64)), out,
    )  # fmt: skip
    return out[: image.size].reshape(shape)


def overrun(how):
    """What must end this process: the kernel is lied to about the room that it has."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (1, 3, 5, 3), np.uint8)
    work = Work(images, np.eye(2)[None], np.full((1, 2), 0.5))
    run_compiled(work)
    if how == "out without its padding":
        run_compiled(work, Guarded("end"), out_padding=0)
    elif how == "image without its padding":
        run_compiled(work, Guarded("end"), image_padding=0)
    elif how == "one value before the image":
        run_compiled(work, Guarded("begin"), first_offset=-1)
    else:
        raise ValueError(how)


if __name__ == "__main__":
    if sys.argv[1] == "overrun":
        overrun(sys.argv[2])
        print("nothing happened")
    else:
        print(f"{run_all(sys.argv[1])} batches")
