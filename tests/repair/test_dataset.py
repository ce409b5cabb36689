"""The dataset: finite, reproducible, aligned, and as safe to hold as any other."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras_api import tf
from repair.generators import ARTICLE, keras_images, make_generator, make_maker, write_images

from kerasdiag import autofix
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.storage import StorageClass, StorageFacts
from kerasdiag.repair.pipeline.dataset import build_dataset

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def repair(images, cache):
    """Call autofix on a generator with these options."""

    def call(options=ARTICLE, autofix_options=None, **arguments):
        generator = make_generator(*images, options=options, **arguments)
        return autofix(generator, when="always", cache_dir=cache, verbose=0, **(autofix_options or {}))

    return call


def arrays(dataset):
    """One iteration as a list of tuples of arrays that nothing else holds."""
    return [tuple(np.array(part) for part in (batch if isinstance(batch, tuple) else (batch,))) for batch in dataset]


def are_equal(one, other):
    return len(one) == len(other) and all(
        len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b)) for a, b in zip(one, other)
    )


def test_one_iteration_is_one_pass(repair):
    """len() is that of the generator, the last batch is smaller, and every row comes once."""
    dataset = repair(weight_col="weight")
    batches = arrays(dataset)
    assert len(dataset) == len(batches) == 4
    assert [len(batch[0]) for batch in batches] == [7, 7, 7, 3]
    weights = np.concatenate([batch[2] for batch in batches])
    assert len(np.unique(weights)) == 24


def test_static_shapes_are_the_generators(repair):
    """fit with class_weight, XLA and summaries need the rank and the known sizes."""
    image, label, weight = repair(weight_col="weight").element_spec
    assert (image.shape.as_list(), image.dtype) == ([None, 32, 28, 3], tf.float32)
    assert (label.shape.as_list(), label.dtype) == ([None, 3], tf.float32)
    assert (weight.shape.as_list(), weight.dtype) == ([None], tf.float64)
    assert repair(class_mode="sparse").element_spec[1].shape.as_list() == [None]
    assert repair(class_mode=None, y_col=None).element_spec.shape.as_list() == [None, 32, 28, 3]


def test_epochs_differ_and_a_seed_repeats_them(repair):
    """Each epoch has an order and draws of its own; the same seed gives both again, another one does not."""
    first, again, other = repair(), repair(), repair(seed=6)
    epochs = [arrays(first) for _ in range(3)]
    assert not are_equal(epochs[0], epochs[1])
    assert not are_equal(epochs[1], epochs[2])
    assert are_equal(epochs[0], arrays(again))
    assert are_equal(epochs[1], arrays(again))
    assert not are_equal(epochs[0], arrays(other))


def test_what_a_seed_gives_never_changes(repair):
    """A number of this line changes only if every seeded augmentation of every user does."""
    order = np.concatenate([batch[1] for batch in arrays(repair(options={}, class_mode="raw", y_col="target"))])
    assert (order * 2).astype(int).tolist()[:10] == [2, 12, 11, 20, 22, 6, 21, 4, 18, 10]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_any_parallelism_gives_the_same(images, cache, threads, monkeypatch):
    """Order, draws and pixels do not depend on which thread makes a batch."""
    wanted = None
    for count in (1, threads):
        monkeypatch.setattr(Environment, "reader_threads", count)
        maker = make_maker(make_generator(*images, options=ARTICLE), cache / "stores", steps=11)
        batches = arrays(build_dataset(maker, Environment.collect()))
        wanted = wanted or batches
        assert are_equal(batches, wanted)


def test_repeat_and_a_long_epoch_never_repeat_a_pass(repair):
    """A further pass inside an iteration, under repeat(), and in the next iteration: all differ."""
    dataset = repair(weight_col="weight", autofix_options={"steps_per_epoch": 10})
    batches = arrays(dataset) + arrays(dataset.repeat(2))
    assert len(batches) == 30
    sums = [round(float(batch[0].sum()), 3) for batch in batches]
    assert len(set(sums)) == 30
    assert [len(batch[0]) for batch in batches[:10]] == [7, 7, 7, 3, 7, 7, 7, 3, 7, 7]
    for start in (0, 4):
        weights = np.concatenate([batch[2] for batch in batches[start : start + 4]])
        assert len(np.unique(weights)) == 24


def test_a_short_epoch_starts_afresh(repair):
    """With fewer steps than a pass has, each iteration begins a permutation of its own."""
    dataset = repair(options={}, class_mode="raw", y_col="target", autofix_options={"steps_per_epoch": 2})
    seen = [np.concatenate([batch[1] for batch in arrays(dataset)]) for _ in range(4)]
    assert all(len(epoch) == 14 == len(np.unique(epoch)) for epoch in seen)
    assert len({tuple(epoch) for epoch in seen}) == 4


@pytest.mark.parametrize("steps", [2, 4, 9])
def test_set_epoch(repair, steps):
    """Training can go on where an earlier run stopped; autofix's own looks do not count."""
    dataset = repair(autofix_options={"steps_per_epoch": steps})
    epochs = [arrays(dataset) for _ in range(3)]
    for epoch in (2, 0, 1):
        dataset.set_epoch(epoch)
        assert are_equal(arrays(dataset), epochs[epoch])
    resumed = repair(autofix_options={"steps_per_epoch": steps})
    resumed.set_epoch(2)
    assert are_equal(arrays(resumed), epochs[2])


