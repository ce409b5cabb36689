"""Buffers: aligned, handed out to one user at a time, and bounded."""

from __future__ import annotations

import numpy as np

from kerasdiag.repair.pipeline.buffers import ALIGNMENT_BYTES, BatchBuffers


def test_a_buffer_is_aligned_and_whole():
    """TensorFlow copies an array that does not begin at a multiple of 64 bytes."""
    buffers = BatchBuffers(1001, 2)
    taken = [buffers.take() for _ in range(8)]
    assert all(buffer.ctypes.data % ALIGNMENT_BYTES == 0 and buffer.shape == (1001,) for buffer in taken)
    for number, buffer in enumerate(taken):
        buffer[:] = number
    assert [float(buffer.min()) for buffer in taken] == [float(buffer.max()) for buffer in taken] == list(range(8))


def test_a_buffer_is_used_again_when_nobody_has_it():
    """One after the other they are one and the same."""
    buffers = BatchBuffers(10, 2)
    addresses = {buffers.take().ctypes.data for _ in range(20)}
    assert len(addresses) == len(buffers) == 1


def test_any_view_keeps_a_buffer():
    """A slice, a reshaped view, a view of a view and a memoryview count like the array itself."""
    buffers = BatchBuffers(12, 2)
    kept = [
        buffers.take()[3:5],
        buffers.take().reshape(3, 4)[1],
        buffers.take()[:6].reshape(2, 3).T[1:],
        memoryview(buffers.take()),
        buffers.take().view(np.int32),
    ]
    assert len(buffers) == 5
    assert buffers.take().ctypes.data not in {np.asarray(view).ctypes.data & -64 for view in kept}
    assert len(buffers) == 6


def test_idle_buffers_are_let_go():
    """Who held a hundred batches for a moment does not pay for them ever after."""
    buffers = BatchBuffers(10, 3)
    held = [buffers.take() for _ in range(100)]
    assert len(buffers) == 100
    del held
    buffers.take()
    assert len(buffers) <= 3
