"""What a planted machine has that would else be read off the one that runs the tests."""

from __future__ import annotations

import dataclasses

import pytest

from kerasdiag.doctor import collect


@pytest.fixture(autouse=True)
def _room_for_a_store(monkeypatch):
    """However full the disk under the tests is."""
    look = collect.find_cache
    monkeypatch.setattr(
        collect, "find_cache", lambda root: dataclasses.replace(look(root), free_bytes=10**12, free_files=10**9)
    )