def test_file_order_is_kept(repair, images):
    """shuffle=False gives the generator's order in every epoch, with new draws."""
    dataset = repair(class_mode="raw", y_col="target", shuffle=False)
    first, second = arrays(dataset), arrays(dataset)
    for epoch in (first, second):
        assert np.concatenate([batch[1] for batch in epoch]).tolist() == images[0]["target"].tolist()
    assert not np.array_equal(first[0][0], second[0][0])


@pytest.mark.parametrize("kind", ["nvme", "network", "rotating"])
def test_images_and_masks_stay_aligned(images, cache, tmp_path, monkeypatch, kind):
    """Two generators with one seed get equal orders and draws, whatever their disks, and however large their stores."""
    monkeypatch.setattr(
        Environment, "storage", lambda *_: StorageFacts(StorageClass(kind), "/", "", "", None, False, "")
    )
    frame, _ = images
    more = write_images(tmp_path / "masks", 400, size=(12, 12), seed=9)
    with_more = make_generator(more, tmp_path / "masks")
    autofix(with_more, when="always", cache_dir=cache, verbose=0)  # a store of which the masks are a small part
    frame_of_masks = frame.assign(file=more["file"].tolist()[: len(frame)])
    pairs = tf.data.Dataset.zip(
        tuple(
            autofix(
                make_generator(data, folder, options=ARTICLE, class_mode="raw", y_col="target"),
                when="always",
                cache_dir=cache,
                verbose=0,
            )
            for data, folder in ((frame, images[1]), (frame_of_masks, tmp_path / "masks"))
        )
    )
    for _ in range(2):
        for (image, row), (mask, mask_row) in pairs:
            assert np.array_equal(row, mask_row)
            assert not np.array_equal(image, mask)


def test_draws_of_a_row_do_not_depend_on_the_images(images, cache, tmp_path):
    """Masks are turned as their images are."""
    frame, folder = images
    masks = write_images(tmp_path, seed=9)
    makers = [
        make_maker(make_generator(data, where, options=ARTICLE), cache / "stores")
        for data, where in ((frame, folder), (frame.assign(file=masks["file"].tolist()), tmp_path))
    ]
    for positions in (np.arange(7), np.arange(7, 14)):
        draws = [maker.plan.draw(3, positions) for maker in makers]
        assert all(np.array_equal(draws[0][name], draws[1][name]) for name in draws[0])


@pytest.mark.parametrize("kind", ["network", "rotating"])
def test_slow_disks_are_read_in_blocks_without_a_seed(images, cache, monkeypatch, kind):
    """The report names the order and what decided it."""
    monkeypatch.setattr(
        Environment, "storage", lambda *_: StorageFacts(StorageClass(kind), "/", "", "", None, False, "")
    )
    frame, folder = images
    for seed, shuffle, name in ((None, True, "blocks"), (5, True, "permutation"), (None, False, "file order")):
        generator = make_generator(frame, folder, seed=seed, shuffle=shuffle, batch_size=1)
        report = autofix(generator, when="always", cache_dir=cache, verbose=0).repair_report
        assert report.reading == name
        assert kind in report.reading_reason


