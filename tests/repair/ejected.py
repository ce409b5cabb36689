"""Run ejected scripts where kerasdiag cannot be imported, and bring back what they give."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np

# Runs isolated (-I): no PYTHONPATH, no current directory, and a finder that refuses kerasdiag even if installed.
_RUNNER = """
import importlib.util, os, pickle, sys
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

class NoKerasdiag:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("kerasdiag", "keras", "tf_keras", "scipy", "PIL"):
            raise ImportError(name + " is not to be had here")

with open(sys.argv[1], "rb") as file:
    tasks = pickle.load(file)
import tensorflow as tf
import numpy as np
sys.meta_path.insert(0, NoKerasdiag())
tf.random.uniform([1])
results = {}
for name, (path, draws, iterations) in tasks.items():
    spec = importlib.util.spec_from_file_location("pipeline", path)
    pipeline = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pipeline)
    dataset = pipeline.make_dataset()
    batches = [
        [[part.numpy() for part in (batch if isinstance(batch, tuple) else (batch,))] for batch in dataset]
        for _ in range(iterations)
    ]
    images = None
    if draws is not None:
        images = pipeline.augment(pipeline.read_pixels(np.arange(pipeline.NUM_ROWS)), draws)
    results[name] = {
        "spec": str(dataset.element_spec), "length": len(dataset), "batches": batches, "images": images,
        "kept_bytes": sum(target.nbytes for target in pipeline.TARGETS),
        "draw": pipeline.draw(np.random.default_rng(0), 4000),
    }
assert "kerasdiag" not in sys.modules
with open(sys.argv[2], "wb") as file:
    pickle.dump(results, file)
"""


def run_scripts(folder, tasks):
    """Run scripts in one process without kerasdiag.

    Args:
        folder: Where to keep the files of this run.
        tasks: By name: path of the script, draws for all rows or None, how often to iterate over the dataset.

    Returns:
        By name: ``spec``, ``length``, ``batches`` [iteration][step][part], ``images`` of the draws, ``draw``.
    """
    given, got, runner = folder / "tasks.pickle", folder / "results.pickle", folder / "runner.py"
    given.write_bytes(pickle.dumps({name: (str(path), *rest) for name, (path, *rest) in tasks.items()}))
    runner.write_text(_RUNNER)
    command = [sys.executable, "-I", str(runner), str(given), str(got)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return pickle.loads(got.read_bytes())


def joined(batches, part=0):
    """One part of all batches of an iteration in one array."""
    return np.concatenate([batch[part] for batch in batches])
