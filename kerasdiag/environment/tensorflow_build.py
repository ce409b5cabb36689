"""How the installed TensorFlow was built, read from the file that its build left in the package; nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = "tensorflow/python/platform/build_info.py"


@dataclass(frozen=True)
class TensorFlowBuild:
    """What it was built for.

    Attributes:
        is_cuda_build: Whether it can use an NVIDIA GPU.
        cuda: Version of CUDA that it was built with, such as (12, 5); None for a CPU build.
        cudnn_major: The same of cuDNN, such as 9.
        compute_capabilities: For which GPUs it holds machine code (``"sm_80"``) or code that is compiled at the
            start (``"compute_90"``).
        libraries: Names of CUDA's libraries that it loads, where the build wrote them down (Windows).
    """

    is_cuda_build: bool
    cuda: tuple[int, int] | None = None
    cudnn_major: int | None = None
    compute_capabilities: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def find_build(search_path: Sequence[str]) -> TensorFlowBuild | None:
    """Return the build of the first TensorFlow on a search path; None without one, or where its file says nothing.

    Args:
        search_path: Folders in which packages lie.
    """
    for folder in search_path:
        try:
            text = (Path(folder or ".") / _FILE).read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError):
            continue
        return _read_build(text)
    return None


def _read_build(text: str) -> TensorFlowBuild | None:
    info = _literal(text)
    if not isinstance(info.get("is_cuda_build"), bool):
        return None
    capabilities = info.get("cuda_compute_capabilities")
    names = (str(value) for key, value in info.items() if key.endswith("_dll_name") and value)
    return TensorFlowBuild(
        is_cuda_build=info["is_cuda_build"],
        cuda=_version(info.get("cuda_version")),
        cudnn_major=(_version(info.get("cudnn_version")) or (None,))[0],
        compute_capabilities=tuple(map(str, capabilities)) if isinstance(capabilities, (list, tuple)) else (),
        libraries=tuple(names),
    )


def _literal(text: str) -> dict[str, Any]:  # Any: values of several types
    """The pairs of ``build_info = collections.OrderedDict([...])``, or of a dictionary."""
    try:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign) and any(
                isinstance(name, ast.Name) and name.id == "build_info" for name in node.targets
            ):
                value = node.value.args[0] if isinstance(node.value, ast.Call) and node.value.args else node.value
                return dict(ast.literal_eval(value))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass
    return {}


def _version(value: Any) -> tuple[int, int] | None:
    text = str(value or "")
    windows = re.fullmatch(r"64_(\d+?)(\d?)", text)  # "64_112" is CUDA 11.2 for 64 bits, "64_8" cuDNN 8
    match = windows or re.match(r"(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2] or 0)) if match else None


# Linux names of the libraries by CUDA's major version (dlopen_checker of TensorFlow; the numbers in a name count
# interfaces, not releases). cuDNN and NCCL have numbers of their own.
_SONAMES = {
    11: ("libcudart.so.11.0", "libcublas.so.11", "libcublasLt.so.11", "libcufft.so.10", "libcusolver.so.11", "libcusparse.so.11"),
    12: ("libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11", "libcusolver.so.11", "libcusparse.so.12"),
}  # fmt: skip


def cuda_libraries(build: TensorFlowBuild | None) -> tuple[str, ...]:
    """Return the names of the CUDA libraries that a TensorFlow of this build loads at its start; empty if unknown."""
    if build is None or not build.is_cuda_build or build.cuda is None:
        return ()
    cudnn = (f"libcudnn.so.{build.cudnn_major}",) if build.cudnn_major is not None else ()
    return build.libraries or (*_SONAMES.get(build.cuda[0], ()), *cudnn)
