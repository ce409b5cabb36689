"""Make the batches of a plan from loaded images: order, draws, pixel work, labels.

Knows no TensorFlow; ``dataset.py`` puts it into a tf.data pipeline. May be called from any number
of threads at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.kernels.choose import KernelChoice
from kerasdiag.repair.ops.affine import Parameters
from kerasdiag.repair.pipeline.augment import Augmenter, choose_way
from kerasdiag.repair.pipeline.buffers import BatchBuffers
from kerasdiag.repair.pipeline.pixels import Pixels
from kerasdiag.repair.plans.plan import PipelinePlan
from kerasdiag.repair.plans.targets import Targets

# Orders of passes that are kept: that of each iteration in progress, and the one it runs on into.
_KEPT_ORDERS = 4
# Buffers that wait to be used again. In a steady stream nearly all are in use, and few are enough;
# somebody who held hundreds of batches for a moment shall not pay for them ever after.
_MAX_IDLE_BUFFERS = 16
# Room behind a batch for what the compiled kernel writes beyond its last pixel, in values.
_PADDING = 16


class BatchMaker:
    """The batches of a plan.

    Args:
        plan: Which rows in which order under which draws.
        pixels: Their loaded images.
        kernel: What does the pixel work.
        buffer_pool_bytes: Most memory that unused batch buffers may hold.
    """

    def __init__(self, plan: PipelinePlan, pixels: Pixels, kernel: KernelChoice, buffer_pool_bytes: int) -> None:
        self.plan = plan
        self.pixels = pixels
        self.targets = Targets(plan.spec, plan.rows)
        self.augmenter = Augmenter(plan.spec, pixels, choose_way(plan.spec, kernel))
        self._shape = plan.spec.batch_shape
        self._size = int(np.prod(self._shape))
        self._dtype = np.dtype(plan.spec.dtype)
        self._capacity = min(plan.spec.batch_size, max(1, len(plan.rows)))
        count = self._capacity * self._size
        max_idle = min(max(2, buffer_pool_bytes // (self._dtype.itemsize * count)), _MAX_IDLE_BUFFERS)
        self.buffers = BatchBuffers(count + _PADDING, max_idle, self._dtype)
        self._lock = threading.Lock()
        self._next_pass = 0
        self._orders: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

    @property
    def kernel(self) -> KernelChoice:
        """What does the pixel work."""
        return self.augmenter.kernel

    @property
    def next_pass(self) -> int:
        """Number of the pass that the next iteration starts with."""
        return self._next_pass

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be that of epoch ``epoch``, counted from 0."""
        with self._lock:
            self._next_pass = int(epoch) * self.plan.passes_per_iteration

    def begin_iteration(self) -> int:
        """Return the first pass of a new iteration, and count its passes as begun."""
        with self._lock:
            first = self._next_pass
            self._next_pass += self.plan.passes_per_iteration
        return first

    def positions(self, first_pass: int, step: int) -> tuple[int, NDArray[np.int64]]:
        """Return the pass of a step of an iteration, and the positions in ``plan.rows`` of its batch."""
        further, batch = divmod(step, self.plan.batches_per_pass)
        size = self.plan.spec.batch_size
        return first_pass + further, self._order(first_pass + further)[batch * size : (batch + 1) * size]

    def batch(self, first_pass: int, step: int) -> tuple[NDArray[Any], ...]:
        """Return images, further inputs, labels and weights of a step, those that there are."""
        pass_number, positions = self.positions(first_pass, step)
        parameters = self.plan.draw_batch(pass_number, step % self.plan.batches_per_pass, positions)
        return (self.images(positions, parameters), *self.targets.batch(positions))

    @property
    def example(self) -> tuple[NDArray[Any], ...]:
        """The arrays of an empty batch."""
        return (np.zeros((0, *self._shape), self._dtype), *self.targets.example)

    def images(self, positions: NDArray[np.int64], parameters: Parameters) -> NDArray[Any]:
        """Return [rows, ...] images in the generator's data format and dtype, for given draws.

        Args:
            positions: At most a batch of rows.
            parameters: Drawn numbers, one array [rows] for each name.
        """
        count = len(positions)
        if count > self._capacity:  # the compiled kernel checks no bounds
            raise ValueError(f"A batch holds at most {self._capacity} rows. Received: {count}.")
        buffer = self.buffers.take()
        out = buffer[: count * self._size].reshape(count, *self._shape)
        self.augmenter.run(positions, parameters, out, buffer)
        return out

    def _order(self, pass_number: int) -> NDArray[np.int64]:
        with self._lock:
            if pass_number not in self._orders:
                self._orders[pass_number] = self.plan.order(pass_number)
                while len(self._orders) > _KEPT_ORDERS:
                    self._orders.popitem(last=False)
            self._orders.move_to_end(pass_number)
            return self._orders[pass_number]