@pytest.mark.parametrize("seed", [5, None])
def test_blocks_lie_side_by_side(tmp_path, seed):
    """A store that was written for a generator is read in pieces of neighbours, in its shards, too."""
    frame = write_images(tmp_path / "images", 200, size=(12, 12))
    generator = make_generator(frame, tmp_path / "images", seed=seed, target_size=(8, 8))
    maker = make_maker(generator, tmp_path / "stores", seed=3, block_rows=8)
    moves = np.diff(maker.plan.record[maker.plan.order(1)]) != 1
    assert moves.mean() < 1.2 / 8


def test_augmented_batches_are_what_keras_makes_of_these_draws(repair, images, cache):
    """The whole way through tf.data: Keras applied to the recorded draws gives every batch bit for bit."""
    generator = make_generator(*images, options=ARTICLE, weight_col="weight")
    maker = make_maker(generator, cache / "stores", steps=6)
    dataset = build_dataset(maker, Environment.collect())
    list(dataset)  # the second iteration, so that the passes are 2 and 3
    for step, (image, label, weight) in enumerate(dataset):
        pass_number, positions = maker.positions(2, step)
        assert pass_number == 2 + step // 4
        wanted = keras_images(generator, positions, maker.plan.draw(pass_number, positions))
        np.testing.assert_array_equal(image, wanted)
        assert weight.numpy().tolist() == images[0]["weight"][positions].tolist()
        assert label.numpy().argmax(1).tolist() == [generator.classes[row] for row in positions]


def test_batches_that_are_held_keep_their_values(repair):
    """Buffers are used again only when nobody refers to them: tensors, views, slices, lists and caches."""
    dataset = repair(autofix_options={"steps_per_epoch": 60})
    held, copies = [], []
    for step, (image, _) in enumerate(dataset):
        kinds = (image, image.numpy(), image[1:3], tf.unstack(image)[0], tf.identity(image), np.asarray(image)[::2])
        held.append(kinds[step % len(kinds)])
        copies.append(np.array(held[-1]))
        if len(held) > 40:  # some are let go again
            del held[0], copies[0]
    gc.collect()
    for value, copy in zip(held, copies):
        np.testing.assert_array_equal(np.asarray(value), copy)
    everything = list(dataset.take(30))
    sums = [float(tf.reduce_sum(image)) for image, _ in everything]
    list(dataset)
    assert [float(tf.reduce_sum(image)) for image, _ in everything] == sums
    cached = dataset.take(30).cache()
    once = arrays(cached)
    list(dataset)
    assert are_equal(arrays(cached), once)


def test_buffers_are_few_and_not_copied(images, cache):
    """A long iteration uses a handful of buffers, and TensorFlow's tensors lie in them."""
    maker = make_maker(make_generator(*images, options=ARTICLE, target_size=(64, 64)), cache / "stores", steps=200)
    addresses = set()
    for image, _ in build_dataset(maker, Environment.collect()):
        addresses.add(np.asarray(image).__array_interface__["data"][0])  # .numpy() copies
    assert len(maker.buffers) <= 16
    assert addresses <= maker.buffers.addresses()


def test_random_state_of_others_is_left_alone(images, cache):
    """Neither NumPy's global state nor the generator's counters move."""
    generator = make_generator(*images, options=ARTICLE)
    before = np.random.get_state()[1].tolist()
    counters = (generator.total_batches_seen, generator.batch_index, generator.index_array)
    dataset = autofix(generator, when="always", cache_dir=cache, verbose=0)
    list(dataset)
    assert np.random.get_state()[1].tolist() == before
    assert (generator.total_batches_seen, generator.batch_index, generator.index_array) == counters


