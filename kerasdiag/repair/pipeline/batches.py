"""Make the batches of a plan from the records of a store: draws, reading, pixel work, labels.

Knows no TensorFlow; ``dataset.py`` puts it into a tf.data pipeline. May be called from any number
of threads at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.kernels import scipy_path
from kerasdiag.repair.kernels.choose import COMPILED, KernelChoice
from kerasdiag.repair.ops import affine, flip, rescale
from kerasdiag.repair.pipeline.buffers import BatchBuffers
from kerasdiag.repair.pipeline.reader import PixelReader
from kerasdiag.repair.pixel_store.store import Store
from kerasdiag.repair.plans.plan import PipelinePlan, Targets

# Orders of passes that are kept: that of each iteration in progress, and the one it runs on into.
_KEPT_ORDERS = 4
# Buffers that wait to be used again. In a steady stream nearly all are in use, and few are enough;
# somebody who held hundreds of batches for a moment shall not pay for them ever after.
_MAX_IDLE_BUFFERS = 16
# Room behind a batch for what the compiled kernel writes beyond its last pixel, in floats.
_PADDING = 16


class BatchMaker:
    """The batches of a plan.

    Args:
        plan: Which rows in which order under which draws.
        store: Where their pixels lie.
        kernel: What does the pixel work.
        buffer_pool_bytes: Most memory that unused batch buffers may hold.
    """

    def __init__(self, plan: PipelinePlan, store: Store, kernel: KernelChoice, buffer_pool_bytes: int) -> None:
        self.plan = plan
        self.kernel = kernel
        self.targets = Targets(plan.spec, plan.rows)
        self._shape = plan.spec.loader.image_shape
        self._size = plan.spec.loader.image_bytes
        self._reader = PixelReader(store)
        self._warps = affine.warps(plan.options)
        self._capacity = min(plan.spec.batch_size, max(1, len(plan.rows)))
        batch_floats = self._capacity * self._size
        max_idle = min(max(2, buffer_pool_bytes // (4 * batch_floats)), _MAX_IDLE_BUFFERS)
        self.buffers = BatchBuffers(batch_floats + _PADDING, max_idle)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._next_pass = 0
        self._orders: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

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
        """Return images, labels and weights of a step, as many of them as the generator yields."""
        pass_number, positions = self.positions(first_pass, step)
        parameters = self.plan.draw(pass_number, positions)
        return (self.images(positions, parameters), *self.targets.batch(positions))

    def images(self, positions: NDArray[np.int64], parameters: affine.Parameters) -> NDArray[np.float32]:
        """Return float32 [rows, height, width, channels] for given draws; at most a batch of rows."""
        records = self.plan.record[positions]
        if len(records) > self._capacity:  # the compiled kernel checks no bounds
            raise ValueError(f"A batch holds at most {self._capacity} rows. Received: {len(records)}.")
        flips = flip.make_flips(parameters)
        maps = affine.make_maps(parameters, self._shape) if self._warps else None
        buffer = self.buffers.take()
        if self.kernel.name == COMPILED:
            self._augment_compiled(records, maps, flips, buffer)
        else:
            self._augment_scipy(records, maps, flips, buffer)
        return buffer[: len(records) * self._size].reshape(len(records), *self._shape)

    def _augment_compiled(
        self, records: NDArray[np.int64], maps: affine.AffineMaps | None, flips: NDArray[np.bool_], out: NDArray[Any]
    ) -> None:
        from kerasdiag.repair.kernels import compiled

        count = len(records)
        modes = np.full(count, compiled.NO_WARP, np.int64)
        matrices = np.zeros((count, 8))
        if maps is not None:
            modes[~maps.is_neutral] = self.plan.options.interpolation_order
            matrices = compiled.pack_matrices(maps.matrix, maps.shift, shift_first=self.kernel.shift_first)
        scale = rescale.factor(self.plan.options.rescale)
        image = self._scratch(compiled.IMAGE_PADDING)
        address = self._reader.pread_address
        if address and self._reader.can_open(records):
            with self._reader.places(records) as (files, offsets):
                broken = compiled.read_and_augment(
                    address, files, offsets, image, self._shape, modes, matrices, flips, scale, out
                )
            if broken < 0:
                return
            self._reader.read(int(records[broken]), image)  # tells what is wrong; else it was a passing trouble
        nowhere, start = np.zeros(1, np.int32), np.zeros(1, np.int64)
        for k in range(count):
            self._reader.read(int(records[k]), image)
            compiled.read_and_augment(
                0, nowhere, start, image, self._shape, modes[k : k + 1], matrices[k : k + 1], flips[k : k + 1],
                scale, out[k * self._size :],
            )  # fmt: skip

    def _augment_scipy(
        self, records: NDArray[np.int64], maps: affine.AffineMaps | None, flips: NDArray[np.bool_], out: NDArray[Any]
    ) -> None:
        image = self._scratch(0)
        for k, record in enumerate(records):
            self._reader.read(int(record), image)
            warps = maps is not None and not maps.is_neutral[k]
            scipy_path.augment_image(
                image.reshape(self._shape),
                maps.matrix[k] if warps and maps is not None else None,
                maps.shift[k] if maps is not None else np.zeros(2),
                flips[k],
                order=self.plan.options.interpolation_order,
                rescale=self.plan.options.rescale,
                out=out[k * self._size : (k + 1) * self._size].reshape(self._shape),
            )

    def _scratch(self, padding: int) -> NDArray[np.uint8]:
        """One image for this thread to read into."""
        if not hasattr(self._local, "image"):
            self._local.image = np.zeros(self._size + padding, np.uint8)
        return self._local.image  # type: ignore[no-any-return]

    def _order(self, pass_number: int) -> NDArray[np.int64]:
        with self._lock:
            if pass_number not in self._orders:
                self._orders[pass_number] = self.plan.order(pass_number)
                while len(self._orders) > _KEPT_ORDERS:
                    self._orders.popitem(last=False)
            self._orders.move_to_end(pass_number)
            return self._orders[pass_number]
