"""autofix in a notebook's kernel, where there is no script and nobody reads stderr as a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from repair.generators import write_images

pytestmark = pytest.mark.keras

CELLS = (
    """
import sys
sys.path[:0] = {paths!r}
import pandas as pd
from repair.generators import make_generator
from kerasdiag import autofix
generator = make_generator(pd.read_csv({csv!r}), {folder!r}, options={{"rotation_range": 20}})
""",
    "dataset = autofix(generator, when='always', cache_dir={cache!r})",
    "print('BATCHES', sum(len(image) for image, _ in dataset), dataset.repair_report.converted_in_process)",
)


def test_a_notebook_converts_and_reads(tmp_path):
    """Child processes convert, the lines appear below the cell, and the kernel goes on."""
    from jupyter_client.manager import start_new_kernel

    frame = write_images(tmp_path / "images")
    frame.to_csv(tmp_path / "frame.csv", index=False)
    here = Path(__file__)
    names = {
        "paths": [str(here.parents[2]), str(here.parents[1])],
        "csv": str(tmp_path / "frame.csv"),
        "folder": str(tmp_path / "images"),
        "cache": str(tmp_path / "cache"),
    }
    manager, client = start_new_kernel()
    printed = []

    def keep(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    try:
        for cell in CELLS:
            reply = client.execute_interactive(cell.format(**names), timeout=120, output_hook=keep)
            assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    text = "".join(printed)
    assert "autofix converted 24 images" in text
    assert "BATCHES 24 None" in text