def test_a_seed_is_drawn_where_there_is_none(repair):
    """seed=None takes one from NumPy's stream, so np.random.seed governs it, and tells which."""
    np.random.seed(3)
    first = repair(seed=None)
    np.random.seed(3)
    second, third = repair(seed=None), repair(seed=None)
    assert first.seed == second.seed != third.seed
    assert are_equal(arrays(first), arrays(second))
    assert are_equal(arrays(repair(seed=first.seed)), arrays(second.take(0)) or _restart(second))


def _restart(dataset):
    dataset.set_epoch(0)
    return arrays(dataset)


def test_attributes_that_scripts_read(repair, images):
    """What the generator has, the dataset has, too, and four more."""
    generator = make_generator(*images, options=ARTICLE)
    dataset = repair()
    for name in (
        "class_indices", "classes", "labels", "filenames", "filepaths", "samples", "n", "batch_size", "image_shape",
        "target_size", "class_mode", "seed",
    ):  # fmt: skip
        assert getattr(dataset, name) == getattr(generator, name), name
    assert dataset.num_classes == 3
    assert dataset.steps_per_epoch == 4
    assert dataset.repair_report.outcome in ("repaired", "reused")
    assert dataset.reset() is None
    assert not hasattr(repair(class_mode=None, y_col=None), "class_indices")
    assert repair(class_mode=None, y_col=None).num_classes is None


ENDINGS = {
    "an iterator in a variable": "iterator = iter(dataset)\nnext(iterator)\nprint('END', flush=True)",
    "many iterators": "held = [iter(dataset) for _ in range(4)]\n[next(one) for one in held]\nprint('END', flush=True)",
    "an error in a fit": (
        "class Stop(keras.callbacks.Callback):\n"
        "    def on_train_batch_end(self, batch, logs=None):\n"
        "        print('END', flush=True)\n"
        "        raise KeyboardInterrupt\n"
        "model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(dataset, callbacks=[Stop()], verbose=0)"
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_ends_while_batches_are_made(images, cache, tmp_path, ending):
    """The interpreter does not wait for a thread that waits for the interpreter."""
    frame, folder = images
    frame.to_csv(tmp_path / "frame.csv", index=False)
    here = Path(__file__)
    script = (
        f"import sys\nsys.path[:0] = [{str(here.parents[2])!r}, {str(here.parents[1])!r}]\n"
        "import pandas as pd\nfrom keras_api import keras\nfrom repair.generators import ARTICLE, make_generator\n"
        "from kerasdiag import autofix\n"
        f"frame = pd.read_csv({str(tmp_path / 'frame.csv')!r})\n"
        f"generator = make_generator(frame, {str(folder)!r}, options=ARTICLE, target_size=(300, 300), batch_size=24)\n"
        f"dataset = autofix(generator, when='always', cache_dir={str(cache)!r}, steps_per_epoch=1000, verbose=0)\n"
    )
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, "-c", script + ENDINGS[ending]], capture_output=True, text=True, timeout=60, check=False
        )
        assert "END" in result.stdout, result.stderr
        assert (result.returncode == 0) == ("fit" not in ending)


@pytest.mark.parametrize("kernel", ["compiled", "scipy"])
def test_without_positioned_reads(repair, monkeypatch, kernel):
    """Where the platform has no preadv, the same batches come by seeking and reading."""
    wanted = repair(autofix_options={"steps_per_epoch": 6})
    monkeypatch.setenv("KERASDIAG_KERNEL", kernel)
    monkeypatch.delattr(os, "preadv")
    assert are_equal(arrays(repair(autofix_options={"steps_per_epoch": 6})), arrays(wanted))


def test_scipy_path_gives_the_same_dataset(repair, monkeypatch):
    """KERASDIAG_KERNEL=scipy changes the speed and nothing else."""
    compiled = repair(autofix_options={"steps_per_epoch": 6})
    monkeypatch.setenv("KERASDIAG_KERNEL", "scipy")
    scipy = repair(autofix_options={"steps_per_epoch": 6})
    assert (compiled.repair_report.kernel, scipy.repair_report.kernel) == ("compiled", "scipy")
    assert are_equal(arrays(compiled), arrays(scipy))
