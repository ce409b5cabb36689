"""Random numbers that depend on nothing but their key: seed, pass over the data, and row.

They come from no shared generator, so any number of threads, in any order, draws the same, and
NumPy's global state is never touched. The generator is SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014), which can be entered at any position.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

# Numbers set aside for a row. Keras draws at most 12 for an image; a new one must move no other.
NUMBERS_PER_ROW = 16


def key_of(seed: int, pass_number: int, purpose: str) -> int:
    """Return the 64-bit start of a stream of its own for this seed, pass and purpose."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{pass_number}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def uniforms(key: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) as float64 [rows, NUMBERS_PER_ROW]."""
    positions = rows.astype(np.uint64)[:, None] * np.uint64(NUMBERS_PER_ROW) + np.arange(
        NUMBERS_PER_ROW, dtype=np.uint64
    )
    # 53 bits, as NumPy's own generators take.
    numbers: NDArray[np.float64] = (_numbers(key, positions) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def permutation(key: int, count: int) -> NDArray[np.int64]:
    """Return 0 ... count - 1 in an order that depends on nothing but ``key``."""
    return np.argsort(_numbers(key, np.arange(count, dtype=np.uint64)), kind="stable").astype(np.int64, copy=False)


def number_below(key: int, limit: int) -> int:
    """Return a whole number from 0 to ``limit`` - 1."""
    return int(_numbers(key, np.zeros(1, np.uint64))[0] % np.uint64(limit))


def _numbers(key: int, positions: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits for each position; arithmetic is modulo 2**64 on purpose."""
    z: NDArray[np.uint64] = np.uint64(key) + (positions + np.uint64(1)) * _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    result: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return result
