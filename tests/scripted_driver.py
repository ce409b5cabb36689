"""A scripted NVIDIA driver: builds profiler/nvml_stub and runs scenarios against it, through the real bindings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STUB = Path(__file__).parent / "profiler" / "nvml_stub"
REPOSITORY = Path(__file__).parents[1]
COMPILER = shutil.which("cc") or shutil.which("gcc")

with_driver = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux",
    reason="no C compiler" if COMPILER is None else "the stand-in for the driver is made for Linux",
)


def build_libraries(root: Path) -> Path:
    """Build the stand-ins for the driver's libraries, each in a folder that LD_LIBRARY_PATH can name."""
    for folder, name, source, *options in (
        ("driver", "libnvidia-ml.so.1", "nvml.c"),
        ("old_driver", "libnvidia-ml.so.1", "nvml.c", "-DOLD_DRIVER"),
        ("cuda", "libcuda.so.1", "cuda.c"),
    ):
        (root / folder).mkdir()
        command = [str(COMPILER), "-shared", "-fPIC", *options, "-o", str(root / folder / name), str(STUB / source)]
        subprocess.run(command, check=True, timeout=60)
    for folder, name in (("no_driver", "libnvidia-ml.so.1"), ("no_cuda", "libcuda.so.1")):
        (root / folder).mkdir()  # a file that cannot be loaded also hides the real library of a GPU machine
        (root / folder / name).write_text("not a library")
    return root


def run(libraries: Path, scenario: str, *, folders: str = "driver:no_cuda", **variables: object) -> dict[str, Any]:
    """Run ``scenario`` in a child process (nvml_stub/child.py) and return what it reported."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "KD_"))}
    found = [str(libraries / folder) for folder in folders.split(":")] + [env.get("LD_LIBRARY_PATH", "")]
    env["LD_LIBRARY_PATH"] = ":".join(found).rstrip(":")
    env["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), env.get("PYTHONPATH", "")])
    env.update({name: str(value) for name, value in variables.items()})
    command = [sys.executable, str(STUB / "child.py"), scenario]
    child = subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert child.returncode == 0, child.stderr
    report: dict[str, Any] = json.loads(child.stdout)
    return report
