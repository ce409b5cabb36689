"""How the kernels are compiled: without the GIL, and kept on disk where there is a place for it."""

from __future__ import annotations

from typing import Any

from numba import njit

# Whether the machine code is kept on disk; choose.py loads the kernels again without, where that fails.
CACHE_ON_DISK: bool = True


def compile_when_called(function: Any, **options: Any) -> Any:
    """Compile a function when it is first called, without contraction or any other change of its sums.

    Args:
        function: What Numba can compile.
        options: Further options of ``numba.njit``.
    """
    options = {"nogil": True, "error_model": "numpy", **options}
    if CACHE_ON_DISK:
        try:
            return njit(**options, cache=True)(function)
        except RuntimeError:  # neither beside this file nor in the user's cache directory
            pass
    return njit(**options)(function)


def compile_reduction(function: Any) -> Any:
    """The same for sums and extremes over an image, whose order is free: LLVM vectorises them then."""
    return compile_when_called(function, fastmath={"reassoc", "nnan", "nsz"})
