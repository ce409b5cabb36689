"""Orders of reading: how well batches are mixed, that every row comes once, and what is read side by side."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from kerasdiag.repair.pipeline.draws import permutation
from kerasdiag.repair.pipeline.order import BLOCK_ROWS, permuted_blocks, written_order
from kerasdiag.repair.plans.plan import PipelinePlan
from kerasdiag.spec import GeneratorSpec, LoaderOptions

ROWS, NUM_CLASSES, BATCH = 20_000, 10, 32


def make_plan(block_rows, *, seed=1, shuffle=True, rows=ROWS):
    """A plan over rows sorted by class, in a store written for them."""
    spec = GeneratorSpec(
        kind="DataFrameIterator",
        loader=LoaderOptions("rgb", (8, 8)),
        augmentation=None,
        filepaths=("",) * rows,
        directory=None,
        class_mode="sparse",
        class_indices={},
        classes=None,
        targets=None,
        sample_weight=None,
        batch_size=BATCH,
        shuffle=shuffle,
        seed=seed,
        subset=None,
    )
    record = np.empty(rows, np.int64)
    record[written_order(rows)] = np.arange(rows)
    return PipelinePlan(spec, np.arange(rows), record, 1 if seed is None else seed, -(-rows // BATCH), block_rows)


def classes_per_batch(order):
    labels = order * NUM_CLASSES // len(order)
    batches = [labels[start : start + BATCH] for start in range(0, len(order) - BATCH + 1, BATCH)]
    return np.array([len(np.unique(batch)) for batch in batches])


@pytest.mark.parametrize("seed", [1, None])
@pytest.mark.parametrize("block_rows", [1, BLOCK_ROWS])
def test_batches_of_sorted_rows_are_mixed(block_rows, seed):
    """20,000 rows sorted by 10 classes: a full permutation shows 9.66 classes in a batch of 32; from the first on."""
    plan = make_plan(block_rows, seed=seed)
    for pass_number in range(4):
        order = plan.order(pass_number)
        assert np.array_equal(np.sort(order), np.arange(ROWS))
        mixed = classes_per_batch(order)
        assert mixed.mean() >= 9.4
        assert mixed[:20].mean() >= 9.4


@pytest.mark.parametrize("block_rows", [1, BLOCK_ROWS])
def test_each_pass_has_an_order_of_its_own(block_rows):
    """Neither the order nor the neighbours are those of the pass before."""
    plan = make_plan(block_rows)
    first, second = plan.order(0), plan.order(1)
    assert (first == second).mean() < 0.01
    batch_of = np.empty(ROWS, int)
    batch_of[second] = np.arange(ROWS) // BATCH
    together = [len(np.unique(batch_of[first[start : start + BATCH]])) for start in range(0, ROWS - BATCH, BATCH)]
    # Of 32 rows in one batch, single reads meet 32 others next time; blocks keep at most their neighbours.
    assert np.mean(together) > (31 if block_rows == 1 else 6)


@pytest.mark.parametrize("seed", [1, None])
def test_blocks_are_read_side_by_side(seed):
    """A disk moves its head once for a block, and not for each row."""
    plan = make_plan(BLOCK_ROWS, seed=seed)
    moves = np.diff(plan.record[plan.order(2)]) != 1
    assert moves.mean() < 1.1 / BLOCK_ROWS
    single = make_plan(1)
    assert (np.diff(single.record[single.order(2)]) != 1).mean() > 0.99


@pytest.mark.parametrize("block_rows", [1, BLOCK_ROWS])
def test_file_order_is_kept(block_rows):
    """shuffle=False is the generator's order whatever the disk."""
    assert np.array_equal(make_plan(block_rows, shuffle=False).order(5), np.arange(ROWS))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_every_row_comes_once_for_any_length(count):
    """Also where a block is not full."""
    along = permutation(3, count)
    for key in range(5):
        assert sorted(permuted_blocks(key, along, BLOCK_ROWS).tolist()) == list(range(count))


def test_order_takes_a_few_numbers_a_row():
    """A pass over a million rows needs megabytes, not a table of draws."""
    plan = make_plan(1, rows=1_000_000)
    tracemalloc.start()
    plan.order(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1_000_000
