"""The plan: which rows in which order under which draws become which batches.

The store holds pixels only; everything else that the generator does stands here, as data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.ops import affine, brightness, channel_shift, flip
from kerasdiag.repair.ops.affine import Parameters
from kerasdiag.repair.pipeline.draws import key_of, permutation, uniforms
from kerasdiag.repair.pipeline.order import permuted_blocks
from kerasdiag.repair.plans.replay import Replay
from kerasdiag.spec import AugmentationOptions, GeneratorSpec

EXACT, REPLAY = "exact", "replay"


@dataclass(frozen=True)
class PipelinePlan:
    """What the dataset does.

    Attributes:
        spec: What the generator is.
        rows: int64, numbers of the generator's rows that take part (all but skipped images).
        record: int64 [rows], record of the store that holds each row's pixels; None without a store.
        seed: Key of all draws and permutations.
        steps_per_epoch: Batches of one iteration over the dataset.
        block_rows: Neighbouring records that are read one after the other; 1 for single reads.
        mode: ``"exact"``: draws keyed by seed, pass and row; ``"replay"``: those of the generator.
    """

    spec: GeneratorSpec
    rows: NDArray[np.int64]
    record: NDArray[np.int64] | None
    seed: int
    steps_per_epoch: int
    block_rows: int = 1
    mode: str = EXACT

    @property
    def options(self) -> AugmentationOptions:
        """The generator's augmentation; neutral where it has none."""
        return self.spec.augmentation or AugmentationOptions()

    @property
    def batches_per_pass(self) -> int:
        """Batches in one pass over the rows; the last may be smaller."""
        return -(-len(self.rows) // self.spec.batch_size)

    @property
    def passes_per_iteration(self) -> int:
        """Permutations that one iteration starts."""
        return -(-self.steps_per_epoch // self.batches_per_pass)

    @cached_property
    def replay(self) -> Replay:
        """The generator's own stream of numbers."""
        return Replay(self.spec)

    def order(self, pass_number: int) -> NDArray[np.int64]:
        """Return the positions in ``rows`` in the order in which a pass takes them."""
        count = len(self.rows)
        if self.mode == REPLAY:
            return self.replay.order(pass_number)
        if not self.spec.shuffle:
            return np.arange(count)
        key = key_of(self.seed, pass_number, "order")
        if self.block_rows == 1 or self.record is None:
            return permutation(key, count)
        return permuted_blocks(key, np.argsort(self.record, kind="stable"), self.block_rows)

    def draw_batch(self, pass_number: int, batch: int, positions: NDArray[np.int64]) -> Parameters:
        """Draw the parameters of a batch.

        Args:
            pass_number: The pass.
            batch: Number of the batch within the pass.
            positions: Its rows, positions in ``rows``.

        Returns:
            One array for each name of Keras' ``get_random_transform``; a name is missing where the
            generator has None.
        """
        if self.mode == REPLAY:
            return self.replay.draw(pass_number, batch)
        return self.draw(pass_number, positions)

    def draw(self, pass_number: int, positions: NDArray[np.int64]) -> Parameters:
        """Draw the parameters of some rows of a pass; keyed by seed, pass and original row number."""
        numbers = uniforms(key_of(self.seed, pass_number, "draws"), self.rows[positions])
        options = self.options
        return {
            **affine.draw(options, self.spec.image_shape, numbers),
            **flip.draw(options, numbers),
            **channel_shift.draw(options, numbers),
            **brightness.draw(options, numbers),
        }
