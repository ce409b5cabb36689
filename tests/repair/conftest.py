"""Images and a cache directory for tests of autofix."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A DataFrame of 24 photo-like images of several formats and modes, and their folder."""
    from repair.generators import write_images  # some tests need no Keras

    folder = tmp_path_factory.mktemp("images")
    return write_images(folder), folder


@pytest.fixture
def cache(tmp_path):
    """The cache directory, as tests/conftest.py sets it."""
    return tmp_path / "kerasdiag-cache"
