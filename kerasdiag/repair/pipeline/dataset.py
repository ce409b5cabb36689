"""From the batches of a plan to a finite tf.data.Dataset that looks like the generator it replaces."""

from __future__ import annotations

import os
from typing import Any  # TensorFlow has no types

import numpy as np

from kerasdiag.environment.facts import Environment
from kerasdiag.repair.pipeline.batches import BatchMaker
from kerasdiag.repair.pipeline.host_calls import HostCalls

# Batches made ahead of the training, beside the ones in the making. Two hide an uneven step.
PREFETCH_BATCHES = 2


def build_dataset(maker: BatchMaker, environment: Environment) -> Any:
    """Return a ``tf.data.Dataset`` of exactly ``plan.steps_per_epoch`` batches an iteration.

    Elements are nested as the generator's batches are, with tuples for its lists; the batch dimension is None because the last batch of a pass may be smaller.

    Args:
        maker: Makes the batches.
        environment: How many threads and how much memory there are.
    """
    import tensorflow as tf

    plan = maker.plan
    threads = environment.reader_threads
    example = maker.example
    types = [tf.as_dtype(array.dtype) for array in example]

    calls = HostCalls()

    def begin(_: Any) -> Any:
        first_pass = tf.numpy_function(lambda: np.int64(calls.run(maker.begin_iteration, 0)), [], tf.int64)
        first_pass.set_shape([])
        return first_pass

    def number_steps(first_pass: Any) -> Any:
        return tf.data.Dataset.range(plan.steps_per_epoch).map(lambda step: (first_pass, step))

    def make(first_pass: Any, step: Any) -> Any:
        parts = tf.numpy_function(
            lambda first, number: calls.run(maker.batch, example, int(first), int(number)), [first_pass, step], types
        )
        for part, array in zip(parts, example):
            part.set_shape([None, *array.shape[1:]])
        return maker.targets.nest(parts)

    # A host call begins each iteration, so an epoch, a repeat() and a second fit all get new draws.
    dataset = tf.data.Dataset.from_tensors(np.int64(0)).map(begin).flat_map(number_steps)
    dataset = dataset.map(make, num_parallel_calls=threads, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(plan.steps_per_epoch))
    dataset = dataset.prefetch(PREFETCH_BATCHES)
    return dataset.with_options(_options(tf, environment, threads))


def _options(tf: Any, environment: Environment, threads: int) -> Any:
    options = tf.data.Options()
    # tf.data plans with the host's memory and cores, which a container may not have.
    options.autotune.ram_budget = environment.tf_data_ram_budget_bytes
    options.autotune.cpu_budget = environment.tf_data_cpu_budget
    if (os.cpu_count() or 1) > environment.cores:
        # Else its threads, one for each core of the host, would take turns on the cores of a container.
        options.threading.private_threadpool_size = threads + 2  # what begins, prefetches and hands over
    # There are no files to share out among the workers of a cluster; each takes its share of batches.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options
