"""Where the pixels come from: a store, memory, or the original files."""

from __future__ import annotations

import numpy as np
import pytest
from repair.generators import ARTICLE, ImageDataGenerator, make_generator

from kerasdiag import autofix
from kerasdiag.errors import StoreError
from kerasdiag.repair.pipeline import pixels

pytestmark = [pytest.mark.keras, pytest.mark.thorough]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("KERASDIAG_CACHE_DIR", str(folder))
    return folder


@pytest.mark.parametrize("storage", ["none", "memory", "disk"])
def test_every_storage_gives_the_same_batches(images, cache, storage):
    """Where the pixels come from changes none of them, and without a store nothing is written."""
    generator = make_generator(*images, options=ARTICLE, weight_col="weight")
    dataset = autofix(generator, when="always", storage=storage, verbose=0)
    report = dataset.repair_report
    assert report.certificate.is_exact
    assert report.reading == {"none": "original files", "memory": "memory", "disk": "permutation"}[storage]
    assert (report.store is None) is (storage == "none")
    assert cache.exists() is (storage != "none")
    other = autofix(generator, when="always", verbose=0)
    for ours, theirs in zip(dataset, other):
        for one, two in zip(ours, theirs):
            np.testing.assert_array_equal(one, two)


def test_memory_that_does_not_suffice_is_named(images, cache, monkeypatch):
    """The container's limit counts, and the sentence names the way out."""
    monkeypatch.setattr(pixels, "MEMORY_SHARE", 1e-9)
    with pytest.raises(StoreError, match=r'storage="memory" would take .* for 24 images.*Use storage="disk"'):
        autofix(make_generator(*images), when="always", storage="memory", verbose=0)


def test_arrays_have_no_storage():
    """They are in memory already."""
    generator = ImageDataGenerator().flow(np.zeros((4, 8, 8, 3)), batch_size=2)
    with pytest.raises(ValueError, match="are an array in memory, so storage='disk' has no meaning"):
        autofix(generator, when="always", storage="disk", verbose=0)
