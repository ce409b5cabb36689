"""What the tests of the profiler share."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_driver import build_libraries


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-ins for the driver's libraries, built once."""
    return build_libraries(tmp_path_factory.mktemp("driver"))
