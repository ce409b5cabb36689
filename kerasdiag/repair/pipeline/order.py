"""Orders of reading: a full permutation, or blocks of neighbouring records where single reads are slow.

Records were written in random order, so a block of neighbours is a random sample of the rows, and
a batch made of a few blocks is nearly as well mixed as one of single rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kerasdiag.repair.pipeline.draws import key_of, number_below, permutation

# Rows that are read one after the other on a disk that must move its head. At 270 kB a record, 8
# are 2 MB: 15 ms of reading for 10 ms of moving.
BLOCK_ROWS = 8


def written_order(count: int) -> NDArray[np.int64]:
    """Return the order in which ``count`` sources are written to a store: random, and the same everywhere."""
    return permutation(key_of(0, 0, "write"), count)


def permuted_blocks(key: int, along: NDArray[np.int64], block_rows: int) -> NDArray[np.int64]:
    """Return positions block by block in random order.

    Args:
        key: Everything random follows from it.
        along: int64 [rows], positions in the order in which they lie on the disk.
        block_rows: Rows in a block. Where the first block ends is random too, so that the same
            rows are not neighbours in each pass.
    """
    block = (np.arange(len(along)) + number_below(key, block_rows)) // block_rows
    place_of_block = np.argsort(permutation(key ^ 1, int(block[-1]) + 1 if len(along) else 0))
    return along[np.argsort(place_of_block[block], kind="stable")]
