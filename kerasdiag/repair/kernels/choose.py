"""Which kernel runs: the compiled one where it gives SciPy's own bits, else SciPy.

It is tried on small images, once in a process, and never guessed from versions or platforms.
"""

from __future__ import annotations

import functools
import importlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasdiag.errors import KernelError
from kerasdiag.repair.kernels import scipy_path
from kerasdiag.spec import AugmentationOptions

VARIABLE = "KERASDIAG_KERNEL"
COMPILED, SCIPY = "compiled", "scipy"


@dataclass(frozen=True)
class KernelChoice:
    """What does the pixel work.

    Attributes:
        name: ``"compiled"`` or ``"scipy"``.
        reason: Why it is not the compiled one, and what would bring it; None where it is.
        shift_first: Whether SciPy adds an affine map's shift before the products of its matrix.
    """

    name: str
    reason: str | None = None
    shift_first: bool = False


def choose_kernel() -> KernelChoice:
    """Return the kernel for this process.

    Raises:
        KernelError: ``KERASDIAG_KERNEL`` is neither ``compiled`` nor ``scipy``, or asks for a
            compiled kernel that does not run here.
    """
    wanted = os.environ.get(VARIABLE) or None
    if wanted not in (None, COMPILED, SCIPY):
        raise KernelError(f'{VARIABLE} is {wanted!r}; it may be "compiled" or "scipy". Unset it to let autofix choose.')
    if wanted == SCIPY:
        return KernelChoice(SCIPY, f"{VARIABLE}=scipy")
    choice = _try_compiled()
    if wanted == COMPILED and choice.name != COMPILED:
        raise KernelError(f"{VARIABLE}=compiled, but the compiled kernel cannot be used: {choice.reason}.")
    return choice


@functools.lru_cache(maxsize=1)
def _try_compiled() -> KernelChoice:
    try:
        compiled: Any = importlib.import_module("kerasdiag.repair.kernels.compiled")
    except ImportError as error:
        return KernelChoice(SCIPY, f'Numba is missing ({error}); pip install "kerasdiag[repair]" brings it')
    except Exception as error:  # a Numba that does not fit its NumPy fails in many ways
        return KernelChoice(SCIPY, f"Numba cannot be loaded ({type(error).__name__}: {error})")
    try:
        try:
            shift_first = _find_order(compiled)
        except OSError:  # what was compiled cannot be kept: no space, or a directory that only seems writable
            shift_first = _find_order(_reload_without_cache())
    except Exception as error:
        return KernelChoice(SCIPY, f"Numba cannot compile here ({type(error).__name__}: {str(error)[:200]})")
    if shift_first is None:
        return KernelChoice(SCIPY, "its results differ from those of the SciPy on this machine")
    return KernelChoice(COMPILED, None, shift_first)


def _reload_without_cache() -> Any:
    importlib.import_module("kerasdiag.repair.kernels.jit").CACHE_ON_DISK = False  # type: ignore[attr-defined]
    for name in ("warp_rows", "finish", "compiled"):  # each uses those before it
        module = importlib.reload(importlib.import_module(f"kerasdiag.repair.kernels.{name}"))
    return module


def _find_order(compiled: Any) -> bool | None:
    """Return which order of sums gives SciPy's bits on all trial images, or None if neither does."""
    trials = [(channels, order, mode) for channels, mode in _TRIALS for order in (1, 0)]
    for shift_first in (True, False):
        if all(_is_equal(compiled, shift_first, *trial) for trial in trials):
            return shift_first
    return None


# Channels and what lies beside the image: each way through the kernel once.
_TRIALS = ((3, "nearest"), (1, "nearest"), (3, "constant"), (3, "reflect"), (3, "wrap"))


def _is_equal(compiled: Any, shift_first: bool, channels: int, order: int, fill_mode: str = "nearest") -> bool:
    # Eight maps, each a rotation, zoom and shift that leaves the image on some side; the smooth
    # ramp and tiny shifts let the last bits of coordinates and weights show.
    random = np.random.default_rng(7)
    count, shape = 8, (48, 40, channels)
    images = random.integers(0, 256, (count, *shape), np.uint8)
    images[::2] = np.linspace(0, 255, 40, dtype=np.uint8)[None, None, :, None]
    matrix = np.eye(2) + random.normal(size=(count, 2, 2)) * np.array([0, 1e-9, 0.1, 0.3] * 2)[:, None, None]
    shift = random.normal(size=(count, 2)) * np.array([1e-7, 1e-7, 1, 9] * 2)[:, None]
    size = int(np.prod(shape))
    out = np.zeros(count * size + compiled.OUT_PADDING, np.float32)
    pixels = np.concatenate([images.reshape(-1), np.zeros(compiled.IMAGE_PADDING, np.uint8)])
    compiled.augment_batch(
        0, np.zeros(1, np.int32), np.arange(count) * size, pixels, shape, np.full(count, order),
        compiled.FILL_MODES.index(fill_mode), np.float32(7), compiled.pack_matrices(matrix, shift, shift_first=shift_first),
        np.zeros((count, 2), bool), np.float32(1), np.zeros(0, np.int64), np.zeros((0, shape[1] * channels), np.float32), out,
    )  # fmt: skip
    options = AugmentationOptions(interpolation_order=order, fill_mode=fill_mode, cval=7.0)
    wanted = [scipy_path.warp(images[k].astype(np.float32), matrix[k], shift[k], options, 2) for k in range(count)]
    return bool(np.array_equal(out[: count * size].reshape(count, *shape), wanted))
