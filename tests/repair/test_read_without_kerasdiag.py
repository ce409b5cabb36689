"""The lines of the README that read a store without kerasdiag, labels included."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from repair.generators import keras_draws, keras_images, make_generator, write_images

from kerasdiag import autofix

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SNIPPET = re.search(r"<!-- read a store -->\n```python\n(.*?)```", README, flags=re.DOTALL).group(1)
_KEEP = """\
    found[example["source"].numpy()] = image.numpy(), label
"""


def test_the_snippet_gives_images_and_labels(tmp_path):
    """Every row's pixels and label are the generator's; images of the other subset have no label."""
    frame = write_images(tmp_path / "images")
    options = {"validation_split": 0.25}
    generators = [
        make_generator(frame, tmp_path / "images", options=options, subset=subset, shuffle=False)
        for subset in ("validation", "training")
    ]
    datasets = [autofix(one, when="always", cache_dir=tmp_path / "cache", verbose=0) for one in generators]
    report = datasets[1].repair_report
    code = SNIPPET.replace("STORE/plans/PLAN", report.plan)
    code = f"found = {{}}\n{code}{_KEEP}\nimport pickle, sys\nsys.stdout.buffer.write(pickle.dumps(found))\n"
    result = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, timeout=120, check=True)
    found = pickle.loads(result.stdout)
    generator = generators[1]
    pixels = keras_images(generator, np.arange(generator.n), keras_draws(generator, generator.n))
    assert len(found) == len(frame)
    assert sum(label is None for _, label in found.values()) == generators[0].n
    for row, name in enumerate(generator.filenames):
        image, label = found[name.encode()]
        assert np.array_equal(image, pixels[row])
        assert label == generator.labels[row]
