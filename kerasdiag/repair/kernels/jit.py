"""How the kernels are compiled: without the GIL, and kept on disk where there is a place for it."""

from __future__ import annotations

import functools
import hashlib
import shutil
from pathlib import Path
from typing import Any

from numba import config, njit

# Whether the machine code is kept on disk; choose.py loads the kernels again without, where that fails.
CACHE_ON_DISK: bool = True
_HERE = Path(__file__).parent


def compile_when_called(function: Any, **options: Any) -> Any:
    """Compile a function when it is first called, without contraction or any other change of its sums.

    Args:
        function: What Numba can compile.
        options: Further options of ``numba.njit``.
    """
    options = {"nogil": True, "error_model": "numpy", **options}
    if not CACHE_ON_DISK:
        return njit(**options)(function)
    chosen, config.CACHE_DIR = config.CACHE_DIR, str(_cache_folder(config.CACHE_DIR or str(_HERE / "__pycache__")))
    try:
        return njit(**options, cache=True)(function)
    except RuntimeError:  # neither there nor in the user's cache directory
        return njit(**options)(function)
    finally:
        config.CACHE_DIR = chosen


def compile_part(function: Any, **options: Any) -> Any:
    """The same for what only other kernels call: no way in from Python, which halves the time to compile."""
    return compile_when_called(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


def compile_into_caller(function: Any) -> Any:
    """The same for a large part with one caller: a module less for LLVM to optimise, which saves half a second of two."""
    return compile_part(function, inline="always")


def compile_sum(function: Any) -> Any:
    """The same for sums over an image, whose order is free: LLVM vectorises them then."""
    return compile_part(function, fastmath={"reassoc"})


@functools.lru_cache(maxsize=4)
def _cache_folder(base: str) -> Path:
    """Return a folder named by the source of all kernels.

    Numba looks at the file of a function only, and would go on using what was compiled with an
    earlier version of a function in another file.
    """
    digest = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        digest.update(path.read_bytes())
    folder = Path(base, f"kerasdiag-kernels-{digest.hexdigest()[:12]}")
    if not folder.exists() and folder.parent == _HERE / "__pycache__":
        for earlier in folder.parent.glob("kerasdiag-kernels-*"):
            shutil.rmtree(earlier, ignore_errors=True)
    return folder
