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


def choose_kernel(*, single_precision: bool = True) -> KernelChoice:
    """Return the kernel for this process.

    Args:
        single_precision: Whether the rescale of the generator is a multiplication in float32.

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
    if choice.name == COMPILED and not single_precision:
        choice = KernelChoice(
            SCIPY, "rescale is a numpy.float64, by which NumPy 2 multiplies in double precision; pass float(rescale)"
        )
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
            compiled.CACHE_ON_DISK = False
            shift_first = _find_order(importlib.reload(compiled))
    except Exception as error:
        return KernelChoice(SCIPY, f"Numba cannot compile here ({type(error).__name__}: {str(error)[:200]})")
    if shift_first is None:
        return KernelChoice(SCIPY, "its results differ from those of the SciPy on this machine")
    return KernelChoice(COMPILED, None, shift_first)


def _find_order(compiled: Any) -> bool | None:
    """Return which order of sums gives SciPy's bits on all trial images, or None if neither does."""
    for shift_first in (True, False):
        if all(_is_equal(compiled, shift_first, channels, order) for channels in (3, 1) for order in (1, 0)):
            return shift_first
    return None


def _is_equal(compiled: Any, shift_first: bool, channels: int, order: int) -> bool:
    # Eight maps, each a rotation, zoom and shift that leaves the image on some side; the smooth
    # ramp and tiny shifts let the last bits of coordinates and weights show.
    random = np.random.default_rng(7)
    count, shape = 8, (48, 40, channels)
    images = random.integers(0, 256, (count, *shape), np.uint8)
    images[::2] = np.linspace(0, 255, 40, dtype=np.uint8)[None, None, :, None]
    matrix = np.eye(2) + random.normal(size=(count, 2, 2)) * np.array([0, 1e-9, 0.1, 0.3] * 2)[:, None, None]
    shift = random.normal(size=(count, 2)) * np.array([1e-7, 1e-7, 1, 9] * 2)[:, None]
    flips = random.random((count, 2)) < 0.5
    scale, size = np.float32(1 / 255), int(np.prod(shape))
    out = np.zeros(count * size + compiled.OUT_PADDING, np.float32)
    packed = compiled.pack_matrices(matrix, shift, shift_first=shift_first)
    wanted = np.zeros((count, *shape), np.float32)
    for k in range(count):
        image = np.concatenate([images[k].reshape(-1), np.zeros(compiled.IMAGE_PADDING, np.uint8)])
        one = out[k * size : (k + 1) * size + compiled.OUT_PADDING]
        compiled.read_and_augment(
            0, np.zeros(1, np.int32), np.zeros(1, np.int64), image, shape, np.array([order]), packed[k : k + 1],
            flips[k : k + 1], scale, one,
        )  # fmt: skip
        scipy_path.augment_image(images[k], matrix[k], shift[k], flips[k], order=order, rescale=1 / 255, out=wanted[k])
    return bool(np.array_equal(out[: count * size].reshape(wanted.shape), wanted))
